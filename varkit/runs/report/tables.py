"""Tables of plain text cells, and those of a run: the terminal and the page show the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from varkit.evaluation.graded import GRADED
from varkit.evaluation.metrics import DIRECTIONS
from varkit.evaluation.results import MODELS
from varkit.interfaces.settings import Measured

KEYS = ("R@1", "R@5", "R@10", "MdR", "MnR")
ARROWS = {"query_to_video": "Q→V", "video_to_query": "V→Q"}
SELECTION = {
    "val": "best = highest SumR on videos held out of training",
    "last": "no checkpoint is selected: the last epoch counts",
    "test": "best = highest SumR ON THE TEST SET ITSELF, which flatters it",
    "unknown": "how the model was selected is unknown: varkit did not train it",
}
POSITIVES = {
    "own": "Only a query's own video is right",
    "duplicates": "Every video with literally the same caption is right",
    "unique": "Every video with literally the same caption is right; equal captions are one query",
}
TIES = {
    "average": "Ties are in random order: R@K and ranks are the expected ones",
    "optimistic": "Ties count in the model's favour",
    "pessimistic": "Ties count against the model",
}
DETECTOR = ("detector AUC", "AP", "AUC, abnormal", "AP, abnormal")
GROUP_KEYS = ("n", "R@1", "R@5", "R@10", "MdR")
FEW = 20
"""Groups with fewer queries or videos are marked."""
Kind = Literal["seed", "mean", "sd", "chance", "published", "few"]
SPREAD: Mapping[Kind, str] = {"mean": "{:.1f}", "sd": "±{:.1f}"}


def plain(text: str) -> str:
    """Return text on one line, with spaces for line breaks and control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        columns: headings.
        rows: cells, as many as columns.
        title: one line.
        caption: how to read it.
        words: how many of the first columns hold text, aligned to the left.
        kinds: what each row is, for the page of a run; may be empty.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    caption: str = ""
    words: int = 1
    kinds: tuple[Kind, ...] = ()


def results_table(results: Mapping[str, Any]) -> Table:
    """Return the figures of every seed, their mean and deviation, and chance.

    Args:
        results: a run's ``results.json``; see :func:`varkit.evaluation.results.summarize_seeds`.
    """
    rows: list[tuple[str, ...]] = []
    kinds: list[Kind] = []

    def add(kind: Kind, label: str, epoch: str, ways: Mapping[str, Any], total: str) -> None:
        for number, way in enumerate(DIRECTIONS):
            lead = (label, epoch) if number == 0 else ("", "")
            rows.append((*lead, ARROWS[way], *ways[way], total if number == 0 else ""))
            kinds.append(kind)

    summaries = results["summary"].values()
    keys = (
        *KEYS,
        *(key for key in GRADED if any(f"{DIRECTIONS[0]}.{key}" in s for s in summaries)),
    )
    for which in MODELS:
        for label, report in _reports(results, which):
            ways = {
                way: (*_figures(report[way], keys), str(report[way]["ties"])) for way in DIRECTIONS
            }
            add("seed", label, str(report.get("epoch", "")), ways, f"{report['SumR']:.1f}")
        if len(results["seeds"]) > 1 and which in results["summary"]:
            spread = results["summary"][which]
            for kind, form in SPREAD.items():
                ways = {
                    way: (*(form.format(spread[f"{way}.{key}"][kind]) for key in keys), "")
                    for way in DIRECTIONS
                }
                add(kind, f"{which}, {kind}", "", ways, form.format(spread["SumR"][kind]))
    extra: tuple[Kind, ...] = ("chance", "published")
    for kind in extra:
        if kind in results:
            report = results[kind]
            ways = {way: (*_figures(report[way], keys), "") for way in DIRECTIONS}
            add(kind, kind, "", ways, f"{report['SumR']:.1f}")
    return Table(
        title=f"Retrieval on {results['dataset']}, {results['split']} split{mark(results)}",
        caption=". ".join(_notes(results)) + ".",
        columns=("", "epoch", "", *keys, "ties", "SumR"),
        rows=tuple(rows),
        kinds=tuple(kinds),
    )


def detection_table(results: Mapping[str, Any]) -> Table | None:
    """Return how well detector and samplers find the anomaly, or None if it is unknown."""
    reports = [
        (label, report)
        for which in MODELS
        for label, report in _reports(results, which)
        if "detector" in report or "sampling" in report
    ]
    if not reports:
        return None
    samplers = sorted({name for _, report in reports for name in report.get("sampling", {})})
    rows = [
        (label, *_detector(report), *_shares(report.get("sampling", {}), samplers))
        for label, report in reports
    ]
    kinds: list[Kind] = ["seed"] * len(reports)
    some = reports[0][1]
    if samplers:
        uniform = _shares(dict.fromkeys(samplers, some["sampling_uniform"]), samplers)
        oracle = _shares(some["sampling_oracle"], samplers)
        rows.append(("knows nothing", *_detector(some, blind=True), *uniform))
        rows.append(("knows all", *("" for _ in DETECTOR), *oracle))
        kinds += ["chance", "chance"]
    return Table(
        title=f"Finding the anomaly on {results['dataset']}{mark(results)}",
        caption="AUC and AP (average precision) of the detector's confidence over all clips with "
        "ground truth; abnormal: only over videos with an anomaly. Other columns: the share of "
        "each sampler's picks inside the anomaly, over those videos. Knows nothing: a constant "
        "confidence, and clips drawn uniformly. Knows all: as many distinct anomalous clips as "
        "there are (a sampler that repeats clips can exceed that).",
        columns=("", *DETECTOR, *samplers),
        rows=tuple(rows),
        kinds=tuple(kinds),
    )


