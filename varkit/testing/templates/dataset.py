"""my_part: a data set for varkit."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from varkit import hookimpl
from varkit.data.in_memory import InMemory, hash_questions
from varkit.errors import DataError
from varkit.interfaces import Count, Item, Sequences, derive_seed
from varkit.plugins.registry import Register


class MyPart:
    """Random clips with simple captions: replace them with yours.

    Args:
        videos: how many videos each split has.
    """

    name = "my_part"
    simulated = True
    query_kind: Literal["captions", "clips"] = "captions"
    widths: Mapping[str, int] = {"object": 16, "motion": 16}
    query_widths: Mapping[str, int] = {}

    def __init__(self, *, videos: Count = 8) -> None:
        self.videos = videos

    def split(self, name: str) -> Sequence[Item]:
        """Return the items of ``"train"`` or ``"test"``.

        Raises:
            DataError: there is no such split.
        """
        if name not in ("train", "test"):
            raise DataError(f"my_part has no split {name!r}; it has train and test")
        ids = [f"{name}-{number}" for number in range(self.videos)]
        return [Item(video, (f"{video}-caption",), label=k % 2) for k, video in enumerate(ids)]

    def open(self, video: str) -> InMemory:
        """Return one video's clips, of one second each."""
        random = np.random.default_rng(derive_seed(video))
        starts = np.arange(random.integers(4, 40), dtype=np.float32)
        streams = {
            name: random.standard_normal((len(starts), width), dtype=np.float32)
            for name, width in self.widths.items()
        }
        return InMemory(Sequences(streams, np.stack([starts, starts + 1], axis=1)))

    def query(self, query: str) -> str:
        """Return a caption."""
        return f"this is {query}"

    def truth(self, video: str) -> NDArray[np.bool_] | None:
        """Return None: it is unknown which clips are anomalous."""
        return None

    def fingerprint(self) -> str:
        """Return a hash of everything that can change a result."""
        return hashlib.sha256(repr((self.name, self.videos, self.widths)).encode()).hexdigest()

    def questions(self) -> str:
        """Return a hash of the test split's videos and queries."""
        return hash_questions(self)


@hookimpl
def register_datasets(register: Register) -> None:
    """Register the data set."""
    register("my_part", MyPart, summary="random clips with random captions")
