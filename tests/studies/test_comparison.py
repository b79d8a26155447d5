"""Comparisons against slow references: what they estimate, how sure they are, what they refuse."""

import itertools
import json
import random as python_random
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from benchmarks.interval_coverage import STUDIES, Population, coverage, study
from hypothesis import given
from hypothesis import strategies as st
from varkit_studies.comparison import compare
from varkit_studies.comparison.clusters import figures_of_seeds
from varkit_studies.comparison.ranked_run import load_ranked_run
from varkit_studies.comparison.resampling import (
    FIGURES,
    bootstrap,
    figures,
    holm,
    interval,
    interval_with_trainings,
    randomisation_test,
)
from varkit_studies.comparison.tables import notes

from tests.support.ranked_runs import WAYS, random_ranks, rank_rows, write_run, write_runs
from varkit.errors import RunError
from varkit.evaluation.rank import RECALLS
from varkit.evaluation.rank_files import read_ranks, write_ranks

SUM = FIGURES.index("SumR")
RANKS = "ranks/best.jsonl"


def slow_figures(rows):
    """Return the figures of rows, each a (direction, rank)."""
    found = {}
    for way in WAYS:
        ranks = [rank for direction, rank in rows if direction == way]
        for k in RECALLS:
            found[f"{way}.R@{k}"] = 100 * sum(rank <= k for rank in ranks) / len(ranks)
    return found | {"SumR": sum(found.values())}


def some_counts(seed, videos, runs):
    """Return (V, 2) counts, not all 1, and (X, V, 6) hits, not all whole."""
    random = np.random.default_rng(seed)
    counts = np.stack([random.integers(1, 4, videos), np.ones(videos)], axis=1)
    most = np.repeat(counts, 3, axis=1)
    return counts, random.integers(0, 2 * most + 1, (runs, videos, 6)) / 2


# Statistics


def test_the_bootstrap_is_every_resample_with_its_chance():
    counts, hits = some_counts(0, videos=5, runs=2)
    every = []
    for drawn in itertools.product(range(5), repeat=5):
        total = counts[list(drawn)].sum(axis=0)
        every.append([figures(total, run[list(drawn)].sum(axis=0)) for run in hits])
    every = np.array(every)  # 3125 resamples, all as likely
    draws = bootstrap(counts, hits, resamples=40_000, random=np.random.default_rng(1))
    assert draws.shape == (40_000, 2, 7)
    both = [x[:, 1] - x[:, 0] for x in (every, draws)]
    for exact, found in (*((every[:, x], draws[:, x]) for x in range(2)), both):
        for f in range(7):
            for value in np.quantile(exact[:, f], (0.03, 0.2, 0.5, 0.8)):
                share = (exact[:, f] <= value + 1e-9).mean()
                error = 4 * np.sqrt(share * (1 - share) / len(found))
                assert (found[:, f] <= value + 1e-9).mean() == pytest.approx(share, abs=error)


def test_the_bootstrap_draws_whole_videos_in_both_directions_and_all_runs_at_once():
    counts = np.ones((40, 2))
    right = np.repeat(np.arange(40) < 20, 6).reshape(40, 6).astype(float)
    runs = np.stack([right, 1 - right])
    draws = bootstrap(counts, runs, resamples=50, random=np.random.default_rng(0))
    np.testing.assert_allclose(draws[:, 0, :6], draws[:, 0, [0]] * np.ones(6))
    np.testing.assert_allclose(draws[:, 0, :6] + draws[:, 1, :6], 100)
    assert draws[:, 0, 0].std() > 0


@pytest.mark.parametrize("seed", range(4))
def test_the_randomisation_test_is_every_flip_of_signs(seed):
    counts, (one, other) = some_counts(seed, videos=9, runs=2)
    change = (other - one) * (np.random.default_rng(seed).random((9, 1)) < 0.8)
    observed = np.abs(figures(counts.sum(axis=0), change.sum(axis=0)))
    signs = np.array(list(itertools.product((-1, 1), repeat=9)))
    every = np.abs(figures(counts.sum(axis=0), signs @ change))
    exact = (every >= observed - 1e-9).mean(axis=0)
    found = randomisation_test(counts, change, resamples=20_000, random=np.random.default_rng(9))
    np.testing.assert_allclose(found, exact, atol=4 * np.sqrt(0.25 / 20_000))


