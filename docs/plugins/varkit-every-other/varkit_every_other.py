"""every_other: a sampler for varkit, the smallest plugin that is of use."""

import torch

from varkit import hookimpl
from varkit.interfaces import Count


class EveryOther:
    """Clips 0, 2, 4, ..., ``count`` of them; a shorter video repeats its last."""

    def __init__(self, *, count: Count = 16) -> None:
        self.count = count

    def __call__(self, scores, mask, draws, *, training):
        last = mask.sum(dim=1, keepdim=True) - 1
        return (2 * torch.arange(self.count, device=mask.device)).minimum(last)


@hookimpl
def register_samplers(register):
    register("every_other", EveryOther, summary="every second clip from the start")