def groups_table(results: Mapping[str, Any]) -> Table | None:
    """Return the reported checkpoint's figures by groups of videos, or None."""
    measured = results["groups"]
    if not measured:
        return None
    which = reported(measured)
    rows: list[tuple[str, ...]] = []
    kinds: list[Kind] = []
    for group in measured[which]:
        few = min(group[way]["n"] for way in DIRECTIONS) < FEW
        label = f"{group['by']}: {group['name']}{' *' if few else ''}"
        rows.append((label, *_both_ways(group)))
        kinds.append("few" if few else "seed")
    rows.append(("chance, all videos", *_both_ways(results["chance"])))
    kinds.append("chance")
    trainings = len(results["seeds"])
    return Table(
        title=f"Groups of videos of {results['dataset']}, {which}{mark(results)}",
        caption="Ranks are among all videos or queries of the split"
        + (f"; means over {trainings} trainings" if trainings > 1 else "")
        + ". clips: length of the video; anomaly: share of its clips that are anomalous. "
        f"* fewer than {FEW}: one answer more or less moves R@1 by over {100 / FEW:g} points.",
        columns=("", *(f"{ARROWS[w]} {key}" for w in DIRECTIONS for key in GROUP_KEYS), "SumR"),
        rows=tuple(rows),
        kinds=tuple(kinds),
    )


def reported(models: Mapping[str, Any]) -> Measured:
    """Return which model is reported, of those that were measured."""
    return next(which for which in MODELS if which in models)


def positives_note(rule: str) -> str:
    """Return which answers are right, for a rule or a file of relevance judgements."""
    return POSITIVES.get(rule, f"Answers are right by relevance judgements ({rule})")


def mark(facts: Mapping[str, Any]) -> str:
    """Return the end of every title if the data were made by a program."""
    return " (simulated data)" if facts["simulated"] else ""


def _reports(
    results: Mapping[str, Any], which: Measured
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield label and report of each training."""
    for seed, result in results["seeds"].items():
        if result.get(which) is not None:
            yield which if which == "given" else f"{which}, seed {seed}", result[which]


def _figures(direction: Mapping[str, Any], keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{direction[key]:.1f}" if key in direction else "" for key in keys)


def _both_ways(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells of both directions (n, the recalls and the median), then SumR."""
    cells = [
        f"{report[way][key]:.1f}" if key != "n" else str(report[way][key])
        for way in DIRECTIONS
        for key in GROUP_KEYS
    ]
    return (*cells, f"{report['SumR']:.1f}")


def _detector(report: Mapping[str, Any], *, blind: bool = False) -> tuple[str, ...]:
    """Return the detector's cells, or those of a constant confidence in its place."""
    everywhere = report.get("detector", {})
    values: list[float | None] = []
    for part in (everywhere, everywhere.get("abnormal", {})):
        shown = {"auc": 0.5, "ap": part["anomalous"]} if blind and part else part
        values += [shown.get("auc"), shown.get("ap")]
    return tuple("" if value is None else f"{value:.3f}" for value in values)


def _shares(shares: Mapping[str, float], samplers: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{100 * shares[name]:.1f} %" if name in shares else "" for name in samplers)


def _notes(results: Mapping[str, Any]) -> Iterator[str]:
    reports = [report for which in MODELS for _, report in _reports(results, which)]
    if results["simulated"]:
        yield "SIMULATED data: not comparable with figures of any benchmark"
    if any(report["collapsed"] for report in reports):
        yield (
            "WARNING: nothing is told apart: all videos score the same, or all queries do, so "
            "these figures say nothing about the model"
        )
    chance = results["chance"]
    queries, videos = (chance[way]["n"] for way in DIRECTIONS)
    yield f"n = {queries} queries (Q), {videos} videos (V)"
    yield positives_note(chance["positives"])
    if reports:
        yield (
            f"{TIES[reports[0]['tie_rule']]}; the column ties counts right answers that tie with "
            "another candidate"
        )
        yield SELECTION[results["selection"]]
        repeats = reports[0].get("repeats")
        if repeats:
            yield (
                f"Each figure is the mean of {repeats['n']} sampler seeds "
                f"(sd of SumR {repeats['SumR_sd']:.1f})"
            )
    if len(results["seeds"]) > 1:
        yield f"sd is the standard deviation over {len(results['seeds'])} trainings"
    yield "SumR = the six recalls (%) added before rounding"
    if any(GRADED[0] in report[DIRECTIONS[0]] for report in reports):
        yield f"{' and '.join(GRADED)} are in %, expected over all orders of ties"
    if "published" in results:
        yield f"published: {results['published']['source']}"