def test_scipy_gives_the_same_intervals_and_p_values():
    counts = np.ones((290, 2))
    hits = np.random.default_rng(3).integers(0, 2, (2, 290, 6)).astype(float)
    hits[1] = np.maximum(hits[1], np.random.default_rng(4).random((290, 6)) < 0.05)
    totals = [100 * run.sum(axis=1) for run in hits]  # a video's share of SumR

    def difference(one, other, axis=-1):
        return other.mean(axis=axis) - one.mean(axis=axis)

    scipys, own = {"n_resamples": 20_000, "rng": 0}, {"resamples": 20_000}
    theirs = scipy.stats.bootstrap(
        totals, difference, paired=True, method="percentile", **scipys
    ).confidence_interval
    draws = bootstrap(counts, hits, **own, random=np.random.default_rng(0))
    ours = interval(draws[:, 1] - draws[:, 0])[:, SUM]
    np.testing.assert_allclose(ours, theirs, atol=0.05 * (theirs.high - theirs.low))
    test = scipy.stats.permutation_test(totals, difference, permutation_type="samples", **scipys)
    change = hits[1] - hits[0]
    p = randomisation_test(counts, change, **own, random=np.random.default_rng(0))[SUM]
    assert 0.001 < p < 0.5
    assert p == pytest.approx(test.pvalue, abs=6 * np.sqrt(p / 20_000))


def test_runs_that_never_differ_have_p_1_and_no_p_is_0():
    counts = np.ones((50, 2))
    random = np.random.default_rng(0)
    same = randomisation_test(counts, np.zeros((50, 6)), resamples=100, random=random)
    assert same.tolist() == [1.0] * 7
    apart = randomisation_test(counts, np.ones((50, 6)), resamples=99, random=random)
    assert apart.tolist() == [0.01] * 7


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=12))
def test_holm_by_its_definition(values):
    p = [Fraction(value, 1000) for value in values]
    # The smallest level at which the step-down procedure rejects hypothesis i.
    ordered = sorted(p)
    expected = [
        min(Fraction(1), max((len(p) - j) * ordered[j] for j in range(ordered.index(one) + 1)))
        for one in p
    ]
    # Equal p-values are rejected together, at the level of the first of them.
    np.testing.assert_allclose(holm(np.array(p, dtype=float)), np.array(expected, dtype=float))


def test_trainings_count_as_in_student_s_t():
    # Videos that never vary, two runs of three trainings of the same variance: Welch's degrees of
    # freedom are 4, and t is 2.776 in tables.
    seeds = np.array([[1.0], [2.0], [3.0]]) * np.ones(7)
    draws, value = np.full((200_000, 7), 5.0), np.full(7, 5.0)
    random = np.random.default_rng(0)
    low, high = interval_with_trainings(value, draws, [seeds, 10 + seeds], random=random)
    reach = 2.776 * np.sqrt(1 / 3 + 1 / 3)
    np.testing.assert_allclose([high - 5, 5 - low], reach, rtol=0.02)
    # Trainings that agree leave the normal interval.
    draws = random.normal(5, 2, (200_000, 7))
    limits = interval_with_trainings(value, draws, [np.full((3, 7), 5.0)] * 2, random=random)
    np.testing.assert_allclose(limits, interval(draws), atol=0.06)


# Do intervals hold? docs/compare.md has the long tables, for more populations.


def test_95_percent_intervals_hold_in_93_to_97_percent_of_test_sets():
    # 600 test sets: a standard error of 0.9 points.
    found = study(Population(strength=(1.1, 0.95)), tests=600, resamples=500, seed=0)
    truth = found.differences.mean(axis=0)
    assert truth[1] > 40, "the methods differ"
    for share in coverage(found.limits, truth):
        assert 0.93 <= share <= 0.97


