"""A model of one benchmark on the videos of another: ALAN's Fig. 9, measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from varkit.data.positives import query_group
from varkit.errors import DataError, did_you_mean
from varkit.interfaces import Count, Dataset
from varkit.runs.report.tables import Table
from varkit_studies.exhibits import Exhibit
from varkit_studies.exhibits.matching import Floats, Mean, match, of_classes, precision, reference
from varkit_studies.finished import FinishedStudy

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "Fighting": ("Fighting",),
    "Shooting": ("Shooting",),
    "Explosion": ("Explosion",),
    "Car accident": ("RoadAccidents", "Car accident"),
    "Abuse": ("Abuse",),
    "Riot": ("Riot",),
}
"""The classes that UCF-Crime and XD-Violence share, and Riot, which only XD-Violence has."""


class ZeroShot:
    """Of the first k videos of another data set, the share in the query's category.

    The queries are the test split that the models were measured on; the videos are the test split
    of another data set. Nothing is trained.

    Args:
        gallery: the row whose data contain the videos.
        row: the row with the models; default: the study's reference.
        categories: name -> its classes in either data set.
        k: how many of the first videos count.
    """

    def __init__(
        self,
        *,
        gallery: str = "gallery",
        row: str | None = None,
        categories: Mapping[str, tuple[str, ...]] = CATEGORIES,
        k: Count = 2,
    ) -> None:
        self.gallery = gallery
        self.row = row
        self.categories = categories
        self.k = k

    def __call__(self, study: FinishedStudy, folder: Path) -> Exhibit:
        """Measure it; no file is written."""
        row = reference(study, self.row)
        gallery = self._gallery(study)
        _check_streams(row.dataset, gallery)
        classes = {q: i.classes for i in row.dataset.split("test") for q in i.queries}
        wanted = {name: self._of(name, classes) for name in self.categories}
        used = {name: queries for name, queries in wanted.items() if queries}
        names = list(dict.fromkeys(query for queries in used.values() for query in queries))
        if not names:
            raise DataError(f"{row.dataset.name}: no test query is in a shared category")
        scores = [
            match(row.model(seed), gallery, row.dataset, names, row.recipe.eval)
            for seed in row.seeds
        ]
        title = f"{row.dataset.name} to {gallery.name}, zero-shot{study.mark()}"
        captions = row.dataset.query_kind == "captions"
        together = {q: query_group(str(row.dataset.query(q))) if captions else q for q in names}
        records = self._records(study, used, together, scores, gallery)
        notes = [
            f"No test query of {row.dataset.name} is in category {name}."
            for name in self.categories
            if name not in used
        ]
        notes += [
            f"No test video of {gallery.name} is in category {r['category']}; it does not count."
            for r in records
            if r["prior"] == 0
        ]
        table = Table(
            title=title,
            caption=f"Models of {row.label}; queries: test split of {row.dataset.name}; videos: "
            f"{len(gallery.split('test'))} of the test split of {gallery.name}. P@{self.k}: of the "
            f"first {self.k} videos, the % in the query's category, mean over trainings; 95 %: "
            "over queries. Prior: the % of all videos in the category. All of these: every query "
            "once, with the mean of its categories.",
            columns=("category", "queries", f"P@{self.k} [95 %]", "prior"),
            rows=tuple(
                (
                    r["category"],
                    str(r["queries"]),
                    str(Mean(r["value"], r["low"], r["high"])),
                    f"{100 * r['prior']:.1f}",
                )
                for r in records
            ),
        )
        return Exhibit(
            title=title,
            notes=tuple(notes),
            tables=(table,),
            records=tuple(records),
            figures={"k": self.k, "categories": records},
        )

    def _gallery(self, study: FinishedStudy) -> Dataset:
        known = study.datasets
        if self.gallery not in known:
            close = did_you_mean(self.gallery, known)
            raise DataError(f"no row {self.gallery!r} to take videos from.{close}")
        return known[self.gallery][1]

    def _of(self, category: str, classes: Mapping[str, Sequence[str]]) -> list[str]:
        wanted = of_classes(classes.values(), self.categories[category])
        return [query for query, right in zip(classes, wanted, strict=True) if right]

    def _records(
        self,
        study: FinishedStudy,
        used: Mapping[str, Sequence[str]],
        together: Mapping[str, int | str],
        scores: Sequence[Floats],
        gallery: Dataset,
    ) -> list[dict[str, Any]]:
        items = gallery.split("test")
        k = min(self.k, len(items))
        place = {name: column for column, name in enumerate(together)}
        records: list[dict[str, Any]] = []
        every: dict[str, list[float]] = {}
        priors: dict[str, list[float]] = {}
        for category, queries in used.items():
            own = of_classes((item.classes for item in items), self.categories[category])
            columns = [place[query] for query in queries]
            right = np.repeat(own[:, None], len(columns), axis=1)
            shares = np.mean([precision(s[:, columns], right, k) for s in scores], axis=0)
            captions = [together[query] for query in queries]
            records.append(self._record(study, category, shares, captions, float(own.mean())))
            for query, share in zip(queries, shares, strict=True) if own.any() else ():
                every.setdefault(query, []).append(float(share))
                priors.setdefault(query, []).append(float(own.mean()))
        if every:
            # A query of several categories counts once, or the interval would be too narrow.
            shares = np.array([np.mean(own) for own in every.values()])
            prior = float(np.mean([np.mean(own) for own in priors.values()]))
            captions = [together[query] for query in every]
            records.append(self._record(study, "all of these", shares, captions, prior))
        return records

    def _record(
        self,
        study: FinishedStudy,
        category: str,
        shares: Floats,
        captions: Sequence[int | str],
        prior: float,
    ) -> dict[str, Any]:
        mean = Mean.of(shares, resamples=study.resamples, seed=study.seed, together=captions)
        return {
            "category": category,
            "queries": len(shares),
            "k": self.k,
            "value": mean.value,
            "low": mean.low,
            "high": mean.high,
            "prior": prior,
        }


def _check_streams(trained: Dataset, gallery: Dataset) -> None:
    if dict(trained.widths) != dict(gallery.widths):
        raise DataError(
            f"videos of {gallery.name} have streams {dict(gallery.widths)}, but the models were "
            f"trained on {dict(trained.widths)}"
        )
