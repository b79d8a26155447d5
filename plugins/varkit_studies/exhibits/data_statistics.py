"""Figures of the data sets beside the published ones: ALAN's Table I and Fig. 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from varkit.data.inspect.stats import Published, Statistics, statistics
from varkit.errors import DataError
from varkit.interfaces import Dataset
from varkit.recipe.load import Recipe
from varkit.recipe.options import construct, options_of
from varkit.recipe.target import named_target
from varkit.runs.report.data_figures import BLUE, panels, save, style, write_histograms
from varkit.runs.report.tables import Table
from varkit_studies.exhibits import Exhibit, Picture
from varkit_studies.finished import FinishedStudy

FIGURES: Mapping[str, str] = {
    "videos": "videos",
    "anomalous": "anomalous",
    "normal": "normal",
    "classes": "classes",
    "hours": "hours",
    "seconds.mean": "mean length (s)",
    "seconds.median": "median length (s)",
    "seconds.max": "longest (s)",
    "words.mean": "mean words of a caption",
    "characters.mean": "mean characters of a caption",
    "sound_clips.mean": "mean clips of a sound",
    "vocabulary": "different words",
    "anomaly.videos": "videos with a known anomaly",
    "anomaly.fraction.mean": "their mean anomalous share",
}
"""Figure of :mod:`varkit.data.inspect.stats` -> how the table names it."""
CAPTIONS = {
    "captions.png": "lengths of captions",
    "clips.png": "clips in a video",
    "anomalous_share.png": "anomalous share",
    "classes.png": "videos in a class",
}


class DataStatistics:
    """Videos, hours, lengths and captions of the rows' data, beside the published figures.

    Data that several rows share are counted once. If a recipe's embedded block is used, the
    published figures are still those of its own data, and the table says so.

    Args:
        languages: also count captions in these languages, if the data set has the option.
    """

    def __init__(self, *, languages: tuple[str, ...] = ()) -> None:
        self.languages = languages

    def __call__(self, study: FinishedStudy, folder: Path) -> Exhibit:
        """Count, and draw the lengths of captions and videos."""
        distinct: dict[tuple[str, str], tuple[Recipe, Dataset]] = {}
        for recipe, dataset in study.datasets.values():
            distinct.setdefault((dataset.name, dataset.fingerprint()), (recipe, dataset))
        title = f"Data sets{study.mark()}"
        notes: list[str] = []
        tables: list[Table] = []
        pictures: list[Picture] = []
        records: list[dict[str, Any]] = []
        for number, (recipe, dataset) in enumerate(distinct.values()):
            own = statistics(dataset)
            for language in self.languages:
                try:
                    own.figures.update(_captions(recipe, dataset, language))
                except DataError as error:
                    notes.append(f"Captions in {language!r} are not counted: {error.line}.")
            name, published = _published(recipe, dataset)
            beside = own.beside(published)
            tables.append(_counts(own, title))
            if beside:
                tables.append(_beside(own, name, beside))
            pictures += _draw(own, folder / str(number + 1))
            records += _records(own, name, beside)
        return Exhibit(
            title=title,
            notes=tuple(notes),
            tables=tuple(tables),
            pictures=tuple(pictures),
            records=tuple(records),
            figures={"figures": records},
        )


def _captions(recipe: Recipe, dataset: Dataset, language: str) -> dict[str, float]:
    """Return the figures of captions in another language."""
    cls = type(dataset)
    if "language" not in options_of(cls):
        return {}
    other = construct(cls, {**recipe.data.options, "language": language}, {})
    return {
        key: value
        for key, value in statistics(other).figures.items()
        if key.startswith(("words.", "characters."))
    }


def _published(recipe: Recipe, dataset: Dataset) -> tuple[str, Mapping[str, tuple[float, str]]]:
    """Return the data set whose figures were published, and the figures."""
    cls, name = type(dataset), dataset.name
    if recipe.embedded:
        own = named_target(str(recipe.path), ())
        cls, name = own.cls, own.use
    return name, getattr(cls, "published", {})


def _counts(counted: Statistics, title: str) -> Table:
    splits = ("", *counted.splits)
    rows = []
    for key, label in FIGURES.items():
        cells = [counted.figures.get(f"{key}.{split}".rstrip(".")) for split in splits]
        if cells[0] is not None:
            rows.append((label, *map(_cell, cells)))
    return Table(
        title=f"{counted.name}: {title}",
        caption="Lengths are those of the features' clips. Words are separated by spaces; in a "
        "Chinese caption all characters except the final stop count.",
        columns=("", "all", *counted.splits),
        rows=tuple(rows),
    )


def _beside(counted: Statistics, name: str, figures: Sequence[Published]) -> Table:
    kind = "SIMULATED data" if counted.simulated else "data"
    rows = []
    for figure in figures:
        label = FIGURES.get(figure.key, figure.key)
        cells = f"{figure.published:,g}", _cell(figure.found), figure.verdict, figure.source
        rows.append((label, *cells))
    return Table(
        title=f"{name}, published, and {counted.name}" + " (simulated data)" * counted.simulated,
        caption=f"Published figures are of {name}. Found: in the {kind} {counted.name}; equal if "
        "it rounds to the published figure.",
        columns=("", "published", "found", "", "where published"),
        rows=tuple(rows),
    )


def _draw(counted: Statistics, folder: Path) -> list[Picture]:
    mark = " (simulated data)" if counted.simulated else ""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [
        Picture(file, f"{counted.name}: {CAPTIONS[file.name]}{mark}")
        for file in write_histograms(counted, folder)
    ]
    title = f"{counted.name}: lengths of videos{mark}"
    minutes = [video.seconds / 60 for video in counted.videos]
    with style():
        figure = panels(title)
        longest = sorted(minutes)[int(0.99 * (len(minutes) - 1))]
        figure.axes[0].hist([min(value, longest) for value in minutes], bins=40, color=BLUE)
        figure.axes[0].set_xlabel("minutes; the longest 1 % count as the last bar")
        figure.axes[0].set_ylabel("how many")
        drawn.append(Picture(save(figure, folder / "durations.png"), title))
    return drawn


def _records(counted: Statistics, name: str, figures: Sequence[Published]) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = [
        {"kind": "counted", "dataset": counted.name, "figure": key, "value": value}
        for key, value in counted.figures.items()
    ]
    records += [
        {
            "kind": "published",
            "dataset": name,
            "figure": figure.key,
            "value": figure.published,
            "source": figure.source,
            "equal": figure.equal,
        }
        for figure in figures
    ]
    return records


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