def test_equal_methods_are_told_apart_in_5_percent_of_test_sets():
    # 600 test sets: a standard error of 0.9 points. R@1 takes few values, so its test is exact
    # or careful, never bold.
    found = study(Population(), tests=600, resamples=500, seed=1)
    one, total = (found.p <= 0.05).mean(axis=0)
    assert 0.03 <= total <= 0.07
    assert 0.015 <= one <= 0.07
    for share in coverage(found.limits, np.zeros(2)):
        assert 0.93 <= share <= 0.97
    for level in (0.25, 0.5, 0.75):  # standard errors up to 2 points
        assert (found.p[:, 1] <= level).mean() == pytest.approx(level, abs=0.05)


def test_they_hold_for_equal_captions_only_if_videos_that_share_one_are_drawn_together():
    names = ("equal captions, duplicates", "duplicates, video by video")
    together, apart = (study(STUDIES[x][0], tests=200, resamples=300, seed=0) for x in names)
    for share in coverage(together.limits, np.zeros(2)):  # a standard error of 1.5 points
        assert 0.92 <= share <= 0.98
    assert ((together.p <= 0.05).mean(axis=0) <= 0.08).all()
    assert coverage(apart.limits, np.zeros(2))[0] < 0.85
    assert (apart.p <= 0.05).mean(axis=0)[0] > 0.1


# Runs


@pytest.fixture
def pair(tmp_path, request):
    """Two runs of 30 videos with 1 to 3 captions each: 2 trainings x 2 sampler seeds, and 1 x 1.

    The parameter says how many videos in turn are one cluster.
    """
    captions = [1 + v % 3 for v in range(30)]
    ranks = {
        "one": random_ranks(0, seeds=2, repeats=2, captions=captions),
        "other": random_ranks(1, captions=captions, strength=0.8),
    }
    rows = {"captions": captions, "size": getattr(request, "param", 1)}
    return [write_run(tmp_path / name, each, rows=rows) for name, each in ranks.items()]


def ranks_of(folder, seed):
    return read_ranks(folder / f"seed-{seed}" / RANKS)


def test_figures_are_means_over_trainings_and_sampler_seeds(pair):
    found = compare(pair, resamples=1000)
    seeds = [
        slow_figures([(row.direction, row.rank) for row in ranks_of(pair[0], seed)])
        for seed in (0, 1)
    ]
    single = slow_figures([(row.direction, row.rank) for row in ranks_of(pair[1], 0)])
    values = {(value.run, value.figure): value for value in found.values}
    for figure in FIGURES:
        own = [each[figure] for each in seeds]
        a, b = values["A", figure], values["B", figure]
        assert a.value == pytest.approx(np.mean(own))
        assert a.sd_trainings == pytest.approx(np.std(own, ddof=1))
        assert b.value == pytest.approx(single[figure])
        assert b.sd_trainings is b.interval_trainings is None
    for one in found.differences:
        assert (one.run, one.against) == ("B", "A")
        expected = values["B", one.figure].value - values["A", one.figure].value
        assert one.value == pytest.approx(expected)
        assert one.interval_trainings is None, "B has one training"
    assert (found.queries, found.videos) == (60, 30)


@pytest.mark.parametrize("pair", [1, 2], indirect=True)
def test_intervals_are_those_of_a_slow_paired_bootstrap_over_clusters_of_videos(pair):
    found = compare(pair, resamples=20_000)
    random = python_random.Random(0)
    rows = [ranks_of(pair[0], 0) + ranks_of(pair[0], 1), ranks_of(pair[1], 0)]
    clusters = list(dict.fromkeys(row.cluster for row in rows[0]))
    assert len(clusters) == found.clusters
    of_cluster = [
        {name: [(r.direction, r.rank) for r in own if r.cluster == name] for name in clusters}
        for own in rows
    ]
    draws = []
    for _ in range(1500):
        drawn = random.choices(clusters, k=len(clusters))
        one, other = (
            slow_figures([row for name in drawn for row in own[name]]) for own in of_cluster
        )
        draws.append([other[figure] - one[figure] for figure in FIGURES])
    limits = np.quantile(draws, (0.025, 0.975), axis=0)
    for f, one in enumerate(found.differences):
        # 4 standard errors of a 2.5 % quantile of 1500 normal draws: sqrt(0.025 * 0.975 / 1500)
        # over the density there, 0.0584.
        error = 0.28 * np.std(draws, axis=0)[f]
        np.testing.assert_allclose(one.interval, limits[:, f], atol=error)


