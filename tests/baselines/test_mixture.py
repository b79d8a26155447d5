import pytest
import torch
from varkit_baselines.ce import CeSimilarity
from varkit_baselines.mmt import MmtSimilarity

from tests.support.alan import random, shake
from tests.support.reference import expert_mixtures as reference
from tests.support.reference.alan_video import numpy_state
from varkit.blocks.streams import even_weights
from varkit.errors import VarkitError
from varkit.interfaces import Representation

EXPERTS = ("object", "motion", "third")
MODES = ("renormalise", "keep", "equal")


def video(owned=None, size=5):
    """Vectors of `size` videos; `owned` says which experts each has."""
    vectors = random(size, 3, 6, seed=1)
    weights = {} if owned is None else {"cls": even_weights(owned, vectors)}
    return Representation(vectors={"cls": vectors}, weights=weights)


def queries(size=4):
    whole = random(size, 1, 6, seed=2)
    return Representation(
        tokens={"sentence": whole}, masks={"sentence": torch.ones(size, 1, dtype=torch.bool)}
    )


def small(**options):
    torch.manual_seed(0)
    return shake(MmtSimilarity(6, EXPERTS, dropout=0.0, **options)).double()


SOME = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 0], [1, 1, 1], [0, 1, 1]], dtype=torch.bool)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("owned", [None, SOME], ids=["all", "some missing"])
@pytest.mark.parametrize("missing", MODES)
def test_similarity_equals_the_reference(missing, owned, training):
    model = small(missing=missing).train(training)
    v, q = video(owned), queries()
    has = torch.ones_like(SOME) if owned is None else owned
    right = reference.mixture(
        v.vectors["cls"].numpy(),
        has.tolist(),
        q.tokens["sentence"][:, 0].numpy(),
        numpy_state(model),
        missing=missing,
        training=training,
    )
    found = model.similarity(v, q)
    torch.testing.assert_close(found, torch.from_numpy(right), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("missing", "length"), [("renormalise", 7), ("keep", 1), ("equal", 1)])
def test_factors_have_a_block_for_every_set_of_experts(missing, length):
    model = small(missing=missing).eval()
    assert model.factors(video(SOME), "video").shape == (5, length * 3 * 6)
    assert model.factors(queries(), "query").shape == (4, length * 3 * 6)


def test_a_part_that_is_not_there_is_named():
    with pytest.raises(VarkitError, match=r"tokens of the query named 'sentence'.*gave words"):
        small().factors(Representation(tokens={"words": random(2, 3, 6, seed=3)}), "query")
    with pytest.raises(VarkitError, match=r"vectors of the video named 'avg'.*gave cls"):
        CeSimilarity(6, EXPERTS, clusters=2).factors(video(), "video")
