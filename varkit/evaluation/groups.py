"""Figures by groups of videos, which show on which videos a method fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from varkit.evaluation.metrics import DIRECTIONS, Report, figures, sum_of_recalls
from varkit.evaluation.rank_files import RankRow
from varkit.evaluation.results import mean_figures

SHARES = (0.1, 0.2, 0.4)
"""Upper limits of the bins of a video's anomalous share; one more bin reaches to 1."""


def group_figures(rows: Sequence[RankRow]) -> list[Report]:
    """Return the figures of each group of videos; ranks are still those in the whole gallery.

    Videos are grouped by ``label``, ``class`` (a video with two classes is in both), ``clips``
    (quartiles of T) and ``anomaly`` (share of anomalous clips). A video is left out of a grouping
    if its value is unknown.

    Args:
        rows: of both directions; figures are means over the sampler seeds.

    Returns:
        For each group ``by``, ``name``, both directions and ``SumR``, as in
        :func:`varkit.evaluation.metrics.summarize`.
    """
    repeats = 1 + max(row.repeat for row in rows)
    reports = []
    for by, name, videos in _groups(rows):
        own = [row for row in rows if row.video in videos]
        # Under the rule ``unique`` a group may have no query of its own.
        if len({row.direction for row in own}) == len(DIRECTIONS):
            of_repeats = [_report(own, repeat) for repeat in range(repeats)]
            reports.append({"by": by, "name": name, **mean_figures(of_repeats)})
    return reports


def _report(rows: Sequence[RankRow], repeat: int) -> Report:
    report: Report = {}
    for way in DIRECTIONS:
        own = [row for row in rows if (row.direction, row.repeat) == (way, repeat)]
        columns = zip(*((row.rank, row.hits, row.ties) for row in own), strict=True)
        report[way] = figures(*map(np.array, columns))
    return {**report, "SumR": sum_of_recalls(report)}


def _groups(rows: Sequence[RankRow]) -> Iterator[tuple[str, str, set[str]]]:
    videos = {row.video: row for row in rows}.values()
    for label, name in ((1, "abnormal"), (0, "normal")):
        yield "label", name, {row.video for row in videos if row.label == label}
    for name in sorted({name for row in videos for name in row.classes}):
        yield "class", name, {row.video for row in videos if name in row.classes}
    clips = {row.video: row.clips for row in videos if row.clips is not None}
    if clips:
        lengths = list(clips.values())
        edges = np.quantile(lengths, (0.25, 0.5, 0.75), method="inverted_cdf")
        for part in range(4):
            inside = {v: n for v, n in clips.items() if np.searchsorted(edges, n) == part}
            if inside:
                low, high = min(inside.values()), max(inside.values())
                yield "clips", f"{low} to {high}", set(inside)
    shares = {row.video: row.anomaly for row in videos if row.anomaly is not None}
    yield "anomaly", "none", {video for video, share in shares.items() if share == 0}
    for above, most in zip((0.0, *SHARES), (*SHARES, 1.0), strict=True):
        between = {video for video, share in shares.items() if above < share <= most}
        yield "anomaly", f"{100 * above:g} to {100 * most:g} %", between