@pytest.mark.parametrize("pair", [3], indirect=True)
def test_p_is_the_share_of_all_swaps_of_clusters_that_differ_as_much(pair):
    found = compare(pair, resamples=20_000).differences
    rows = [ranks_of(pair[0], 0) + ranks_of(pair[0], 1), ranks_of(pair[1], 0)]
    clusters = list(dict.fromkeys(row.cluster for row in rows[0]))

    def shares(own, figure):
        """What each cluster adds to a figure."""
        way, _, k = figure.partition(".R@")
        n = sum(row.direction == way for row in own)
        right = [row.cluster for row in own if row.direction == way and row.rank <= int(k)]
        return np.array([100 * right.count(name) / n for name in clusters])

    change = [shares(rows[1], figure) - shares(rows[0], figure) for figure in FIGURES[:-1]]
    change = np.stack([*change, np.sum(change, axis=0)])
    signs = np.array(list(itertools.product((-1, 1), repeat=len(clusters))))
    every = np.abs(signs @ change.T)
    for f, one in enumerate(found):
        assert change[f].sum() == pytest.approx(one.value)
        exact = (every[:, f] >= abs(one.value) - 1e-9).mean()
        assert one.p == pytest.approx(exact, abs=4 * np.sqrt(0.25 / 20_000))


def test_ties_count_in_part_in_figures_and_flips_and_agree_with_the_results(tmp_path):
    """Nine equal scores, and nine right answers first: 1 of 9 hits at 1, 5 of 9 at 5."""
    first, middle = (np.full((1, 1, 9), rank) for rank in (1.0, 5.0))
    folders = [
        write_run(tmp_path / "tied", (middle, middle), rows={"hits": (1 / 9, 5 / 9, 1.0)}),
        write_run(tmp_path / "right", (first, first)),
    ]
    found = compare(folders, resamples=100)
    values = {(one.run, one.figure): one.value for one in found.values}
    assert values["A", "SumR"] == pytest.approx(100 * 2 * (1 / 9 + 5 / 9 + 1))
    gains = {flip.k: flip.gains for flip in found.flips if flip.direction == "query_to_video"}
    assert gains == pytest.approx({1: 8, 5: 4, 10: 0})
    assert {move.gains for move in found.moves} == {(1,)}


def test_several_trainings_on_both_sides_give_the_wider_interval_too(tmp_path):
    folders = write_runs(tmp_path, {}, {}, seeds=3)
    for one in compare(folders, resamples=2000).differences:
        low, high = one.interval_trainings
        assert high - low > one.interval[1] - one.interval[0]
        assert (low + high) / 2 == pytest.approx(one.value)


def test_every_run_is_held_against_the_first_or_against_all_earlier_ones(tmp_path):
    folders = write_runs(tmp_path, {}, {}, {})
    for every, pairs in ((False, {"BA", "CA"}), (True, {"BA", "CA", "CB"})):
        found = compare(folders, resamples=100, all_pairs=every)
        assert {d.run + d.against for d in found.differences} == pairs
    p = np.array([d.p for d in found.differences])
    np.testing.assert_allclose([d.p_holm for d in found.differences], holm(p))
    assert len(p) == 21


def test_the_same_seed_gives_the_same_bytes_and_another_another_draw(pair):
    first, again, other = (compare(pair, resamples=500, seed=seed).as_json() for seed in (3, 3, 4))
    assert json.dumps(first) == json.dumps(again)
    assert first["differences"] != other["differences"]


