"""my_part: a space for varkit."""

from collections.abc import Mapping, Sequence

import numpy as np

from varkit import hookimpl
from varkit.interfaces.searching import Array, Block, Channel, Reason, Streamed, Track
from varkit.plugins.registry import Register


class MyPart:
    """The classes that a sentence names, and how probable they are in each clip.

    Args:
        streams: the streams that the index has.
        kept: not used.
        stream: the stream with the probabilities of classes.
    """

    def __init__(
        self,
        streams: Mapping[str, Streamed],
        kept: Mapping[str, Array],
        *,
        stream: str = "image.classes",
    ) -> None:
        self.stream, self.classes = stream, streams[stream].classes
        block = Block("classes", len(self.classes))
        self.channels = {"words": Channel((block,), frozenset({"text"}))}
        self.kept: Mapping[str, Array] = {}
        self.origin = {"version": 1}

    def tracks(self, streams: Mapping[str, Track]) -> Mapping[str, Mapping[str, Track]]:
        """Return the classes of each clip, as they are."""
        return {"words": {"classes": streams[self.stream]} if self.stream in streams else {}}

    def encode_text(self, texts: Sequence[str]) -> Array:
        """Return (Q, K): 1 for a class that shares a word with the sentence, else 0."""
        words = [set(name.lower().split()) for name in self.classes]
        shared = [[bool(set(text.lower().split()) & name) for name in words] for text in texts]
        return np.array(shared, np.float32).reshape(len(texts), len(words))

    def reasons(self, channel: str, query: Array, row: Array) -> list[Reason]:
        """Return the classes that the sentence names, the greatest share first."""
        parts = query * row
        named = [c for c in np.argsort(-parts) if parts[c] > 0]
        return [Reason("classes", self.classes[c], float(parts[c] / parts.sum())) for c in named]


@hookimpl
def register_spaces(register: Register) -> None:
    """Register the space."""
    register("my_part", MyPart, summary="the classes that a sentence names")
