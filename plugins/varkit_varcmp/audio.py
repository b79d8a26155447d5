"""VarCMP-style audio encoder: frozen embeddings of a sound's clips, and a temporal adapter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from varkit.blocks.pooling import masked_mean
from varkit.blocks.unit import unit
from varkit.interfaces import Clips, Count, Detector, Natural, Representation
from varkit_varcmp.adapters import TemporalAdapter
from varkit_varcmp.streams import only_expert, only_stream


class ClipAudio(nn.Module):
    """A sound's clips A in the space of pictures, adapted (VarCMP-style, after the abstract).

    A'_t = TemporalAdapter(A_t / |A_t|)

    The group's next paper uses Wav2CLIP (AVadCLIP), hence the same space; clip t of the sound must
    be heard while clip t of the video is seen. The sound's own detector gives a prior; it is
    trained with the label of the sound's video.

    Args:
        dim: D, the width of the space: the features' own.
        experts: one, the video's stream of frames.
        widths: of the sound's only stream, which may have any name.
        detector: builds a detector of the unadapted sound; None = no prior.
        layers: this and all options below: as in :class:`~varkit_varcmp.video.ClipVideo`.
        heads: the same.
        window: the same.
        reduction: the same.

    Raises:
        VarkitError: there are several experts, not exactly one stream, it is not D wide, or the
            heads do not divide D.
    """

    consumes: ClassVar[Literal["clips", "captions"]] = "clips"

    def __init__(
        self,
        dim: int,
        experts: tuple[str, ...],
        widths: Mapping[str, int],
        detector: Callable[[int], Detector] | None,
        *,
        layers: Natural = 2,
        heads: Count = 8,
        window: Count = 8,
        reduction: Count = 4,
    ) -> None:
        super().__init__()
        only_expert("clip_audio", experts)
        self.stream = only_stream("clip_audio", widths, dim)
        self.adapter = TemporalAdapter(
            dim, layers=layers, heads=heads, window=window, reduction=reduction
        )
        self.detector: Any = None if detector is None else detector(dim)

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Return the arguments of a small encoder."""
        return {"dim": 24, "experts": ("clip",), "widths": {"audio": 24}, "window": 4}

    def forward(self, clips: Clips) -> Representation:
        """Encode B sounds.

        Returns:
            Vectors ``avg`` ``(B, 1, D)``, the mean clip, and their weights, 1; tokens ``sounds``
            ``(B, T, D)``; scores ``(B, T)`` where there is a detector.
        """
        raw = clips.streams[self.stream]
        scores = None if self.detector is None else self.detector(raw, clips.mask)
        return _represent(self.adapter(unit(raw), clips.mask), clips.mask, scores)

    def zero_shot(self, clips: Clips) -> Representation:
        """Return what :meth:`forward` does before the first step, without scores."""
        sounds = unit(clips.streams[self.stream]).masked_fill(~clips.mask.unsqueeze(-1), 0)
        return _represent(sounds, clips.mask, None)


def _represent(sounds: Tensor, mask: Tensor, scores: Tensor | None) -> Representation:
    mean = masked_mean(sounds, mask).unsqueeze(1)
    return Representation(
        vectors={"avg": mean},
        weights={"avg": torch.ones_like(mean[..., 0])},
        tokens={"sounds": sounds},
        masks={"sounds": mask},
        scores=scores,
    )