def test_few_clusters_are_said_and_have_no_intervals_of_groups(tmp_path):
    rows = {"size": 5}
    found = compare(write_runs(tmp_path, {"rows": rows}, {"rows": rows}), resamples=100)
    assert (found.videos, found.clusters) == (30, 6)
    said = "6 clusters, the largest of 5 videos (too few clusters to say much)."
    assert any(line.endswith(said) for line in notes(found))
    assert found.groups
    assert all(group.interval is None for group in found.groups)


def test_what_is_said_of_runs_does_not_depend_on_which_others_are_compared(tmp_path):
    folders = write_runs(tmp_path, {}, {}, {}, seeds=3)
    three, two = (compare(chosen, resamples=300) for chosen in (folders, folders[::2]))

    def said(found, run, against):
        values = [v for v in found.values if v.run == run]
        pairs = [
            [one for one in ones if (one.run, one.against) == (run, against)]
            for ones in (found.differences, found.groups)
        ]
        change, groups = pairs
        assert all((values, change, groups))
        return (
            [(v.figure, v.interval, v.interval_trainings) for v in values],
            [(d.figure, d.interval, d.interval_trainings, d.p) for d in change],
            [(g.by, g.name, g.figure, g.interval) for g in groups],
        )

    assert said(three, "C", "A") == said(two, "B", "A")


def test_one_run_alone_has_intervals_and_does_not_differ_from_its_copy(pair, tmp_path):
    found = compare(pair[:1], resamples=100)
    assert len(found.values) == 7
    assert found.differences == found.groups == found.flips == found.moves == ()
    folders = [write_run(tmp_path / name, random_ranks(0)) for name in ("a", "b")]
    found = compare(folders, resamples=200)
    for one in found.differences:
        assert (one.value, one.interval, one.p, one.p_holm) == (0, (0, 0), 1, 1)
    assert found.moves == ()


def test_answers_won_less_answers_lost_are_what_recall_differs_by(pair):
    found = compare(pair, resamples=100)
    change = {one.figure: one.value for one in found.differences}
    for flip in found.flips:
        n = found.queries if flip.direction == "query_to_video" else found.videos
        expected = n / 100 * change[f"{flip.direction}.R@{flip.k}"]
        assert flip.gains - flip.loses == pytest.approx(expected)
        assert flip.gains >= 0
        assert flip.loses >= 0


def test_the_largest_moves_come_first_and_say_what_became_right(tmp_path):
    queries = np.array([[[20.0, 100.0, 3.0, 1.0, 7.0]]])
    videos = np.full((1, 1, 5), 2.0)
    moved = np.array([[[2.0, 11.0, 3.0, 6.0, 7.5]]])
    folders = [
        write_run(tmp_path / name, (ranks, videos))
        for name, ranks in (("a", queries), ("b", moved))
    ]
    found = compare(folders, resamples=100).moves
    assert [(m.id, m.rank_against, m.rank, m.gains, m.loses) for m in found] == [
        ("q0", 20, 2, (5, 10), ()),
        ("q1", 100, 11, (), ()),
        ("q3", 1, 6, (), (1, 5)),
        ("q4", 7, 7.5, (), ()),
    ]
    assert found[0].text == "a man falls, 0"
    assert found[2].classes == ("Riot", "Fighting")
    assert found[2].label == 1


def test_groups_are_the_figures_of_their_own_videos(pair):
    found = compare(pair, resamples=300)
    names = {(group.by, group.name): group.videos for group in found.groups}
    known = [("label", name) for name in ("abnormal", "normal")]
    known += [("class", name) for name in ("Arson", "Fighting", "Riot")]
    assert names == dict.fromkeys(known, 15)
    rows = [(row.direction, row.rank) for row in ranks_of(pair[1], 0) if "Riot" in row.classes]
    own = slow_figures(rows)
    for group in found.groups:
        assert group.difference == pytest.approx(group.value - group.value_against)
        assert group.interval[0] <= group.difference <= group.interval[1]
        if group.name == "Riot":
            assert group.value == pytest.approx(own[group.figure])


