"""What the data are, beside what was published of them: ALAN's Table I and Fig. 3."""

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
from varkit_studies.comparison.tables import Table
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
    """Videos, hours, lengths and captions of the rows' data, beside what was published of them.

    Data that several rows share are counted once. Where a recipe's embedded block stands in for
    its own data, what was published is of its own, and the table says so.

    Args:
        languages: captions in these languages are counted too, where the data set has the option.
    """

    def __init__(self, *, languages: tuple[str, ...] = ()) -> None:
        self.languages = languages

    def __call__(self, study: FinishedStudy, folder: Path) -> Exhibit:
        """Count, and draw the lengths of captions and videos."""
        found: dict[tuple[str, str], tuple[Recipe, Dataset]] = {}
        for recipe, dataset in study.datasets.values():
            found.setdefault((dataset.name, dataset.fingerprint()), (recipe, dataset))
        title = f"Data sets{study.mark()}"
        notes: list[str] = []
        tables: list[Table] = []
        pictures: list[Picture] = []
        records: list[dict[str, Any]] = []
        for number, (recipe, dataset) in enumerate(found.values()):
            own = statistics(dataset)
            for language in self.languages:
                try:
                    own.figures.update(_captions(recipe, dataset, language))
                except DataError as error:
                    notes.append(f"Captions in {language!r} are not counted: {error.what}.")
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
    """Return of which data set figures were published, and those."""
    cls, name = type(dataset), dataset.name
    if recipe.embedded:
        own = named_target(str(recipe.path), ())
        cls, name = own.cls, own.use
    return name, getattr(cls, "published", {})


def _counts(found: Statistics, title: str) -> Table:
    splits = ("", *found.splits)
    rows = []
    for key, label in FIGURES.items():
        cells = [found.figures.get(f"{key}.{split}".rstrip(".")) for split in splits]
        if cells[0] is not None:
            rows.append((label, *map(_cell, cells)))
    return Table(
        title=f"{found.name}: {title}",
        caption="Lengths are those of the features' clips. Words are parted by spaces; of a "
        "Chinese caption, characters but the final stop count.",
        columns=("", "all", *found.splits),
        rows=tuple(rows),
    )


def _beside(found: Statistics, name: str, figures: Sequence[Published]) -> Table:
    kind = "SIMULATED data" if found.simulated else "data"
    rows = []
    for figure in figures:
        label = FIGURES.get(figure.key, figure.key)
        found_cell, published = _cell(figure.found), f"{figure.published:,g}"
        rows.append((label, published, found_cell, figure.verdict, figure.source))
    return Table(
        title=f"{name}, published, and {found.name}" + " (simulated data)" * found.simulated,
        caption=f"Published figures are of {name}; found: in the {kind} {found.name}, rounded as "
        "the published figure to be called equal.",
        columns=("", "published", "found", "", "where published"),
        rows=tuple(rows),
    )


def _draw(found: Statistics, folder: Path) -> list[Picture]:
    mark = " (simulated data)" if found.simulated else ""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [
        Picture(file, f"{found.name}: {CAPTIONS[file.name]}{mark}")
        for file in write_histograms(found, folder)
    ]
    title = f"{found.name}: lengths of videos{mark}"
    minutes = [video.seconds / 60 for video in found.videos]
    with style():
        figure = panels(title)
        longest = sorted(minutes)[int(0.99 * (len(minutes) - 1))]
        figure.axes[0].hist([min(value, longest) for value in minutes], bins=40, color=BLUE)
        figure.axes[0].set_xlabel("minutes; the longest 1 % count as the last bar")
        figure.axes[0].set_ylabel("how many")
        drawn.append(Picture(save(figure, folder / "durations.png"), title))
    return drawn


def _records(found: Statistics, name: str, figures: Sequence[Published]) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = [
        {"kind": "counted", "dataset": found.name, "figure": key, "value": value}
        for key, value in found.figures.items()
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
