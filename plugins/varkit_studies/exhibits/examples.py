"""Some queries and the videos that a search returns: ALAN's retrieval examples."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from varkit.errors import RunError
from varkit.evaluation import examples as saved
from varkit.interfaces import Count
from varkit.runs.report.data_figures import RED, panels, save, style
from varkit.runs.report.tables import Table, plain
from varkit.system.records import read_json
from varkit_studies.exhibits import Exhibit, Picture
from varkit_studies.exhibits.matching import reference
from varkit_studies.finished import FinishedRow, FinishedStudy

GREEN = "#2a9d6f"


class Examples:
    """Queries from the best ranked to the worst, and the first videos of each, right or wrong.

    They come from the run's ``examples.json``.

    Args:
        videos: how many of a query's first videos are shown, at most 5.
        row: the row; default: the study's reference.
    """

    def __init__(self, *, videos: Count = 3, row: str | None = None) -> None:
        self.videos = videos
        self.row = row

    def __call__(self, study: FinishedStudy, folder: Path) -> Exhibit:
        """Read them, and draw the grid.

        Raises:
            RunError: the row has no ``examples.json``, or is not finished.
        """
        row = reference(study, self.row)
        examples = _read(row)
        classes = {item.video: item.classes for item in row.dataset.split("test")}
        title = f"Examples: {row.label}, seed {row.seeds[0]}{study.mark()}"
        table = Table(
            title=title,
            caption="Queries spread evenly from the best ranked to the worst. Rank: of the query's "
            "own video. + right, - wrong; in brackets classes and score.",
            columns=(
                "query",
                "its video",
                "rank",
                *(f"{n + 1}." for n in range(self.videos)),
            ),
            rows=tuple(self._row(example, classes) for example in examples),
            words=2,
        )
        file = folder / "examples.png"
        self._draw(examples, classes, title, file)
        return Exhibit(
            title=title,
            tables=(table,),
            pictures=(Picture(file, f"{title}. Green: right; red: wrong."),),
            figures={"row": row.name, "seed": row.seeds[0], "retrieval": examples},
        )

    def _row(
        self, example: Mapping[str, Any], classes: Mapping[str, Sequence[str]]
    ) -> tuple[str, ...]:
        cells = [
            f"{'+' if hit['correct'] else '-'} {_named(hit['video'], classes)} {hit['score']:.2f}"
            for hit in example["top"][: self.videos]
        ]
        cells += [""] * (self.videos - len(cells))
        own = _named(example["video"], classes)
        return (example["query"], own, f"{example['rank']:g}", *cells)

    def _draw(
        self,
        examples: Sequence[Mapping[str, Any]],
        classes: Mapping[str, Sequence[str]],
        title: str,
        file: Path,
    ) -> None:
        with style():
            figure = panels(plain(title), height=0.6 + 0.9 * len(examples))
            axes = figure.axes[0]
            axes.set_axis_off()
            axes.set_xlim(-1.2, self.videos)
            axes.set_ylim(len(examples), 0)
            for line, example in enumerate(examples):
                query = f"{example['query']} (rank {example['rank']:g})"
                axes.text(-1.2, line + 0.5, _wrapped(query, 36), va="center", fontsize=7)
                for place, hit in enumerate(example["top"][: self.videos]):
                    axes.text(
                        place + 0.5,
                        line + 0.5,
                        _wrapped(f"{_named(hit['video'], classes)} {hit['score']:.2f}", 26),
                        ha="center",
                        va="center",
                        fontsize=6,
                        bbox={
                            "edgecolor": GREEN if hit["correct"] else RED,
                            "facecolor": "none",
                            "linewidth": 1.5,
                        },
                    )
            save(figure, file)


def _read(row: FinishedRow) -> list[saved.Retrieved]:
    file = row.folder / f"seed-{row.seeds[0]}" / "examples.json"
    if not file.is_file():
        raise RunError(f"row {row.name} has no examples: {file} is missing")
    return read_json(file, saved.Examples)["retrieval"]


def _named(video: str, classes: Mapping[str, Sequence[str]]) -> str:
    own = ", ".join(classes.get(video, ()))
    return f"{video} ({own})" if own else video


def _wrapped(text: str, width: int) -> str:
    """Break a text into at most 4 lines; what does not fit is left out."""
    lines = textwrap.wrap(plain(text), width)
    return "\n".join([*lines[:3], *[" ".join(lines[3:])[:width]] * (len(lines) > 3)])