def test_groups_of_few_videos_have_no_interval_and_of_no_query_are_left_out(tmp_path):
    captions = [1] * 12 + [0, 0]  # under "unique" equal captions are one query, of one video
    rows = {"captions": captions, "classes": lambda v: ("Bare",) if v > 11 else ("Few",) * (v < 9)}
    folders = write_runs(tmp_path, {"rows": rows}, {"rows": rows}, videos=14, captions=captions)
    found = compare(folders, resamples=300)
    assert {group.name for group in found.groups} == {"abnormal", "normal", "Few"}
    assert all(group.interval is None for group in found.groups)
    assert all(np.isfinite(one.interval).all() for one in found.differences)


# What cannot be compared


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fingerprint": "x", "questions": "beef"}, "questions: A f00d, B beef"),
        ({"split": "val"}, "split: A test, B val"),
        ({"reports": {"positives": "unique"}}, "positives rule: A own, B unique"),
        ({"reports": {"tie_rule": "optimistic"}}, "tie rule: A average, B optimistic"),
        ({"simulated": True}, "simulated: A no, B yes"),
        (
            {"split": "val", "questions": "beef"},
            "questions: A f00d, B beef; split: A test, B val",
        ),
    ],
)
def test_runs_that_were_not_measured_alike_are_refused(tmp_path, change, said):
    folders = write_runs(tmp_path, {}, change)
    with pytest.raises(RunError, match=said) as caught:
        compare(folders)
    assert f"A is {folders[0]}, B is {folders[1]}" in caught.value.what
    assert "--allow-mismatch" in caught.value.hint
    allowed = compare(folders, allow_mismatch=True, resamples=100)
    assert allowed.mismatches == tuple(said.split("; "))


def test_runs_on_other_features_answer_the_same_questions(tmp_path):
    folders = write_runs(
        tmp_path, {"questions": "asked"}, {"questions": "asked", "fingerprint": "beef"}
    )
    found = compare(folders, resamples=100)
    assert found.mismatches == ()
    said = "different features or training videos: fingerprints f00d (A), beef (B)."
    assert any(line.endswith(said) for line in notes(found))
    assert any(line.endswith("fingerprint f00d.") for line in notes(compare(folders[:1])))


def test_measurements_of_the_same_weights_are_paired_by_training(tmp_path):
    """What a training adds to both does not blur their difference."""
    ranks = random_ranks(0, seeds=3)
    shifted = tuple(np.where(each % 2 == 0, each, each + 1) for each in ranks)
    same = {"measured_from": {"run": str(tmp_path / "runs" / "a")}}
    folders = [
        write_run(tmp_path / "runs" / "a", ranks),
        write_run(tmp_path / "b", shifted, **same),
        write_run(tmp_path / "other" / "a", shifted),  # another run of that name
    ]
    found = compare(folders, resamples=2000)
    paired, apart = (
        next(d for d in found.differences if (d.run, d.figure) == (name, "SumR")) for name in "BC"
    )
    assert (paired.value, paired.interval) == (apart.value, apart.interval)
    width = [high - low for low, high in (paired.interval_trainings, apart.interval_trainings)]
    runs = [figures_of_seeds(load_ranked_run(folder))[:, -1] for folder in folders]
    change = runs[1] - runs[0]
    draws = (paired.interval[1] - paired.interval[0]) / 2 / 1.96
    total = draws**2 + change.var(ddof=1) / len(change)
    freedom = total**2 / ((change.var(ddof=1) / len(change)) ** 2 / (len(change) - 1))
    reach = scipy.stats.t.ppf(0.975, freedom) * np.sqrt(total)
    assert width[0] == pytest.approx(2 * reach, rel=0.1)
    assert width[0] < width[1]


def test_other_queries_are_refused_whatever_is_allowed(tmp_path):
    folders = [
        write_run(tmp_path / "a", random_ranks(0, 30)),
        write_run(tmp_path / "b", random_ranks(0, 31)),
    ]
    with pytest.raises(RunError, match=r"2 only in .*b, 0 only in .*a, .* 'q30'"):
        compare(folders, allow_mismatch=True)


