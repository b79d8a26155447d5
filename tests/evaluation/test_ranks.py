"""Ranks by counting against explicit sorts, and the conventions that the tables state."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.reference import retrieval_metrics as reference
from tests.support.tiny_captions import Captioned
from varkit.data.positives import Positives, positives_of, query_group
from varkit.errors import DataError
from varkit.evaluation import metrics
from varkit.evaluation.detection import auc, average_precision
from varkit.evaluation.rank import ranks_from_factors, ranks_from_similarity, ranks_from_tiles
from varkit.interfaces import Item

own = Positives.own


@st.composite
def galleries(draw):
    """Small whole numbers, so that ties are common; 1 to 3 captions a video, in any order."""
    captions = draw(st.lists(st.integers(1, 3), min_size=1, max_size=7))
    owner = draw(st.permutations(np.repeat(np.arange(len(captions)), captions).tolist()))
    width = draw(st.integers(1, 3))
    number = st.integers(-2, 2).map(float)
    rows = len(captions) + len(owner)
    factors = torch.tensor(draw(st.lists(number, min_size=rows * width, max_size=rows * width)))
    video, query = factors.view(rows, width).split([len(captions), len(owner)])
    return video, query, torch.tensor(owner)


@settings(max_examples=150)
@given(galleries(), st.sampled_from([1, 3, 1000]), st.sampled_from(list(reference.PLACE)))
def test_ranks_are_those_of_an_explicit_sort(gallery, chunk, ties):
    video, query, owner = gallery
    similarity = video @ query.T
    of_queries, of_videos = reference.ranks(similarity, owner, ties)
    right = own(owner, len(video))
    for found in (
        ranks_from_factors(video, query, right, chunk=chunk, ties=ties),
        ranks_from_similarity(similarity, right, chunk=chunk, ties=ties),
    ):
        assert found.query_to_video.rank.tolist() == of_queries.tolist()
        assert found.video_to_query.rank.tolist() == of_videos.tolist()


@settings(max_examples=60)
@given(galleries())
def test_counted_ties_and_the_optimistic_sum_are_those_of_the_reference(gallery):
    video, query, owner = gallery
    report = metrics.summarize(ranks_from_factors(video, query, own(owner, len(video))))
    rules = ("optimistic", "pessimistic")
    best, worst = (reference.ranks(video @ query.T, owner, ties) for ties in rules)
    for way, low, high in zip(metrics.DIRECTIONS, best, worst, strict=True):
        assert report[way]["ties"] == int((low != high).sum())
    recalls = [reference.figures(ranks)[f"R@{k}"] for ranks in best for k in (1, 5, 10)]
    assert report["SumR_optimistic"] == pytest.approx(sum(recalls))


def test_figures_are_those_of_the_definitions():
    generator = torch.Generator().manual_seed(0)
    owner = torch.arange(23).repeat_interleave(2)
    similarity = torch.randn(23, 46, generator=generator)
    report = metrics.summarize(ranks_from_similarity(similarity, own(owner, 23)))
    for way, ranks in zip(metrics.DIRECTIONS, reference.ranks(similarity, owner), strict=True):
        figures = reference.figures(ranks)
        assert {k: report[way][k] for k in figures} == pytest.approx(figures)
        assert report[way]["n"] == len(ranks)
    recalls = [report[way][f"R@{k}"] for way in metrics.DIRECTIONS for k in (1, 5, 10)]
    assert report["SumR"] == pytest.approx(sum(recalls))
    assert [metrics.figure(report, name) for name in metrics.FIGURES][-1] == report["SumR"]


def test_ranks_agree_with_the_closed_form_of_mmt():
    # r = #{s > s*} + (#{s = s*} - 1) / 2 from 0, the count including the right answer; from
    # videos to queries the least r of the video's captions, its other captions counted.
    similarity = torch.randint(0, 5, (8, 24), generator=torch.Generator().manual_seed(1)).float()
    owner = torch.arange(8).repeat_interleave(3)
    s = similarity.numpy()
    right = s[owner, np.arange(24)]
    from_zero = (s > right).sum(0) + ((s == right).sum(0) - 1) / 2
    columns = s[owner]  # row c: how every query scores on the video of caption c
    mine = right[:, None]
    of_captions = (columns > mine).sum(1) + ((columns == mine).sum(1) - 1) / 2
    captions = of_captions.reshape(8, 3).min(1)
    ranks = ranks_from_similarity(similarity, own(owner, 8))
    assert ranks.query_to_video.rank.tolist() == (from_zero + 1).tolist()
    assert ranks.video_to_query.rank.tolist() == (captions + 1).tolist()


def test_identity_is_perfect_and_one_video_is_not_collapsed():
    report = metrics.summarize(ranks_from_similarity(torch.eye(12), own(torch.arange(12))))
    for way in metrics.DIRECTIONS:
        assert (report[way]["R@1"], report[way]["MdR"], report[way]["ties"]) == (100, 1, 0)
    assert not report["collapsed"]
    assert not ranks_from_similarity(torch.tensor([[0.5]]), own(torch.tensor([0]))).collapsed


def test_one_of_two_that_share_the_places_5_and_6_is_half_a_hit_at_5():
    similarity = torch.eye(7)
    similarity[:6, 0] = torch.tensor([1.0, 2, 2, 2, 2, 1])  # two share the places 5 and 6
    ranks = ranks_from_similarity(similarity, own(torch.arange(7)))
    assert ranks.query_to_video.rank[0] == 5.5
    assert metrics.summarize(ranks)["query_to_video"]["R@5"] == pytest.approx(650 / 7)


def test_identical_vectors_tie_wherever_they_lie_and_however_chunked():
    generator = torch.Generator().manual_seed(3)
    video = torch.nn.functional.normalize(torch.randn(50, 768, generator=generator))
    video[[7, 33, 49]] = video[0].clone()
    query = torch.nn.functional.normalize(torch.randn(50, 768, generator=generator))
    for chunk in (1, 3, 7, 1000):
        ranks = ranks_from_factors(video, query, own(torch.arange(50)), chunk=chunk)
        ties = ranks.query_to_video.ties
        assert ties.nonzero()[0].tolist() == [0, 7, 33, 49]
        assert set(ties[[0, 7, 33, 49]]) == {3}


def test_a_right_answer_does_not_outrank_itself_by_rounding():
    passes = iter([torch.eye(4), torch.nextafter(torch.eye(4), torch.tensor(9.0))])
    place = torch.arange(4)
    ranks = ranks_from_tiles(lambda: [(place, place, next(passes))], own(place))
    for answers in (ranks.query_to_video, ranks.video_to_query):
        assert answers.rank.tolist() == [1.0] * 4


@pytest.mark.parametrize("side", ["video", "query"])
def test_one_collapsed_side_is_reported_up_to_rounding(side):
    generator = torch.Generator().manual_seed(4)
    rows = torch.randn(20, 64, generator=generator).double()
    same = rows[:1] * (1 + 1e-7 * torch.randn(20, 64, generator=generator).double())
    pair = (same, rows) if side == "video" else (rows, same)
    assert ranks_from_factors(*pair, own(torch.arange(20))).collapsed
    assert not ranks_from_factors(rows, rows, own(torch.arange(20))).collapsed


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_what_is_no_number_is_an_error_that_names_the_rows_or_the_pair(bad):
    factors = torch.ones(9, 2)
    factors[[2, 5]] = bad
    with pytest.raises(DataError, match="2 of 9 query vectors are not finite: 2, 5"):
        ranks_from_factors(torch.ones(9, 2), factors, own(torch.arange(9)))
    similarity = torch.eye(5)
    similarity[3, 4] = bad
    names = [*"abcde"], [*"vwxyz"]
    with pytest.raises(DataError, match=f"video 'd' and query 'z' is {bad}, not a finite float32"):
        ranks_from_similarity(similarity, own(torch.arange(5)), chunk=2, names=names)


def test_a_product_of_finite_factors_that_is_not_finite_is_an_error_too():
    rows = torch.eye(4)
    rows[1] *= 1e30
    with pytest.raises(DataError, match="video '1' and query '1' is inf, not a finite"):
        ranks_from_factors(rows, rows, own(torch.arange(4)))
    wide = torch.eye(3).double()
    wide[2, 0] = -1e39  # finite, but not as float32
    with pytest.raises(DataError, match="video '2' and query '0' is -inf"):
        ranks_from_similarity(wide, own(torch.arange(3)))


def test_a_video_without_a_right_answer_is_only_a_candidate():
    right = Positives(torch.tensor([0, 2]), torch.tensor([0, 1]), 3, 2)
    similarity = torch.tensor([[1.0, 0], [2, 1], [0, 2]])
    ranks = ranks_from_similarity(similarity, right)
    assert ranks.query_to_video.rank.tolist() == [2, 1]
    assert right.named.tolist() == [0, 2]
    assert ranks.video_to_query.rank.tolist() == [1, 1]
    assert metrics.chance(right)["video_to_query"]["n"] == 2


@pytest.mark.parametrize(
    ("owner", "message"),
    [
        (torch.tensor([0, 1, 3]), "there is no video 3: they are 0 to 2"),
        (torch.tensor([0, -1, 2]), "there is no video -1"),
        (torch.tensor([[0, 1, 2]]), r"must be int64; it is \(1, 3\) torch.int64"),
        (torch.tensor([0.0, 1, 2]), "int64"),
        (torch.empty(0, dtype=torch.int64), "no queries"),
    ],
)
def test_an_owner_that_does_not_fit_is_an_error(owner, message):
    with pytest.raises(DataError, match=message):
        own(owner, 3)


@pytest.mark.parametrize("side", [0, 1])
def test_more_or_fewer_vectors_than_right_answers_is_an_error(side):
    vectors = [torch.eye(4)[:3], torch.eye(4)[:3]]
    vectors[side] = torch.eye(4)
    with pytest.raises(DataError, match=r"4 (video|query) vectors, but right answers for 3"):
        ranks_from_factors(*vectors, own(torch.arange(3)))
    with pytest.raises(DataError, match=r"4 x 3|3 x 4"):
        ranks_from_similarity(vectors[0] @ vectors[1].T, own(torch.arange(3)))


SAME = st.sampled_from(["a man falls", "A man falls.", " a  man\tfalls. ", "a man falls down", "!"])


@settings(max_examples=150)
@given(
    st.lists(st.lists(SAME, min_size=1, max_size=2), min_size=1, max_size=5),
    st.sampled_from(["own", "duplicates", "unique"]),
    st.sampled_from(list(reference.PLACE)),
    st.data(),
)
def test_every_rule_is_that_of_its_definition(captions, rule, ties, data):
    dataset = Captioned(captions)
    queries, owner, positives = positives_of(dataset, dataset.items(), rule)
    kept, right = reference.right_videos(captions, rule)
    assert [tuple(map(int, query.split("/"))) for query in queries] == kept
    assert owner.tolist() == [v for v, _ in kept]
    shape = (len(captions), len(queries))
    numbers = st.lists(st.integers(0, 2), min_size=shape[0] * shape[1], max_size=99)
    similarity = torch.tensor(data.draw(numbers)[: shape[0] * shape[1]]).view(shape).float()
    found = ranks_from_similarity(similarity, positives, chunk=2, ties=ties)
    of_queries, of_videos = reference.best_ranks(similarity, right, rule, ties)
    assert found.query_to_video.rank == pytest.approx(of_queries)
    assert found.video_to_query.rank == pytest.approx(of_videos)
    if ties == "average":
        scores = similarity.tolist()
        of_queries = [
            reference.hits(*pair) for pair in zip(similarity.T.tolist(), right, strict=True)
        ]
        own = [{q for q, videos in enumerate(right) if v in videos} for v in range(len(scores))]
        of_videos = [reference.hits(*pair) for pair in zip(scores, own, strict=True)]
        np.testing.assert_allclose(found.query_to_video.hits, of_queries, atol=1e-12)
        np.testing.assert_allclose(found.video_to_query.hits, of_videos, atol=1e-12)
    pairs = list(zip(positives.video.tolist(), positives.query.tolist(), strict=True))
    assert positives.clusters() == reference.components(pairs, len(captions))
    for q, videos in enumerate(right):
        best = found.query_to_video.answer[q]
        assert best in videos
        assert similarity[best, q] == max(similarity[v, q] for v in videos)
        assert positives.of_query(q) == sorted(videos)


def test_sounds_are_the_same_as_no_other():
    sounds = Captioned([["x"], ["x", "x"]])
    sounds.query_kind = "clips"
    for rule in ("own", "duplicates", "unique"):
        queries, owner, positives = positives_of(sounds, sounds.items(), rule)
        assert (len(queries), owner.tolist()) == (3, [0, 1, 1])
        assert (positives.rule, positives.video.tolist()) == (rule, [0, 1, 1])


def test_a_query_that_is_listed_twice_is_an_error():
    items = [Item("v0", ("q",)), Item("v1", ("p", "q"))]
    with pytest.raises(DataError, match="query 'q' is listed twice"):
        positives_of(Captioned([["x"], ["y", "z"]]), items, "own")


def test_captions_are_the_same_but_for_case_spaces_and_the_final_period():
    same = {query_group(text) for text in ("A man  falls.", "a man falls", " a MAN\nfalls .")}
    assert len(same) == 1
    for other in ("a man falls!", "a man fall", "a. man falls", ""):
        assert query_group(other) not in same


def test_chance_is_the_mean_of_random_rankings():
    owner = torch.tensor([0, 0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8])
    expected = metrics.chance(own(owner, 9))
    generator = torch.Generator().manual_seed(5)
    random = [torch.rand(9, 12, generator=generator) for _ in range(3000)]
    drawn = [metrics.summarize(ranks_from_similarity(one, own(owner, 9))) for one in random]
    for name in metrics.FIGURES:
        values = [metrics.figure(report, name) for report in drawn]
        if not name.endswith("MdR"):  # a median has no such expectation
            error = 5 * np.std(values) / np.sqrt(len(values)) + 1e-9
            assert metrics.figure(expected, name) == pytest.approx(np.mean(values), abs=error)


def test_chance_of_the_benchmarks():
    # UCFCrime-AR and XDViolence-AR: 290 and 800 pairs.
    for pairs, total, median in ((290, 11.03, 145.5), (800, 4.0, 400.5)):
        expected = metrics.chance(own(torch.arange(pairs)))
        assert expected["SumR"] == pytest.approx(total, abs=0.01)
        for way in metrics.DIRECTIONS:
            assert expected[way]["MdR"] == median
            assert expected[way]["MnR"] == pytest.approx(median)


@settings(max_examples=80)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=12))
def test_auc_and_average_precision_are_those_of_their_definitions(pairs):
    scores = np.array([score for score, _ in pairs], dtype=np.float32)
    truth = np.array([anomalous for _, anomalous in pairs])
    if truth.all() or not truth.any():
        assert auc(scores, truth) is None
        assert average_precision(scores, truth) is None
    else:
        assert auc(scores, truth) == pytest.approx(reference.auc(scores, truth))
        expected = reference.average_precision(scores, truth)
        assert average_precision(scores, truth) == pytest.approx(expected)


def test_a_query_without_a_right_answer_is_an_error_and_a_video_is_not():
    with pytest.raises(DataError, match="1 of 3 queries have no right answer, the first is 1"):
        Positives(torch.tensor([0, 1]), torch.tensor([0, 2]), 2, 3)
    assert own(torch.tensor([0, 2, 2]), 4).named.tolist() == [0, 2]
