"""The weighted cosine of Eq. 3-5 against loops, and its corner cases."""

import numpy as np
import pytest
import torch
from varkit_alan.alignment import Avg, Cls

from tests.support.reference import alan_text
from varkit.blocks.unit import unit
from varkit.errors import VarkitError
from varkit.interfaces import Representation
from varkit.testing.alignments import check_alignment

SHAPES = [(1, 1, 1, 1), (3, 5, 2, 7), (4, 2, 7, 3)]


def make(videos, queries, experts, dim, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    video = Representation(vectors={n: draw(videos, experts, dim) for n in ("cls", "avg")})
    query = Representation(
        vectors={n: draw(queries, experts, dim) for n in ("cls", "avg")},
        weights={n: draw(queries, experts).softmax(-1) for n in ("cls", "avg")},
    )
    return video, query


@pytest.mark.parametrize("alignment", [Cls(), Avg()], ids=["cls", "avg"])
@pytest.mark.parametrize("shape", SHAPES)
def test_agrees_with_loops(alignment, shape):
    video, query = make(*shape)
    name = alignment.vectors
    expected = alan_text.similarity(
        video.vectors[name].numpy(), query.vectors[name].numpy(), query.weights[name].numpy()
    )
    np.testing.assert_allclose(alignment.similarity(video, query).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_factors_multiply_to_the_similarity(shape):
    video, query = make(*shape)
    left, right = Cls().factors(video, "video"), Cls().factors(query, "query")
    assert left.shape == (shape[0], shape[2] * shape[3])
    assert right.shape == (shape[1], shape[2] * shape[3])
    assert torch.equal(Cls().similarity(video, query), left @ right.T)


def test_weights_of_the_video_side_do_not_count():
    video, query = make(3, 3, 2, 4)
    weighted = Representation(vectors=video.vectors, weights=query.weights)
    assert torch.equal(Cls().similarity(video, query), Cls().similarity(weighted, query))


def test_length_of_a_vector_does_not_count():
    video, query = make(3, 4, 2, 5)
    longer = Representation(vectors={n: 1e3 * x for n, x in video.vectors.items()})
    torch.testing.assert_close(
        Cls().similarity(longer, query), Cls().similarity(video, query), rtol=0, atol=1e-12
    )


def test_zero_vector_gives_zero_and_no_gradient():
    video, query = make(2, 3, 2, 4)
    leaf = video.vectors["cls"].clone()
    leaf[0, 1] = 0
    leaf.requires_grad_()
    similarity = Cls().similarity(Representation(vectors={"cls": leaf}), query)
    similarity.square().sum().backward()
    assert not unit(leaf)[0, 1].any()
    assert torch.isfinite(similarity).all()
    assert not leaf.grad[0, 1].any()
    assert leaf.grad[0, 0].any()
    assert torch.isfinite(leaf.grad).all()


def test_half_precision_is_computed_in_fp32():
    x = torch.full((1, 4), 3e4, dtype=torch.float16)
    found = unit(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.full((1, 4), 0.5))


def test_gradcheck():
    video, query = make(3, 2, 2, 3)
    given = (video.vectors["avg"], query.vectors["avg"], query.weights["avg"])
    leaves = [x.clone().requires_grad_() for x in given]

    def function(v, q, w):
        asked = Representation(vectors={"avg": q}, weights={"avg": w})
        return Avg().similarity(Representation(vectors={"avg": v}), asked)

    assert torch.autograd.gradcheck(function, leaves)


def test_absent_vectors_are_named():
    video, query = make(2, 2, 1, 3)
    with pytest.raises(VarkitError, match=r"'cls' needs vectors named 'cls'; the video encoder"):
        Cls().factors(Representation(), "video")
    without = Representation(vectors=query.vectors)
    with pytest.raises(VarkitError, match=r"vectors and weights named 'avg'; the query encoder"):
        Avg().similarity(video, without)


@pytest.mark.parametrize("alignment", [Cls, Avg])
def test_keeps_the_promises_of_an_alignment(alignment):
    check_alignment(alignment(), fresh=alignment())
