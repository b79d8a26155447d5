"""Ranks and the best k against the core's metrics and against sorting."""

import pytest
import torch
import varkit_kernels as vk
from varkit_kernels.similarity_ranking import compiled, retrieval
from varkit_kernels.similarity_ranking.sides import make_sides

from tests.support.kernels import dense_similarity, expect_close, gradients, pairs


@pytest.fixture(params=[1 << 24, 1], ids=["whole", "pieces"])
def pieces(request, monkeypatch):
    monkeypatch.setattr(retrieval, "PIECE", request.param)


def factors(rows, width, seed, *, distinct=None):
    """Draw factor vectors, of which only some are distinct, so that many scores tie."""
    generator = torch.Generator().manual_seed(seed)
    found = torch.randn(rows if distinct is None else distinct, width, generator=generator)
    return found[torch.arange(rows) % len(found)]


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("backend", ["cpu", "eager"])
@pytest.mark.parametrize(("videos", "queries", "distinct"), [(1, 1, 1), (7, 7, 3), (20, 33, None)])
def test_ranks_agree_with_loops(backend, videos, queries, distinct):
    video = factors(videos, 8, 0, distinct=distinct)
    query = factors(queries, 8, 1, distinct=distinct)
    owner = torch.arange(queries) % videos
    # Whole numbers, so that the dense form's products tie as well.
    video, query = (3 * video).round(), (3 * query).round()
    found = vk.ranks(video, query, owner=owner, backend=backend)
    s = (video @ query.T).tolist()
    for q in range(queries):
        right, others = s[owner[q]][q], [s[v][q] for v in range(videos) if v != owner[q]]
        assert found.query_above[q] == sum(other > right for other in others)
        assert found.query_equal[q] == sum(other == right for other in others)
    for v in range(videos):
        best = max(s[v][q] for q in range(queries) if owner[q] == v)
        assert found.video_above[v] == sum(other > best for other in s[v])
        assert found.video_equal[v] == sum(other == best for other in s[v]) - 1


def test_equal_vectors_tie_whatever_the_blocking(monkeypatch):
    video, query = factors(50, 300, 0, distinct=1), factors(50, 300, 1, distinct=1)
    for piece in (1 << 24, 350):
        monkeypatch.setattr(retrieval, "PIECE", piece)
        found = vk.ranks(video, query)
        assert (found.query_equal == 49).all()
        assert (found.video_equal == 49).all()


def test_ranks_of_experts_vectors():
    given = pairs(12, [(2, 5), (1, 4)], dtype=torch.float32)
    s = dense_similarity(given.to(torch.float64)).detach()
    found = vk.ranks(*given.arguments, alpha=given.alpha)
    assert torch.equal(found.query_above, (s > s.diagonal()).sum(0))
    assert torch.equal(found.video_above, (s > s.diagonal()[:, None]).sum(1))


def test_a_nan_ranks_last():
    video, query = factors(6, 4, 0), factors(6, 4, 1)
    query[2] = torch.nan
    found = vk.ranks(video, query)
    assert found.query_above[2] == 5
    assert found.video_above[2] == 5


@pytest.mark.parametrize(
    ("owner", "message"),
    [
        (torch.tensor([0, 1]), r"owner is \(2,\) torch.int64"),
        (torch.tensor([0, 1, 2.0]), "owner is .* torch.float32"),
        (torch.tensor([0, 1, 3]), "owner names videos outside 0 to 1"),
        (torch.tensor([0, 0, 0]), "1 of 2 videos have no query"),
        (None, "2 videos and 3 queries"),
    ],
)
def test_owners_that_do_not_fit(owner, message):
    with pytest.raises(vk.InputError, match=message):
        vk.ranks(torch.zeros(2, 4), torch.zeros(3, 4), owner=owner)


def test_ranks_has_no_compiled_form():
    if compiled.missing(torch.device("cpu")):
        pytest.skip("no compiler")
    with pytest.raises(vk.InputError, match="no compiled form"):
        vk.ranks(torch.zeros(2, 4), torch.zeros(2, 4), backend="compiled")


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("k", [1, 3, 9])
def test_topk_is_a_stable_sort(k):
    video, query = factors(9, 4, 0, distinct=5).double(), factors(14, 4, 1).double()
    video[7] = 0  # scores of 0 and of -0
    scores, positions = vk.topk(video, query, k=k)
    s = (query @ video.T).float()
    order = s.sort(dim=1, descending=True, stable=True).indices[:, :k]
    assert torch.equal(positions, order)
    assert torch.equal(scores, s.gather(1, order))


def test_topk_of_nan_and_inf():
    video = torch.tensor([[1.0], [torch.inf], [torch.nan], [-torch.inf]])
    scores, positions = vk.topk(video, torch.ones(1, 1), k=4)
    assert positions.tolist() == [[2, 1, 0, 3]]
    assert scores[0, 1:].tolist() == [torch.inf, 1.0, -torch.inf]


@pytest.mark.parametrize("k", [0, 4])
def test_topk_of_more_than_there_are(k):
    with pytest.raises(vk.InputError, match=f"k is {k}; it must be from 1 to .* 3"):
        vk.topk(torch.zeros(3, 2), torch.zeros(1, 2), k=k)


def test_similarity_is_differentiable_and_rectangular():
    given = pairs(5, [(2, 6), (3, 4)], videos=8)
    expected = dense_similarity(given)
    found = vk.similarity(*given.arguments, alpha=given.alpha)
    assert found.shape == (8, 5)
    expect_close(found, expected, 1e-13)
    weight = torch.randn(8, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expect_close(
        gradients((found * weight).sum(), given.leaves),
        gradients((expected * weight).sum(), given.leaves),
        1e-12,
    )
    left, right = make_sides(*given.arguments, None, paired=False)
    assert vk.similarity(left.vectors, right.vectors).dtype == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        half = vk.similarity(*given.to(torch.float32).arguments, alpha=given.alpha)
    assert half.dtype == torch.float32
    assert 1e-5 < (half - expected).abs().max() < 2e-2
