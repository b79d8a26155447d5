"""Figures by groups of videos: a mean over a benchmark hides which videos a method fails on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from varkit.evaluation.figures import DIRECTIONS, Report, figures, sum_of_recalls
from varkit.evaluation.rank_files import RankRow
from varkit.evaluation.results import mean_figures

SHARES = (0.1, 0.2, 0.4)
"""Upper limits of the bins of a video's anomalous share; what exceeds the last is a bin too."""


def group_figures(rows: Sequence[RankRow]) -> list[Report]:
    """Return the figures of each group of videos; ranks stay those among the whole gallery.

    Groups are made ``by`` ``label``, ``class`` (a video with two classes is in both), ``clips``
    (quartiles of T over the videos) and ``anomaly`` (share of the clips that are anomalous). A
    video of which that is unknown is in no such group.

    Args:
        rows: of both directions; of several sampler seeds, figures are means over them.

    Returns:
        Of each group ``by``, ``name``, both directions and ``SumR``, as of
        :func:`varkit.evaluation.figures.summarize`.
    """
    repeats = 1 + max(row.repeat for row in rows)
    found = []
    for by, name, videos in _groups(rows):
        own = [row for row in rows if row.video in videos]
        # Where equal captions are one query, all queries of a group may belong to other videos.
        if len({row.direction for row in own}) == len(DIRECTIONS):
            reports = [_report(own, repeat) for repeat in range(repeats)]
            found.append({"by": by, "name": name, **mean_figures(reports)})
    return found


def _report(rows: Sequence[RankRow], repeat: int) -> Report:
    report: Report = {}
    for way in DIRECTIONS:
        chosen = [row for row in rows if (row.direction, row.repeat) == (way, repeat)]
        ranks = np.array([row.rank for row in chosen])
        report[way] = figures(ranks, np.array([row.ties for row in chosen]))
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
