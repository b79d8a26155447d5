"""Figures of relevance judgements, against every order of ties and against trec_eval."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.reference import retrieval_metrics as reference
from varkit.data.positives import Positives
from varkit.evaluation.graded import GRADED, retrieval_report
from varkit.evaluation.metrics import DIRECTIONS, summarize
from varkit.evaluation.rank import ranks_from_similarity


def judged(grades):
    """The positives of (V, Q) grades, in no order."""
    videos, queries = np.nonzero(grades)
    order = np.random.default_rng(0).permutation(len(videos))
    pairs = (torch.from_numpy(side[order]) for side in (videos, queries))
    values = torch.from_numpy(grades[videos, queries][order])
    return Positives(*pairs, *grades.shape, "qrels 1a2b", values)


def tiles(similarity, seed=0, size=3):
    """Pieces of a similarity, in no order."""
    random = np.random.default_rng(seed)
    rows, columns = (torch.from_numpy(random.permutation(n)) for n in similarity.shape)
    return lambda: [
        (v, q, similarity[v][:, q]) for v in rows.split(size) for q in columns.split(size)
    ]


def report_of(similarity, grades, backward=None):
    positives = judged(grades)
    backwards = None if backward is None else tiles(backward)
    ranks = ranks_from_similarity(similarity, positives)
    return retrieval_report(ranks, positives, tiles(similarity), backwards)


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 6), st.booleans())
def test_the_figures_are_means_over_every_order_of_ties(seed, videos, queries, own_backward):
    random = np.random.default_rng(seed)
    forth, back = random.integers(0, 3, (2, videos, queries))
    grades = random.integers(0, 4, (videos, queries)) * (random.random((videos, queries)) < 0.6)
    grades[random.integers(videos), ~grades.any(0)] = 2
    back = back if own_backward else forth
    similar = [torch.from_numpy(scores).float() for scores in (forth, back)]
    report = report_of(similar[0], grades, similar[1] if own_backward else None)
    of_queries = [reference.graded(*pair) for pair in zip(forth.T, grades.T, strict=True)]
    of_videos = [
        reference.graded(*pair) for pair in zip(back, grades, strict=True) if pair[1].any()
    ]
    for way, expected in zip(DIRECTIONS, (of_queries, of_videos), strict=True):
        found = [report[way][name] for name in GRADED]
        assert found == pytest.approx(100 * np.mean(expected, axis=0))


def test_without_ties_they_are_those_of_trec_eval():
    pytrec_eval = pytest.importorskip("pytrec_eval")
    random = np.random.default_rng(1)
    similarity = random.permutation(40 * 30).reshape(40, 30) / 7
    grades = random.integers(1, 5, (40, 30)) * (random.random((40, 30)) < 0.2)
    grades[0, ~grades.any(0)] = 1
    report = report_of(torch.from_numpy(similarity).float(), grades)
    for way, scores, own in zip(
        DIRECTIONS, (similarity.T, similarity), (grades.T, grades), strict=True
    ):
        qrels = {str(s): {str(c): int(g) for c, g in enumerate(row)} for s, row in enumerate(own)}
        run = {
            str(s): {str(c): float(x) for c, x in enumerate(row)} for s, row in enumerate(scores)
        }
        kept = {seeker: grades for seeker, grades in qrels.items() if any(grades.values())}
        found = pytrec_eval.RelevanceEvaluator(kept, {"map", "ndcg_cut_10", "success_5"})
        values = found.evaluate(run).values()
        for name, key in (("map", "mAP"), ("ndcg_cut_10", "nDCG@10"), ("success_5", "R@5")):
            expected = 100 * np.mean([value[name] for value in values])
            assert report[way][key] == pytest.approx(expected)


def test_without_grades_there_are_no_such_figures():
    positives = Positives.own(torch.arange(3))
    ranks = ranks_from_similarity(torch.eye(3), positives)
    assert retrieval_report(ranks, positives, tiles(torch.eye(3))) == summarize(ranks)
