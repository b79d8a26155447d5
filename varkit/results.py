"""Reports of several sampler seeds, or of several trainings, made into one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from varkit.metrics import DIRECTIONS, FIGURES, Report, figure

Results = dict[str, Any]


def average(reports: Sequence[Report]) -> Report:
    """Average reports of several sampler seeds; ``ties`` are the most of any."""
    mean: Report = {**reports[0], "repeats": {"n": len(reports)}}
    for way in DIRECTIONS:
        ties = max(report[way]["ties"] for report in reports)
        mean[way] = {**reports[0][way], "ties": ties}
    for name in FIGURES:
        values = [figure(report, name) for report in reports]
        way, _, key = name.rpartition(".")
        (mean[way] if way else mean)[key] = fmean(values)
        mean["repeats"][f"{name}_sd"] = stdev(values)
    mean["SumR_optimistic"] = fmean(report["SumR_optimistic"] for report in reports)
    mean["collapsed"] = any(report["collapsed"] for report in reports)
    if "sampling" in mean:
        mean["sampling"] = {
            name: fmean(report["sampling"][name] for report in reports) for name in mean["sampling"]
        }
    if "detector" in mean:
        auc = fmean(report["detector"]["auc"] for report in reports)
        mean["detector"] = {**mean["detector"], "auc": auc}
    return mean


def summarize_seeds(
    seeds: Mapping[int, Results],
    *,
    chance: Report,
    split: str = "test",
    published: Report | None = None,
) -> Results:
    """Return a run's ``results.json``: every training, and mean and deviation over them.

    Args:
        seeds: training seed -> its ``results.json``.
        chance: :func:`varkit.metrics.chance` of the same split.
        split: what was measured.
        published: the figures that a paper printed, and ``source``, which says where.
    """
    some = next(iter(seeds.values()))
    results: Results = {
        "schema": 1,
        "simulated": any(result["simulated"] for result in seeds.values()),
        "dataset": some["dataset"],
        "split": split,
        "selection": some["selection"],
        "chance": chance,
        "seeds": {str(seed): result for seed, result in seeds.items()},
        "summary": {},
    }
    if published is not None:
        results["published"] = published
    for which in ("best", "last"):
        reports = [result[which] for result in seeds.values() if result[which] is not None]
        if reports:
            results["summary"][which] = {name: _spread(reports, name) for name in FIGURES}
    return results


def _spread(reports: Sequence[Report], name: str) -> dict[str, float | None]:
    values = [figure(report, name) for report in reports]
    return {"mean": fmean(values), "sd": stdev(values) if len(values) > 1 else None}
