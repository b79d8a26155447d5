"""The weighted cosine of Eq. 3-5 against loops, and its corner cases."""

import numpy as np
import pytest
import torch
from varkit_alan.alignment import Avg, Cls

from tests.support.reference import alan_text
from varkit.blocks.unit import unit
from varkit.errors import VarkitError
from varkit.interfaces import Representation

SHAPES = [(1, 1, 1, 1), (3, 5, 2, 7), (4, 2, 7, 3)]


def make(videos, queries, experts, dim, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    names = ("cls", "avg")
    seen, asked = ({n: draw(size, experts, dim) for n in names} for size in (videos, queries))
    weights = {n: draw(queries, experts).softmax(-1) for n in names}
    return Representation(vectors=seen), Representation(vectors=asked, weights=weights)


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
    assert [x.shape for x in (left, right)] == [(n, shape[2] * shape[3]) for n in shape[:2]]
    assert torch.equal(Cls().similarity(video, query), left @ right.T)


def test_weights_and_lengths_of_the_video_side_do_not_count():
    video, query = make(4, 4, 2, 5)
    longer = {n: 1e3 * x for n, x in video.vectors.items()}
    other = Representation(vectors=longer, weights=query.weights)
    torch.testing.assert_close(
        Cls().similarity(other, query), Cls().similarity(video, query), rtol=0, atol=1e-12
    )


def test_an_expert_that_a_video_lacks_does_not_count():
    video, query = make(3, 4, 3, 5)
    has = torch.tensor([[True, True, True], [True, False, True], [False, False, True]])
    lacking = Representation(vectors=video.vectors, weights={"cls": has / has.sum(1, keepdim=True)})
    found = Cls().similarity(lacking, query)
    assert torch.equal(found[0], Cls().similarity(video, query)[0])
    unit_q = unit(query.vectors["cls"]) * query.weights["cls"].unsqueeze(-1)
    by_expert = torch.einsum("ved,qed->vqe", unit(video.vectors["cls"]), unit_q)
    torch.testing.assert_close(found[1], by_expert[1][:, [0, 2]].sum(-1) * 3 / 2)
    torch.testing.assert_close(found[2], by_expert[2][:, 2] * 3)


def test_zero_vector_gives_zero_and_no_gradient():
    video, query = make(2, 3, 2, 4)
    leaf = video.vectors["cls"].index_fill(1, torch.tensor(1), 0).requires_grad_()
    similarity = Cls().similarity(Representation(vectors={"cls": leaf}), query)
    similarity.square().sum().backward()
    assert not unit(leaf)[:, 1].any()
    assert torch.isfinite(similarity).all()
    assert not leaf.grad[:, 1].any()
    assert leaf.grad[0, 0].any()
    assert torch.isfinite(leaf.grad).all()


def test_half_precision_is_computed_in_fp32():
    found = unit(torch.full((1, 4), 3e4, dtype=torch.float16))
    torch.testing.assert_close(found, torch.full((1, 4), 0.5))  # which compares types, too


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
