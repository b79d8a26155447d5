"""Distillation: adapted scores are kept near those of the frozen features."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F

from varkit.errors import VarkitError
from varkit.interfaces import Alignment, Batch, Clips, Encoder, Positive, Representation
from varkit_varcmp.alignment import Hierarchical, hierarchies


@runtime_checkable
class Adapted(Protocol):
    """An encoder that can also encode without its adapters."""

    def zero_shot(self, clips: Clips) -> Representation:
        """Encode B videos or queries as before the first step."""


class Distillation:
    """How far a batch's scores are from zero-shot ones, in training only (ours).

    L = 1/2 (KL_rows + KL_columns),
    KL_rows = 1/B sum_i KL(softmax_j(z_ij / temperature) || softmax_j(s_ij / temperature))

    s is the alignment's similarity. z is zero-shot: the same levels with equal weights, on the
    frozen features and without a prior. z depends on nothing that is trained, so it is the same in
    every epoch, and L is 0 before the first step if beta begins at 0.

    Identical queries need no mask: the target is a distribution, in which they are equal. VarCMP's
    losses are not known. Hinton et al. (2015) multiply by the square of the temperature; here the
    recipe's weight does.

    Args:
        video_encoder: ``clip_video``, or another encoder with ``zero_shot``.
        query_encoder: ``clip_text``, ``clip_audio``, or another encoder with ``zero_shot``.
        alignments: the ``hierarchical`` ones count; the losses of several are added.
        temperature: of both softmaxes; the recipes' objective starts at the same value.

    Raises:
        VarkitError: an encoder has no ``zero_shot``, or no alignment is ``hierarchical``.
    """

    def __init__(
        self,
        video_encoder: Encoder,
        query_encoder: Encoder,
        alignments: Mapping[str, Alignment],
        *,
        temperature: Positive = 0.07,
    ) -> None:
        self.video = _adapted("video", video_encoder)
        self.query = _adapted("query", query_encoder)
        self.alignments = hierarchies("distillation", alignments)
        self.temperature = temperature

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Return arguments that suit the clips of the conformance kit."""
        from varkit_varcmp.text import ClipText
        from varkit_varcmp.video import ClipVideo

        return {
            "dim": 16,
            "experts": ("frames",),
            "video_encoder": ClipVideo(16, ("frames",), {"frames": 16}, None),
            "query_encoder": ClipText(16, ("frames",), {"audio": 16}),
            "alignments": {"all": Hierarchical()},
        }

    def __call__(self, video: Representation, query: Representation, batch: Batch) -> Tensor:
        """Return the () loss of B pairs; 0 for B = 1.

        Raises:
            VarkitError: the queries are captions, not features.
        """
        if not isinstance(batch.query, Clips):
            raise VarkitError("distillation: the queries are captions, not features of one space")
        # Like the ranking loss: differences of cosines are too small for half precision.
        with torch.autocast(batch.label.device.type, enabled=False):
            with torch.no_grad():
                frozen = self.video.zero_shot(batch.video), self.query.zero_shot(batch.query)
                teachers = [
                    torch.stack([*alignment.by_level(*frozen).values()]).mean(dim=0)
                    for alignment in self.alignments
                ]
            students = [alignment.similarity(video, query) for alignment in self.alignments]
            return torch.stack([*map(self._both_ways, teachers, students)]).sum()

    def _both_ways(self, teacher: Tensor, student: Tensor) -> Tensor:
        z, s = teacher / self.temperature, student / self.temperature
        return (_divergence(z, s) + _divergence(z.T, s.T)) / 2


def _divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """Return the mean over rows of KL(softmax(teacher) || softmax(student))."""
    return F.kl_div(
        student.log_softmax(dim=1),
        teacher.log_softmax(dim=1),
        reduction="batchmean",
        log_target=True,
    )


def _adapted(side: str, encoder: Encoder) -> Adapted:
    if not isinstance(encoder, Adapted):
        raise VarkitError(
            f"distillation: the {side} encoder {type(encoder).__name__} has no zero_shot, so there "
            "is nothing to distil",
            hint="take distillation out of the recipe, or use clip_video with clip_text or "
            "clip_audio",
        )
    return encoder
