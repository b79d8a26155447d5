"""Ways in which published figures went wrong, and what varkit's say in their place.

The faulty metrics are written out here; none of them is anybody's code.
"""

import numpy as np
import pytest
import torch

from tests.support.tiny_captions import Captioned
from varkit.data.positives import Positives, positives_of
from varkit.errors import DataError
from varkit.evaluation.metrics import DIRECTIONS, summarize
from varkit.evaluation.rank import ranks_from_factors, ranks_from_similarity

own = Positives.own


def ranks_by_difference(similarity):
    """Zero-based ranks of the diagonal, as wherever a sorted row minus its right score is zero."""
    similarity = np.asarray(similarity)
    ordered = -np.sort(-similarity, axis=1)
    return np.where(ordered - np.diag(similarity)[:, None] == 0)[1]


@pytest.fixture(scope="module")
def ucf(real_data):
    """A model that knows every test video but for 936 and 937, which are the same video."""
    openpyxl = pytest.importorskip("openpyxl")
    sheet = openpyxl.load_workbook(real_data / "ucfcrime_ar" / "ucf_crime_test.xlsx").worksheets[0]
    header, *rows = sheet.iter_rows(values_only=True)
    name, caption = header.index("Video Name"), header.index("English Text")
    rows = [row for row in rows if row[name]]
    captions = [row[caption] for row in rows]
    generator = torch.Generator().manual_seed(0)
    vector = {caption: torch.randn(64, generator=generator) for caption in captions}
    query = torch.stack([vector[caption] for caption in captions])
    video = query + 0.01 * torch.randn(query.shape, generator=generator)
    names = [row[name].strip().rpartition("/")[2] for row in rows]
    one, other = (names.index(f"Normal_Videos_{number}_x264.mp4") for number in (936, 937))
    video[other] = video[one]
    return Captioned([[caption] for caption in captions]), video.double(), query.double()


def figures_of(ucf, rule):
    dataset, video, query = ucf
    _, owner, positives = positives_of(dataset, dataset.items(), rule)
    return summarize(ranks_from_factors(video, query[owner], positives))


def test_appended_ties_change_n_and_ours_does_not(ucf):
    _, video, query = ucf
    similarity = (video @ query.T).float()
    # Two queries see both of two identical videos; four videos see one caption twice.
    assert len(ranks_by_difference(similarity.T)) == 292
    assert len(ranks_by_difference(similarity)) == 294
    report = figures_of(ucf, "own")
    assert [report[way]["n"] for way in DIRECTIONS] == [290, 290]
    assert [report[way]["ties"] for way in DIRECTIONS] == [2, 4]


def test_no_model_of_captions_alone_gets_a_hundred_percent_under_the_rule_own(ucf):
    # Of two equal captions on different videos one query misses, of those on equal videos both
    # tie; towards the captions all four tie. Of each pair that ties, one is expected to hit.
    report = figures_of(ucf, "own")
    assert report["query_to_video"]["R@1"] == pytest.approx(100 * 288 / 290)
    assert report["video_to_query"]["R@1"] == pytest.approx(100 * 288 / 290)
    for rule, queries in (("duplicates", 290), ("unique", 288)):
        report = figures_of(ucf, rule)
        assert [report[way]["n"] for way in DIRECTIONS] == [queries, 290]
        assert [report[way]["ties"] for way in DIRECTIONS] == [0, 0]
        assert [report[way]["R@1"] for way in DIRECTIONS] == [100, 100]


def test_half_of_the_rows_constant_leaves_the_other_half_and_chance():
    similarity = np.random.default_rng(0).random((100, 100)) + 2 * np.eye(100)
    similarity[:50] = 0.3
    appended = ranks_by_difference(similarity)
    assert len(appended) == 50 * 100 + 50
    assert np.mean(appended == 0) < 0.021
    rows = torch.from_numpy(similarity)
    report = summarize(ranks_from_similarity(rows.T, own(torch.arange(100))))
    assert report["query_to_video"]["R@1"] == pytest.approx(50 + 50 / 100)
    assert report["query_to_video"]["ties"] == 50


