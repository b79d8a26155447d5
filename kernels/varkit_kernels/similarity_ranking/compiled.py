"""The one-product form under torch.compile: a strong baseline, and short."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable

import torch
from torch import Tensor

from varkit_kernels.similarity_ranking import eager
from varkit_kernels.similarity_ranking.sides import Side


def similarity(video: Side, query: Side, dtype: torch.dtype) -> Tensor:
    """Return the (V, Q) similarity as one product of factor vectors, in at least fp32."""
    product = eager.pack(video).to(dtype) @ eager.pack(query).to(dtype).T
    return product.to(torch.promote_types(dtype, torch.float32))


def _ranking_loss(
    video: Side, query: Side, margin: Tensor, group: Tensor, reduction: str, dtype: torch.dtype
) -> Tensor:
    return eager.ranking_loss(
        similarity(video, query, dtype), margin=margin, group=group, reduction=reduction
    )


def _info_nce(video: Side, query: Side, scale: Tensor, group: Tensor, dtype: torch.dtype) -> Tensor:
    return eager.info_nce(similarity(video, query, dtype), scale=scale, group=group)


@functools.cache
def ranking_loss() -> Callable[..., Tensor]:
    """Return the compiled loss; torch's compiler is loaded when first asked for."""
    return torch.compile(_ranking_loss)


@functools.cache
def info_nce() -> Callable[..., Tensor]:
    """Return the compiled InfoNCE."""
    return torch.compile(_info_nce)


def missing(device: torch.device) -> str | None:
    """Say why torch.compile cannot run for a device, None if it can."""
    if device.type == "cpu" and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        return (
            "torch.compile needs a C++ compiler for the CPU, and none of c++, g++, clang++ is there"
        )
    return None
