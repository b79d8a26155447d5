"""The space ``joint``: pictures and sentences in the space of a CLIP- or SigLIP-like model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from varkit.errors import DataError
from varkit.interfaces.limits import Place
from varkit.interfaces.searching import Array, Block, Channel, Reason, Streamed, Track
from varkit.system.torchvision import mend_torchvision

if TYPE_CHECKING:
    from varkit_extractors.joint import Joint


class JointSpace:
    """Pictures matched with sentences zero-shot (Radford et al., ICML 2021); sounds with sounds.

    Channels: ``words``, the cosine of a sentence with the mean picture of a window, which also
    answers examples; and ``sound``, if the index has embeddings of sound.

    Args:
        streams: those of the index.
        kept: not used.
        model: the folder of the model that made ``pictures``.
        pictures: the stream of the extractor ``joint``.
        sounds: the stream with embeddings of sounds.

    Raises:
        DataError: the index has no such stream.
    """

    def __init__(
        self,
        streams: Mapping[str, Streamed],
        kept: Mapping[str, Array],
        *,
        model: Place,
        pictures: str = "joint.features",
        sounds: str = "yamnet.features",
    ) -> None:
        if pictures not in streams:
            raise DataError(
                f"there is no stream {pictures}; there are {', '.join(streams) or 'none'}",
                hint="index the videos with the extractor joint",
            )
        self._folder, self._sources = model, {"words": {"pictures": pictures}}
        picture = Block("pictures", streams[pictures].width, unit=True)
        self.channels = {"words": Channel((picture,), frozenset({"text", "example"}))}
        if sounds in streams:
            block = Block("sound", streams[sounds].width, unit=True)
            self.channels["sound"] = Channel((block,), frozenset({"sound", "example"}))
            self._sources["sound"] = {"sound": sounds}
        self.kept: Mapping[str, Array] = {}

    @cached_property
    def origin(self) -> Mapping[str, Any]:
        """The version of this code; what made the pictures is their extractor's fingerprint."""
        from varkit_extractors.loading import hashed

        weights = sorted(Path(self._folder).glob("*.safetensors"))
        return {"version": 1, "sha256": {path.name: hashed(path) for path in weights}}

    def tracks(self, streams: Mapping[str, Track]) -> Mapping[str, Mapping[str, Track]]:
        """Return the embeddings as they are."""
        return {
            channel: {block: streams[key] for block, key in keys.items() if key in streams}
            for channel, keys in self._sources.items()
        }

    def encode_text(self, texts: Sequence[str]) -> Array:
        """Return (Q, D) sentences, of length 1."""
        vectors: Array = self._model.encode_text(texts).cpu().numpy()
        if vectors.shape[1] != (width := self.channels["words"].width):
            raise DataError(
                f"{self._folder} gives sentences of {vectors.shape[1]} numbers; the pictures of "
                f"the index have {width}"
            )
        return vectors

    def reasons(self, channel: str, query: Array, row: Array) -> list[Reason]:
        """Return nothing: the model does not say why."""
        return []

    @cached_property
    def _model(self) -> Joint:
        from varkit_extractors.joint import Joint

        return Joint(model=self._folder)

    @staticmethod
    def missing(*, model: str, **_: object) -> list[str]:
        """Return what this machine lacks."""
        from varkit_extractors.joint import Joint

        return Joint.missing(model=model)

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Write a tiny CLIP of random weights, for streams of 8 numbers."""
        from varkit_extractors.joint import write_tiny

        mend_torchvision()
        from transformers import CLIPConfig, CLIPModel

        write_tiny(folder, CLIPConfig, CLIPModel, projection_dim=8)
        return {"model": str(folder), "pictures": "image.features"}
