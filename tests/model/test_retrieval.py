"""What a model promises its objective."""

import pytest
import torch
from torch import nn
from varkit_alan.margin_ranking import MarginRanking
from varkit_baselines.hardest_negative import HardestNegative
from varkit_baselines.info_nce import InfoNCE
from varkit_baselines.sampled_negative import SampledNegative

from varkit.interfaces import Batch, Pairs, Representation
from varkit.model.retrieval import RetrievalModel, Weighted
from varkit.testing.stand_ins import make_clips


class Given(nn.Module):
    """An encoder that gives the same vectors whatever it is shown."""

    def __init__(self, vectors):
        super().__init__()
        self.vectors = vectors

    def forward(self, inputs):
        return Representation(vectors={"avg": self.vectors})


class Inner:
    """The inner product of the vectors, as they are."""

    def factors(self, representation, side):
        return representation.vectors["avg"].flatten(1)


@pytest.mark.parametrize(
    "objective", [MarginRanking(), HardestNegative(), InfoNCE(), SampledNegative()]
)
def test_the_loss_of_half_precision_factors_is_fp32_under_autocast(objective):
    generator = torch.Generator().manual_seed(0)
    video, query = (torch.randn(2, 6, 1, 64, generator=generator) / 8).bfloat16().unbind()
    clips = make_clips(lengths=range(1, 7))
    batch = Batch(clips, clips, torch.zeros(6), torch.arange(6), clips.draws)
    model = RetrievalModel(
        video=Given(video),
        query=Given(query),
        alignments={"inner": Weighted(Inner(), 1.0)},
        objective=objective,
    )
    pairs = Pairs(batch.group, batch.draws.named("pairs").uniform(2))
    exact = objective.factored(video.double().flatten(1), query.double().flatten(1), pairs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = model(batch)["align"]
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(exact.item(), rel=1e-5)