def test_what_a_run_lacks_is_said_with_the_command_that_makes_it(pair, tmp_path):
    command = "varkit eval runs/a/1 eval.ties=optimistic --out measured"
    source = {"measured_from": {"run": "runs/a/1"}, "command": command}
    measured = write_run(tmp_path / "measured", random_ranks(0), **source)
    results = pair[0] / "seed-1/results.json"
    again = f"rm -f {results} && varkit resume {pair[0]}"
    lost = r"the ranks of a training are missing: .*best\.jsonl"
    for run, file, said, hint in (
        (pair[0], f"seed-1/{RANKS}", lost, again),
        (measured, f"seed-0/{RANKS}", lost, command),
        (pair[1], "results.json", "is not finished", f"varkit resume {pair[1]}"),
    ):
        (run / file).unlink()
        with pytest.raises(RunError, match=said) as caught:
            compare([run])
        assert caught.value.hint == hint


def test_a_folder_that_is_no_run_names_the_nearest_and_none_is_named_twice(pair):
    for wrong in (pair[0].parent / "othr", pair[0].parent):
        with pytest.raises(RunError, match=r"no run"):
            compare([pair[0], wrong])
    with pytest.raises(RunError, match=f"Did you mean '{pair[1]}'"):
        compare([pair[0], pair[0].parent / "othr"])
    twice = pair[0].parent / "." / "other" / ".." / "one"
    with pytest.raises(RunError, match="named twice"):
        compare([*pair, twice])


def test_a_checkpoint_that_is_not_there_is_refused(tmp_path):
    one = write_run(tmp_path / "a", random_ranks(0), checkpoint="last", selection="last")
    assert load_ranked_run(one).checkpoint == "last"
    with pytest.raises(RunError, match="has no best checkpoint") as caught:
        load_ranked_run(one, "best")
    assert caught.value.hint == "give --checkpoint last"


def test_ranks_of_another_measurement_or_other_queries_are_refused(pair):
    write_ranks(
        pair[1] / "seed-0" / RANKS,
        [replace(row, rank=1.0, hits=(1.0, 1.0, 1.0)) for row in ranks_of(pair[1], 0)],
    )
    with pytest.raises(RunError, match=r"of different measurements: SumR 600\.0000"):
        compare(pair)
    queries, videos = random_ranks(0, 30, repeats=2)
    write_ranks(pair[0] / "seed-1" / RANKS, rank_rows(queries[0], videos[0]))
    with pytest.raises(RunError, match="different queries or sampler seeds"):
        compare(pair)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        *((name, text) for name in ("run.json", "results.json") for text in ("{", "[]")),
        ("run.json", '{"schema": 2}'),
        ("run.json", '{"schema": 1}'),
        ("results.json", '{"split": "test", "seeds": {}}'),
        ("results.json", '{"split": "test", "seeds": {"0": {"best": 3, "last": null}}}'),
        (RANKS, lambda text: text[:-40]),
        (RANKS, lambda text: "\n".join(text.splitlines()[:-1]) + "\n"),
        (RANKS, lambda text: text.replace('"rank": ', '"rank": NaN, "ranc": ', 1)),
        (RANKS, lambda text: text.replace('"rank": 1.', '"rank": 0.', 1)),
        (RANKS, ""),
        (RANKS, lambda text: "[]\n" + text),
    ],
)
def test_a_damaged_file_is_named(pair, name, spoil):
    path = pair[1] / ("seed-0" if name == RANKS else "") / name
    path.write_text(spoil if isinstance(spoil, str) else spoil(path.read_text()))
    said = rf"{path.name} is damaged"
    with pytest.raises(RunError, match=said) as caught:
        compare(pair)
    assert str(path) in caught.value.what
    if name == RANKS:
        assert caught.value.hint.endswith(f"&& varkit resume {pair[1]}")
