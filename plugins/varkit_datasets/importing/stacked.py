"""Features of all videos in one array (V, T, D) or (V, D), beside their V names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varkit.errors import did_you_mean
from varkit.system.inputs import InputError


@dataclass(frozen=True)
class Stacked:
    """Which arrays of a file hold the names, and the features."""

    names: str
    array: str

    def texts(self, names: NDArray[Any]) -> list[str]:
        """Return the names as text.

        Raises:
            InputError: one is not UTF-8, or occurs twice.
        """
        try:
            texts = [n.decode() if isinstance(n, bytes) else str(n) for n in names.tolist()]
        except UnicodeDecodeError as error:
            raise InputError(f"holds names in {self.names!r} that are not UTF-8 text") from error
        if len(set(texts)) < len(texts):
            twice = next(text for text in texts if texts.count(text) > 1)
            raise InputError(f"names video {twice!r} twice in {self.names!r}")
        return texts


def choose(
    arrays: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]], key: str | None
) -> Stacked | None:
    """Return where names and features are; None = each array is a video's.

    Args:
        arrays: name -> shape and type of all arrays of a file.
        key: of the features.

    Raises:
        InputError: there are names, and several arrays of as many videos; or no array ``key``.
    """
    texts = [n for n, (dims, dtype) in arrays.items() if dtype.kind in "US" and len(dims) == 1]
    if not texts:
        if key is not None:
            raise InputError(f"has no list of names, so {key!r} cannot be the array of all videos")
        return None
    (count,) = arrays[texts[0]][0]
    fitting = [
        name
        for name, (dims, dtype) in arrays.items()
        if dtype.kind in "fiu" and len(dims) > 1 and dims[0] == count
    ]
    if key is not None and key not in fitting:
        raise InputError(
            f"has no array {key!r} of {count:,} videos.{did_you_mean(key, fitting)} "
            f"It has: {', '.join(map(repr, fitting)) or 'none'}"
        )
    if key is None and len(fitting) != 1:
        raise InputError(
            f"names {count:,} videos in {texts[0]!r}, and has {len(fitting)} arrays of as many: "
            f"{', '.join(map(repr, fitting)) or 'none'}; name one, as in FILE#ARRAY"
        )
    return Stacked(texts[0], key or fitting[0])