def test_a_right_answer_below_zero_is_found():
    similarity = torch.full((4, 4), -0.5).fill_diagonal_(-0.1)
    # Where a target with a score that is not positive counts as none, nothing is ever found.
    target = torch.eye(4).where(similarity > 0, torch.zeros(()))
    assert target.sum() == 0
    report = summarize(ranks_from_similarity(similarity, own(torch.arange(4))))
    assert [report[way]["R@1"] for way in DIRECTIONS] == [100, 100]


@pytest.mark.parametrize("n", [7, 8])
@pytest.mark.parametrize(
    ("ties", "recall"), [("average", None), ("optimistic", 100), ("pessimistic", 0)]
)
def test_a_constant_matrix_is_a_success_under_one_rule_alone_and_is_reported(ties, recall, n):
    ranks = ranks_from_similarity(torch.full((n, n), 0.3), own(torch.arange(n)), ties=ties)
    report = summarize(ranks)
    expected = pytest.approx(100 / n if recall is None else recall), n
    assert [(report[way]["R@1"], report[way]["ties"]) for way in DIRECTIONS] == [expected] * 2
    assert report["collapsed"]
    assert report["SumR_optimistic"] == 600


def test_rows_that_are_no_number_do_not_vanish():
    similarity = torch.eye(4)
    similarity[2] = torch.nan
    assert len(ranks_by_difference(similarity)) == 3
    with pytest.raises(DataError, match="video '2' and query '0' is nan, not a finite float32"):
        ranks_from_similarity(similarity, own(torch.arange(4)))
    factors = torch.eye(4)
    factors[2, 0] = torch.nan
    with pytest.raises(DataError, match="1 of 4 video vectors are not finite: 2"):
        ranks_from_factors(factors, torch.eye(4), own(torch.arange(4)))


def test_the_median_of_an_even_number_lies_between_the_middle_two():
    # Query q ranks its video at place q + 1.
    similarity = torch.tril(torch.ones(4, 4), -1).T * 2 + torch.eye(4)
    found = ranks_from_similarity(similarity, own(torch.arange(4))).query_to_video
    assert found.rank.tolist() == [1, 2, 3, 4]
    assert torch.median(torch.from_numpy(found.rank)) == 2  # torch takes the lower one
    report = summarize(ranks_from_similarity(similarity, own(torch.arange(4))))
    assert report["query_to_video"]["MdR"] == 2.5


@pytest.mark.parametrize("ties", ["average", "optimistic", "pessimistic"])
def test_the_order_of_the_gallery_changes_nothing(ties):
    generator = torch.Generator().manual_seed(0)
    similarity = torch.randint(0, 4, (20, 30), generator=generator).float()
    video = torch.cat([torch.arange(20), torch.randint(0, 20, (25,), generator=generator)])
    query = torch.cat([torch.randperm(30, generator=generator), torch.arange(15)])
    pairs = torch.stack([video, query]).unique(dim=1)
    rows, columns = torch.randperm(20, generator=generator), torch.randperm(30, generator=generator)
    for rule in ("own", "unique"):
        found = ranks_from_similarity(similarity, Positives(*pairs, 20, 30, rule), ties=ties)
        # Row i of the shuffled matrix is video rows[i].
        moved = Positives(rows.argsort()[pairs[0]], columns.argsort()[pairs[1]], 20, 30, rule)
        shuffled = ranks_from_similarity(similarity[rows][:, columns], moved, ties=ties)
        for way, order in zip(DIRECTIONS, (columns, rows), strict=True):
            plain = getattr(found, way).rank
            assert getattr(shuffled, way).rank.tolist() == plain[order.numpy()].tolist()


def test_with_several_captions_every_query_counts_once_and_a_video_by_its_best():
    owner = torch.tensor([0, 0, 0, 1])
    similarity = torch.tensor([[0.9, 0.9, 0.8, 0.7], [0.1, 0.2, 0.3, 0.6]])
    report = summarize(ranks_from_similarity(similarity, own(owner, 2)))
    assert report["query_to_video"]["R@1"] == 75  # of queries; of videos it would be 50
    assert report["query_to_video"]["n"] == 4
    assert report["video_to_query"]["n"] == 2
    # Video 0's two best captions tie with each other: one of them is first.
    assert report["video_to_query"]["R@1"] == 100
    found = ranks_from_similarity(similarity, own(owner, 2)).video_to_query
    assert (found.rank.tolist(), found.ties.tolist()) == ([1.5, 1], [1, 0])
