"""VarCMP-style video encoder: frozen frame embeddings and a temporal adapter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from varkit.blocks.pooling import masked_mean
from varkit.blocks.streams import expect_present
from varkit.blocks.unit import unit
from varkit.interfaces import Clips, Count, Detector, Natural, Representation
from varkit_varcmp.adapters import Bottleneck, TemporalAdapter
from varkit_varcmp.streams import check_width, only_expert


class ClipVideo(nn.Module):
    """Frames V and patches Q of one space, adapted (VarCMP-style, after the abstract).

    V'_t = TemporalAdapter(V_t / |V_t|),  Q'_tj = Bottleneck(Q_tj / |Q_tj|)

    Known: pre-trained models are adapted, and anomaly priors find the segments that matter (VarCMP,
    abstract). From the group's code: frozen features of every 16th frame, attention in windows
    (VadCLIP, AVadCLIP). Ours: everything else, including patches and sizes.

    Args:
        dim: D, the width of the space: the features' own.
        experts: one, the stream of frames ``(T, D)``.
        widths: of the streams, by name.
        detector: builds a detector of the unadapted frames; None = no prior.
        patches: the stream of ``(T, p D)`` patches; null = there are none.
        layers: of windowed attention; 0 = none. Not known; VadCLIP has 2 for UCF-Crime, 1 for
            XD-Violence, and a graph network.
        heads: of the attention. Not known.
        window: clips that see one another; 8 as in VadCLIP for UCF-Crime (64 for XD-Violence).
        reduction: of the bottlenecks, D to D / reduction. Not known.

    Raises:
        VarkitError: there are several experts, a stream is missing or not D wide, or the heads do
            not divide D.
    """

    consumes: ClassVar[Literal["clips", "captions"]] = "clips"

    def __init__(
        self,
        dim: int,
        experts: tuple[str, ...],
        widths: Mapping[str, int],
        detector: Callable[[int], Detector] | None,
        *,
        patches: str | None = None,
        layers: Natural = 2,
        heads: Count = 8,
        window: Count = 8,
        reduction: Count = 4,
    ) -> None:
        super().__init__()
        self.frames, self.patches, self.dim = only_expert("clip_video", experts), patches, dim
        check_width("clip_video", self.frames, widths, dim)
        if patches is not None:
            check_width("clip_video", patches, widths, dim, several=True)
            self.patch_adapter = Bottleneck(dim, reduction)
        self.adapter = TemporalAdapter(
            dim, layers=layers, heads=heads, window=window, reduction=reduction
        )
        self.detector: Any = None if detector is None else detector(dim)

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Return the arguments of a small encoder."""
        widths = {"clip": 24, "patches": 48}
        return {
            "dim": 24,
            "experts": ("clip",),
            "widths": widths,
            "patches": "patches",
            "window": 4,
        }

    def forward(self, clips: Clips) -> Representation:
        """Encode B videos.

        Returns:
            Vectors ``avg`` ``(B, 1, D)``, the mean frame; tokens ``frames`` ``(B, T, D)`` and
            ``patches`` ``(B, T, p D)``, 0 where a video has none; scores ``(B, T)`` where there is
            a detector.

        Raises:
            DataError: a video lacks the frames.
        """
        expect_present("clip_video", self.frames, clips)
        raw = clips.streams[self.frames]
        frames = self.adapter(unit(raw), clips.mask)
        patches = self._patches(clips)
        if patches is not None:
            patches = self.patch_adapter(patches)
        scores = None if self.detector is None else self.detector(raw, clips.mask)
        return self._represent(frames, patches, clips, scores)

    def zero_shot(self, clips: Clips) -> Representation:
        """Return what :meth:`forward` does before the first step, without scores."""
        frames = unit(clips.streams[self.frames])
        return self._represent(frames, self._patches(clips), clips, None)

    def _patches(self, clips: Clips) -> Tensor | None:
        """Return ``(B, T, p, D)`` unit vectors."""
        if self.patches is None:
            return None
        side_by_side = clips.features(self.patches).masked_fill(~clips.mask.unsqueeze(-1), 0)
        return unit(side_by_side.view(*side_by_side.shape[:2], -1, self.dim))

    def _represent(
        self, frames: Tensor, patches: Tensor | None, clips: Clips, scores: Tensor | None
    ) -> Representation:
        parts, masks = {"frames": frames}, {"frames": clips.mask}
        if patches is not None and self.patches is not None:
            parts["patches"] = patches.flatten(2)
            masks["patches"] = clips.mask & clips.has([self.patches])
        tokens = {n: x.masked_fill(~masks[n].unsqueeze(-1), 0) for n, x in parts.items()}
        return Representation(
            vectors={"avg": masked_mean(tokens["frames"], clips.mask).unsqueeze(1)},
            tokens=tokens,
            masks=masks,
            scores=scores,
        )
