"""A pretrained model of transformers and its tokenizer, loaded from a folder and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from varkit.errors import VarkitError, did_you_mean
from varkit.system.inputs import check_user_file, read_user_file, reason
from varkit.system.torchvision import mend_torchvision


def model_type(folder: Path, allowed: Iterable[str]) -> str:
    """Return the type of the model in a folder, as its ``config.json`` says.

    Raises:
        VarkitError: it says none or one that is not allowed, or a file cannot be read.
    """
    try:
        for file in folder.iterdir():  # transformers opens them itself
            if not file.is_dir():
                check_user_file(file)
        kind = json.loads(read_user_file(folder / "config.json"))["model_type"]
    except OSError as error:
        raise VarkitError(f"{error.filename} cannot be read: {reason(error)}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise VarkitError(f"{folder / 'config.json'} names no model_type: {error!r}") from error
    if kind not in allowed:
        raise VarkitError(
            f"the model in {folder} is of type {kind!r}; allowed: "
            f"{', '.join(allowed)}.{did_you_mean(str(kind), allowed)}"
        )
    return str(kind)


def load_pretrained(
    folder: Path,
    *,
    unread: Iterable[str] = (),
    tokenizer_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> tuple[Any, Any]:
    """Load a model, in fp32, and its tokenizer; no code of the folder runs.

    Args:
        folder: with ``config.json``, weights as safetensors and the tokenizer's files.
        unread: parts of the model that are removed; the folder need not have their weights.
        tokenizer_options: that override those in the folder.
        **options: that override those in ``config.json``.

    Raises:
        VarkitError: something cannot be read, or weights are missing or unexpected.
    """
    mend_torchvision()
    from transformers import AutoModel, AutoTokenizer

    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quiet():
            check_user_file(folder / "config.json")
            tokenizer = AutoTokenizer.from_pretrained(folder, **(tokenizer_options or {}), **local)
            tokenizer.model_max_length = int(tokenizer.model_max_length)  # the file may hold text
            model, report = AutoModel.from_pretrained(
                folder,
                **options,
                dtype=torch.float32,
                use_safetensors=True,
                output_loading_info=True,
                **local,
            )
    except Exception as error:  # many kinds, by what is wrong with the files
        raise VarkitError(
            f"cannot load the model in {folder}: {type(error).__name__}: {error}",
            hint="fetch its files again",
        ) from error
    for part in unread:
        setattr(model, part, None)
    parts = [name for name, _ in model.named_children()]
    for fault, keys in (
        ("lacks weights of the model", report["missing_keys"]),
        ("has weights that config.json does not describe", report["unexpected_keys"]),
    ):
        # Keys may start with the name of the model. A head is not a part of it.
        prefix = f"{model.base_model_prefix}."
        names = sorted(key for key in keys if key.removeprefix(prefix).split(".")[0] in parts)
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise VarkitError(
                f"{folder / 'model.safetensors'} {fault}: {', '.join(names[:3])}{more}",
                hint="fetch its files again",
            )
    return model, tokenizer


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from reporting on stderr: what matters is checked and raised."""
    from transformers.utils import logging as untyped

    logging: Any = untyped
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
