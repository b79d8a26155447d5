"""What encoders ask of a recipe and of videos: streams and samplers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from varkit.errors import DataError, VarkitError, did_you_mean
from varkit.interfaces import Clips, Sampler


def expect_streams(encoder: str, experts: Sequence[str], widths: Mapping[str, int]) -> None:
    """Make sure that every expert has a stream.

    Raises:
        VarkitError: one has none.
    """
    for expert in experts:
        if expert not in widths:
            raise VarkitError(
                f"{encoder}: expert {expert!r} has no stream of that name; the data has "
                f"{', '.join(widths) or 'none'}.{did_you_mean(expert, widths)}",
                hint="let model.experts name the data's streams",
            )


def expect_samplers(encoder: str, samplers: Mapping[str, Sampler], *, count: int = 50) -> None:
    """Make sure that there is a sampler; ``count`` clips are what the hint asks for.

    Raises:
        VarkitError: there is none.
    """
    if not samplers:
        raise VarkitError(
            f"{encoder}: the recipe has no sampler to choose clips",
            hint=f"add to the recipe: samplers: {{fixed: {{use: fixed_frame, count: {count}}}}}",
        )


def expect_present(encoder: str, stream: str, clips: Clips) -> None:
    """Make sure that no item lacks a stream without which nothing of it is left to encode.

    Raises:
        DataError: one does; it is named.
    """
    for item, there in zip(clips.draws.items, clips.has([stream])[:, 0].tolist(), strict=True):
        if not there:
            raise DataError(
                f"{encoder}: {item!r} lacks stream {stream!r}, the only one that is read",
                hint="leave it out of the data, or use an encoder that reads more streams",
            )


def even_weights(has: Tensor, like: Tensor) -> Tensor:
    """Weigh the experts that a video has equally; a video without any counts as having all.

    Args:
        has: bool ``(B, E)``, from :meth:`varkit.interfaces.Clips.has`.
        like: a tensor of the wanted dtype.

    Returns:
        ``(B, E)``, rows sum to 1.
    """
    counted = (has | ~has.any(dim=1, keepdim=True)).to(like.dtype)
    return counted / counted.sum(dim=1, keepdim=True)


def mean_of_experts(tokens: Sequence[Tensor], masks: Sequence[Tensor]) -> Tensor:
    """Return the ``(B, L, D)`` mean of E experts' tokens where their ``(B, L)`` masks are True."""
    real = torch.stack([*masks]).unsqueeze(-1)
    joined = torch.stack([*tokens]).masked_fill(~real, 0)
    return joined.sum(dim=0) / real.sum(dim=0).clamp(min=1)
