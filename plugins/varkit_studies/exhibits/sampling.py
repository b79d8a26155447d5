"""The clips that samplers pick, and whether they are anomalous: ALAN's Fig. 8, measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varkit.data.inspect.stats import segments
from varkit.errors import DataError
from varkit.evaluation.detection import Curve
from varkit.evaluation.evaluate import evaluating
from varkit.evaluation.examples import spread
from varkit.interfaces import Count, Dataset
from varkit.runs.report.charts import COLOURS
from varkit.runs.report.data_figures import BLUE, RED, panels, save, style
from varkit.runs.report.tables import Table
from varkit_studies.exhibits import Exhibit, Picture
from varkit_studies.exhibits.matching import Mean, encoder, reference
from varkit_studies.finished import FinishedRow, FinishedStudy

CONFIDENCE = "confidence"
Truths = Mapping[str, NDArray[np.bool_]]


class Sampling:
    """The share of each sampler's picks inside the anomaly, and time lines of a few videos.

    Args:
        videos: how many time lines are drawn, of anomalous test videos spread evenly over the row.
        row: the row whose time lines are drawn; default: the study's reference.
    """

    def __init__(self, *, videos: Count = 3, row: str | None = None) -> None:
        self.videos = videos
        self.row = row

    def __call__(self, study: FinishedStudy, folder: Path) -> Exhibit:
        """Encode the test videos with every training of every row, and draw a few."""
        drawn = reference(study, self.row)
        title = f"Where samplers look{study.mark()}"
        records: list[dict[str, Any]] = []
        pictures: list[Picture] = []
        for row in study.rows.values():
            truths = _truths(row.dataset)
            trainings = [_curves(row, list(truths), seed) for seed in row.seeds]
            records += _records(study, row, truths, trainings)
            first = trainings[0][0]
            if row is drawn and first:
                mark = " (simulated data)" if row.dataset.simulated else ""
                for number, video in enumerate(spread(list(truths), self.videos)):
                    file = folder / f"video-{number + 1}.png"
                    caption = f"{video}: {row.label}, seed {row.seeds[0]}{mark}"
                    _draw(row.dataset, video, first[video], truths[video], caption, file)
                    pictures.append(
                        Picture(file, f"{caption}. Shaded: the anomaly; strokes: picked clips.")
                    )
        table = Table(
            title=title,
            caption="Picks inside: the % of a sampler's clips inside the anomaly, over the test "
            "videos with a known anomaly, mean over trainings; 95 %: over videos. Uniform: the "
            "expectation for clips drawn at random; best: the most that distinct clips can reach, "
            "which a sampler that repeats clips may exceed.",
            columns=("row", "sampler", "videos", "picks inside [95 %]", "uniform", "best"),
            rows=tuple(
                (
                    r["label"],
                    r["sampler"],
                    str(r["videos"]),
                    str(Mean(r["value"], r["low"], r["high"])),
                    f"{100 * r['uniform']:.1f}",
                    f"{100 * r['best']:.1f}",
                )
                for r in records
            ),
            words=2,
        )
        sampled = {record["row"] for record in records}
        notes = tuple(f"Row {name} has no sampler." for name in study.rows if name not in sampled)
        return Exhibit(
            title=title,
            notes=notes,
            tables=(table,),
            pictures=tuple(pictures),
            records=tuple(records),
            figures={"samplers": records},
        )


def _truths(dataset: Dataset) -> Truths:
    """Return the ground truth of the anomalous test videos.

    Raises:
        DataError: no test video has a known anomaly.
    """
    known = {item.video: dataset.truth(item.video) for item in dataset.split("test")}
    truths = {video: truth for video, truth in known.items() if truth is not None and truth.any()}
    if not truths:
        raise DataError(f"{dataset.name}: no test video has ground truth with an anomaly")
    return truths


def _curves(row: FinishedRow, videos: Sequence[str], seed: int) -> list[Mapping[str, Curve]]:
    """Return video -> curve of a training, for each sampler seed."""
    model, options = row.model(seed), row.recipe.eval
    encoding = encoder(model, row.dataset, videos, row.dataset, (), options)
    with evaluating(model):
        return [
            encoding.encode_videos(options.seed + repeat).curves
            for repeat in range(options.repeats)
        ]


def _records(
    study: FinishedStudy,
    row: FinishedRow,
    truths: Truths,
    trainings: Sequence[Sequence[Mapping[str, Curve]]],
) -> list[dict[str, Any]]:
    every = [curves for repeats in trainings for curves in repeats]
    uniform = float(np.mean([truth.mean() for truth in truths.values()]))
    records = []
    for sampler, picks in next(iter(every[0].values())).picks.items() if every[0] else ():
        inside = [[t[c[v].picks[sampler]].mean() for v, t in truths.items()] for c in every]
        mean = Mean.of(np.mean(inside, axis=0), resamples=study.resamples, seed=study.seed)
        different = [min(len(picks), len(truth)) for truth in truths.values()]
        most = [min(int(t.sum()), n) / n for t, n in zip(truths.values(), different, strict=True)]
        records.append(
            {
                "row": row.name,
                "label": row.label,
                "sampler": sampler,
                "videos": len(truths),
                "value": mean.value,
                "low": mean.low,
                "high": mean.high,
                "uniform": uniform,
                "best": float(np.mean(most)),
            }
        )
    return records


def _draw(
    dataset: Dataset,
    video: str,
    curve: Curve,
    truth: NDArray[np.bool_],
    title: str,
    file: Path,
) -> None:
    times = dataset.open(video).times
    middle = times.mean(axis=1)
    first, *rest = curve.picks
    rows = [first, CONFIDENCE, *rest] if curve.scores is not None else [first, *rest]
    with style():
        figure = panels(title, rows=len(rows), height=0.8 + 0.8 * len(rows))
        for number, (axes, name) in enumerate(zip(figure.axes, rows, strict=True)):
            axes.set_ylabel(name)
            for start, after in segments(truth):
                axes.axvspan(times[start, 0], times[after - 1, 1], color=RED, alpha=0.18, lw=0)
            if name == CONFIDENCE and curve.scores is not None:
                axes.plot(middle, curve.scores, color=BLUE, linewidth=1)
                axes.set_ylim(0, 1.02)
            else:
                colour = COLOURS[number % len(COLOURS)]
                axes.eventplot(middle[curve.picks[name]], linewidths=1, colors=colour)
                axes.set_yticks([])
        figure.axes[-1].set_xlim(float(times[0, 0]), float(times[-1, 1]))
        figure.axes[-1].set_xlabel("seconds")
        save(figure, file)
