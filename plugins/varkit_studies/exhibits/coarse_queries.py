"""Queries of one or two words instead of a sentence: ALAN's Fig. 7, measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import MinLen

from varkit.errors import DataError
from varkit.interfaces import Count
from varkit.runs.report.tables import Table
from varkit_studies.exhibits import Exhibit
from varkit_studies.exhibits.matching import Texts, match, of_classes, precision
from varkit_studies.finished import FinishedRow, FinishedStudy

QUERIES: Mapping[str, tuple[str, ...]] = {
    "explosion": ("Explosion",),
    "fighting": ("Fighting",),
    "car accident": ("RoadAccidents", "Car accident"),
    "shooting": ("Shooting",),
    "robbery": ("Robbery",),
    "shoplifting": ("Shoplifting",),
    "stealing a car": ("Stealing",),
    "breaking into a house": ("Burglary",),
    "setting fire": ("Arson",),
    "police arrest": ("Arrest",),
    "smashing a window": ("Vandalism",),
    "people walking": ("Normal",),
}


class CoarseQueries:
    """Of the first k videos, the share in the category named by a query of 1 to 4 words.

    A query is left out if the test split has no video of its category.

    Args:
        queries: text -> the classes that it names.
        k: how many of the first videos count.
        show: how many of the first videos are listed.
    """

    def __init__(
        self,
        *,
        queries: Annotated[Mapping[str, tuple[str, ...]], MinLen(1)] = QUERIES,
        k: Annotated[tuple[Count, ...], MinLen(1)] = (3, 10),
        show: Count = 3,
    ) -> None:
        self.queries = queries
        self.k = k
        self.show = show

    def __call__(self, study: FinishedStudy, folder: Path) -> Exhibit:
        """Search with every query and every model; no file is written."""
        title = f"Coarse queries{study.mark()}"
        tables, records, notes = [], [], []
        for row in study.rows.values():
            if row.dataset.query_kind != "captions":
                notes.append(f"Row {row.name} is left out: its queries are sounds.")
                continue
            measured, table, left_out = self._measure(row, title)
            records += measured
            tables.append(table)
            if left_out:
                notes.append(f"Row {row.name} has no test video for these queries: {left_out}.")
        if not tables:
            raise DataError("coarse queries need models of captions")
        return Exhibit(
            title=title,
            notes=tuple(notes),
            tables=tuple(tables),
            records=tuple(records),
            figures={"k": list(self.k), "queries": records},
        )

    def _measure(self, row: FinishedRow, title: str) -> tuple[list[dict[str, Any]], Table, str]:
        items = row.dataset.split("test")
        right = np.array(
            [of_classes((item.classes for item in items), own) for own in self.queries.values()]
        ).T
        kept = [q for q in range(len(self.queries)) if right[:, q].any()]
        names = [list(self.queries)[q] for q in kept]
        right = right[:, kept]
        if not names:
            raise DataError(f"{row.dataset.name}: no test video is of a queried category")
        scores = [
            match(row.model(seed), row.dataset, Texts(), names, row.recipe.eval)
            for seed in row.seeds
        ]
        by_k = {
            k: np.mean([precision(s, right, min(k, len(items))) for s in scores], axis=0)
            for k in self.k
        }
        first = np.argsort(-scores[0], axis=0, kind="stable")[: self.show]
        records, rows = [], []
        for q, name in enumerate(names):
            prior = float(right[:, q].mean())
            own = {k: float(values[q]) for k, values in by_k.items()}
            listed = [items[v] for v in first[:, q]]
            records.append(
                {
                    "row": row.name,
                    "query": name,
                    "classes": " ".join(self.queries[name]),
                    "prior": prior,
                    **{f"P@{k}": value for k, value in own.items()},
                    "first": " ".join(item.video for item in listed),
                }
            )
            shown = [f"{item.video} ({', '.join(item.classes)})" for item in listed]
            cells = (*(f"{100 * value:.1f}" for value in own.values()), f"{100 * prior:.1f}")
            rows.append((name, ", ".join(self.queries[name]), "; ".join(shown), *cells))
        mean = [f"{100 * float(values.mean()):.1f}" for values in by_k.values()]
        rows.append(("mean", "", "", *mean, f"{100 * float(right.mean()):.1f}"))
        table = Table(
            title=f"{row.label}: {title}",
            caption=f"P@k: of the first k of {len(items)} test videos, the % in the category; "
            "mean over trainings. Prior: the % of all videos in the category, which a random "
            f"ranking would reach. First videos: of training {row.seeds[0]}.",
            columns=(
                "query",
                "category",
                f"first {self.show} videos",
                *(f"P@{k}" for k in self.k),
                "prior",
            ),
            rows=tuple(rows),
            words=3,
        )
        left_out = ", ".join(name for name in self.queries if name not in names)
        return records, table, left_out
