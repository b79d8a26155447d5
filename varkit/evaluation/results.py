"""Combines reports of several models, sampler seeds or trainings; the contents of JSON files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

from annotated_types import MinLen
from typing_extensions import TypedDict

from varkit.evaluation.detection import DETECTION
from varkit.evaluation.graded import GRADED
from varkit.evaluation.metrics import DIRECTIONS, FIGURES, Report, figure
from varkit.evaluation.rank import RECALLS
from varkit.interfaces.settings import Measured

MODELS: tuple[Measured, ...] = ("best", "last", "given")
"""The models that may have been measured, the reported one first."""

Selection = Literal["val", "last", "test", "unknown"]
"""How the best checkpoint was chosen: ``train.select``, or unknown."""

if TYPE_CHECKING:
    Figures = Report
    Chance = Report
    ModelReport = Report
    Spreads = dict[str, dict[str, float | None]]
else:  # what files must hold; the code itself takes reports apart by names in variables
    Direction = TypedDict(
        "Direction",
        {**{f"R@{k}": float for k in RECALLS}, "MdR": float, "MnR": float, "n": int, "ties": int},
    )

    class Figures(TypedDict):
        """A report of a split or of a group of it."""

        query_to_video: Direction
        video_to_query: Direction
        SumR: float

    class Chance(Figures):
        """What a model that tells nothing apart reaches."""

        positives: str

    class ModelReport(Figures):
        """A report of a model."""

        tie_rule: str
        positives: NotRequired[str]
        collapsed: bool
        epoch: NotRequired[int]
        groups: NotRequired[list[Figures]]

    class Spread(TypedDict):
        """Mean and standard deviation over trainings."""

        mean: float
        sd: float | None

    Spreads = TypedDict("Spreads", dict.fromkeys(FIGURES, Spread))


class TrainingResults(TypedDict):
    """The contents of ``seed-<n>/results.json``; :func:`training_results` makes them."""

    schema: Literal[1]
    simulated: bool
    dataset: str
    selection: Selection
    chance: Chance
    best: ModelReport | None
    last: ModelReport | None
    given: NotRequired[ModelReport]


class RunResults(TypedDict):
    """The contents of a run's ``results.json``; :func:`summarize_seeds` makes them."""

    schema: Literal[1]
    simulated: bool
    dataset: str
    split: str
    selection: Selection
    chance: Chance
    seeds: Annotated[dict[str, TrainingResults], MinLen(1)]
    summary: Annotated[dict[Measured, Spreads], MinLen(1)]
    groups: dict[Measured, list[Figures]]
    published: NotRequired[Report]


def average(reports: Sequence[Report]) -> Report:
    """Average reports of several sampler seeds; ``ties`` is the largest of them."""
    mean: Report = {**reports[0], **mean_figures(reports), "repeats": {"n": len(reports)}}
    for name in FIGURES:
        values = [figure(report, name) for report in reports]
        mean["repeats"][f"{name}_sd"] = stdev(values)
    mean["collapsed"] = any(report["collapsed"] for report in reports)
    for key in ("SumR_optimistic", *DETECTION):
        if key in mean:
            mean[key] = _mean([report[key] for report in reports])
    return mean


def mean_figures(reports: Sequence[Report]) -> Report:
    """Return both directions and ``SumR``, averaged; ``ties`` is the largest of them."""
    mean: Report = {
        key: _mean([report[key] for report in reports]) for key in (*DIRECTIONS, "SumR")
    }
    for way in DIRECTIONS:
        mean[way]["ties"] = max(report[way]["ties"] for report in reports)
    return mean


def _mean(values: Sequence[Any]) -> Any:
    """Average numbers, or every number in nested mappings; equal values stay exact."""
    if isinstance(values[0], Mapping):
        return {key: _mean([value[key] for value in values]) for key in values[0]}
    return values[0] if all(value == values[0] for value in values) else fmean(values)


def training_results(
    reports: Mapping[Measured, Report],
    *,
    dataset: str,
    simulated: bool,
    selection: Selection,
    chance: Report,
) -> TrainingResults:
    """Return the results of one training.

    Args:
        reports: of each evaluated model.
        dataset: its name.
        simulated: whether a program made any of the data.
        selection: how ``best`` was chosen: ``train.select``.
        chance: :func:`varkit.evaluation.metrics.chance` of the same split.
    """
    results: TrainingResults = {
        "schema": 1,
        "simulated": simulated,
        "dataset": dataset,
        "selection": selection,
        "chance": chance,
        "best": reports.get("best"),
        "last": reports.get("last"),
    }
    if "given" in reports:
        results["given"] = reports["given"]
    return results


def summarize_seeds(
    seeds: Mapping[int, TrainingResults], *, split: str = "test", published: Report | None = None
) -> RunResults:
    """Return the results of a run: every training, and mean and deviation over them.

    Args:
        seeds: training seed -> its results.
        split: the split that was evaluated.
        published: published figures, and their ``source``.
    """
    first = next(iter(seeds.values()))
    results: RunResults = {
        "schema": 1,
        "simulated": any(result["simulated"] for result in seeds.values()),
        "dataset": first["dataset"],
        "split": split,
        "selection": first["selection"],
        "chance": first["chance"],
        "seeds": {str(seed): result for seed, result in seeds.items()},
        "summary": {},
        "groups": {},
    }
    if published is not None:
        results["published"] = published
    for which in MODELS:
        reports = [report for result in seeds.values() if (report := result.get(which)) is not None]
        if reports:
            graded = (
                f"{way}.{key}" for way in DIRECTIONS for key in GRADED if key in reports[0][way]
            )
            names = (*FIGURES, *graded)
            results["summary"][which] = {name: _spread(reports, name) for name in names}
            if all("groups" in report for report in reports):
                results["groups"][which] = _mean_groups([report["groups"] for report in reports])
    return results


def _mean_groups(trainings: Sequence[Sequence[Report]]) -> list[Report]:
    """Average every group over trainings, which have the same videos and so the same groups."""
    return [
        {"by": groups[0]["by"], "name": groups[0]["name"], **mean_figures(groups)}
        for groups in zip(*trainings, strict=True)
    ]


def _spread(reports: Sequence[Report], name: str) -> dict[str, float | None]:
    values = [figure(report, name) for report in reports]
    return {"mean": fmean(values), "sd": stdev(values) if len(values) > 1 else None}
