"""The states of a frozen language model: computed once, in batches, and kept in files.

A file has the states of up to :data:`PART` token sequences. Its name is a hash of these sequences,
and its folder's name is a hash of everything else that the states depend on. So no file goes stale:
another model, tokenizer or ``max_tokens`` means another name. Which sequences share a batch depends
only on the list, never on the files, so states that are read have the same bits as computed ones.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor

from varkit.errors import CheckpointError, WriteError
from varkit.system.files import exclusive, sweep
from varkit.system.tensors import load, save

CACHE = Path(".cache/varkit/text")
"""The folder of the files, below the working directory. It can be deleted at any time."""

PART = 1024
"""Sequences in a file."""

BATCH = 64
"""Sequences that are computed together."""

Ids = tuple[int, ...]
Compute = Callable[[Tensor], Tensor]
Progress = Callable[[int, int], None]
"""Called before every batch with the number of sequences up to its end, and of all."""


def frozen_states(
    sequences: Iterable[Ids], compute: Compute, facts: object, progress: Progress | None = None
) -> Iterator[tuple[Ids, Tensor]]:
    """Yield the states of token sequences, every sequence once, sorted by length.

    A batch has sequences of one length, so nothing is padded. The tensors are mapped files, which
    the system reads when they are used. If a file cannot be written, its states stay in memory; a
    damaged file is replaced. Both give a warning. If several processes need the same file at
    once, one computes it and the others wait.

    Args:
        sequences: L token ids each.
        compute: maps ``(B, L)`` ids to ``(B, L, H)`` states.
        facts: everything that the states depend on apart from the ids; JSON values.
        progress: may raise an error to stop; complete files remain.

    Yields:
        L ids and their ``(L, H)`` states on the CPU; do not write to them.
    """
    order = sorted(set(sequences), key=lambda ids: (len(ids), ids))
    folder = CACHE / _digest(facts)
    writable, done = True, 0

    def tracked(ids: Tensor) -> Tensor:
        nonlocal done
        done += len(ids)
        if progress is not None:
            progress(done, len(order))
        return compute(ids)

    for start in range(0, len(order), PART):
        part, done = order[start : start + PART], start
        path = folder / f"{_digest(part)}.safetensors"
        states = _read(path, part)
        if states is None and writable:
            try:
                states = _written(path, part, tracked)
            except WriteError as error:
                warnings.warn(f"{error.what}; states of captions stay in memory", stacklevel=2)
                writable, done = False, start
        if states is None:
            states = _computed(part, tracked)
        lengths = [len(ids) for ids in part]
        yield from zip(part, torch.split(states, lengths), strict=True)


def _computed(part: Sequence[Ids], compute: Compute) -> Tensor:
    """Return the (tokens, H) states of sequences that are sorted by length."""
    states: list[Tensor] = []
    for _, group in groupby(part, key=len):
        same = list(group)
        for start in range(0, len(same), BATCH):
            batch = torch.tensor(same[start : start + BATCH])
            states.append(compute(batch).flatten(0, 1).cpu())
    return torch.cat(states)


def _written(path: Path, part: Sequence[Ids], compute: Compute) -> Tensor | None:
    """Compute and write a file, unless another process just did; return its states."""
    with exclusive(path.parent / ".lock"):
        if _read(path, part) is None:
            sweep(path.parent)
            save(path, {"states": _computed(part, compute)}, {})
    return _read(path, part)


def _read(path: Path, part: Sequence[Ids]) -> Tensor | None:
    """Return the states of a file, or None if it is missing or damaged."""
    if not path.is_file():
        return None
    try:
        states = load(path, mapped=True)[0].get("states")
        if states is None or states.ndim != 2 or len(states) != sum(map(len, part)):
            raise CheckpointError(f"{path} does not hold the states of its captions")
        return states
    except CheckpointError as error:
        warnings.warn(f"{error.what}; its states are computed again", stacklevel=2)
        return None


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:32]
