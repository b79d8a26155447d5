"""Other people's weights, written again as safetensors."""

from __future__ import annotations

import hashlib
import multiprocessing
import signal
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from varkit.errors import CheckpointError, VarkitError
from varkit.system.bounds import bound_memory
from varkit.system.files import write_bytes
from varkit.system.inputs import check_user_file, reading
from varkit.system.unpickle import read_pickled

PATIENCE = 600.0
"""Seconds that reading and writing may take."""


def flat(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield dotted names and tensors of nested dicts and lists; other values are left out.

    >>> import torch
    >>> [name for name, _ in flat({"a": {"b": torch.ones(1)}, "c": [torch.ones(1), 3]})]
    ['a.b', 'c.0']
    """
    if isinstance(value, Tensor):
        yield name, value
        return
    parts = dict(enumerate(value)) if isinstance(value, list) else value
    for key, part in parts.items() if isinstance(parts, Mapping) else ():
        yield from flat(part, f"{name}.{key}" if name else str(key))


def convert(source: Path, target: Path) -> tuple[int, str]:
    """Write the tensors of a pickle as safetensors, under dotted names.

    The pickle is read in a process of its own, in bounded memory and time.

    Args:
        source: a pickle of numpy's arrays, or PyTorch's ``.pt`` or ``.pth``.
        target: the file to write or replace.

    Returns:
        How many tensors there are, and the SHA-256 of the target.

    Raises:
        CheckpointError: the source is damaged, or holds anything that is not data.
        WriteError: the disk is full or not writable.
    """
    with reading(source, CheckpointError):
        check_user_file(source)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_convert, args=(source, target, theirs))
    process.start()
    theirs.close()
    try:
        answer = ours.recv() if ours.poll(PATIENCE) else f"takes longer than {PATIENCE:.0f} s"
    except EOFError:
        process.join()
        answer = f"ended the process that read it (status {process.exitcode})"
    finally:
        process.kill()
        process.join()
        ours.close()
    if isinstance(answer, VarkitError):
        raise answer
    if isinstance(answer, str):
        raise CheckpointError(f"{source} {answer}")
    count, digest = answer
    return count, digest


def _convert(source: Path, target: Path, answer: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        bound_memory(2**30 + 6 * source.stat().st_size)
        with reading(source, CheckpointError):
            tensors = {n: t.detach().clone().contiguous() for n, t in flat(read_pickled(source))}
        if not tensors:
            raise CheckpointError(f"{source} holds no tensors")
        data = save(dict(sorted(tensors.items())))
        write_bytes(target, data)
        answer.send((len(tensors), hashlib.sha256(data).hexdigest()))
    except VarkitError as error:
        answer.send(error)
    except MemoryError:
        answer.send("needs far more memory than its size explains; refused")
