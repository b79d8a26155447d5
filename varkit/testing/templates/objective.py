"""my_part: an objective for varkit."""

import torch
from torch import Tensor
from torch.nn import functional as F

from varkit import hookimpl
from varkit.interfaces import Pairs, Positive
from varkit.plugins.registry import Register


class MyPart:
    """Cross-entropy of every pair against the rest of the batch, both ways.

    Args:
        temperature: divides the similarities.
    """

    def __init__(self, *, temperature: Positive = 0.1) -> None:
        self.temperature = temperature

    def factored(self, video: Tensor, query: Tensor, pairs: Pairs) -> Tensor:
        """Return the () loss of (B, K) factor vectors."""
        return self.dense(video @ query.T, pairs)

    def dense(self, similarity: Tensor, pairs: Pairs) -> Tensor:
        """Return the () loss of a (B, B) similarity; equal queries are not negatives."""
        group = pairs.group
        own = torch.arange(len(group), device=group.device)
        twins = (group[:, None] == group) & (own[:, None] != own)
        logits = (similarity / self.temperature).masked_fill(twins, -torch.inf)
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


@hookimpl
def register_objectives(register: Register) -> None:
    """Register the objective."""
    register("my_part", MyPart, summary="cross-entropy against the rest of the batch")
