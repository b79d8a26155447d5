"""Times search and training, row by row."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from varkit.evaluation.evaluate import evaluating
from varkit.interfaces import Count
from varkit.runs.report.tables import Table
from varkit.training.log import read_log
from varkit_studies.exhibits import Exhibit
from varkit_studies.exhibits.matching import encoder, matrix
from varkit_studies.finished import FinishedRow, FinishedStudy

T = TypeVar("T")

STEPS = {
    "gallery": "all test videos read and encoded",
    "queries": "all test queries except one read and encoded",
    "query": "that one query read and encoded",
    "search": "its scores with all videos, ranked",
    "epoch": "the training steps of an epoch",
}
"""What is timed -> what it is."""


class RunningTime:
    """Seconds to encode the gallery, to encode a query, to rank, and to train an epoch.

    Args:
        repeats: of each; the model is loaded anew each time, since an encoder may cache its inputs.
    """

    def __init__(self, *, repeats: Count = 5) -> None:
        self.repeats = repeats

    def __call__(self, study: FinishedStudy, folder: Path) -> Exhibit:
        """Time every row, one after another; no file is written."""
        seconds = {name: self._time(row) for name, row in study.rows.items()}
        records = []
        for name, row in study.rows.items():
            for step, values in seconds[name].items():
                base = seconds.get(study.study.reference, {}).get(step)
                records.append(_record(row, step, values, base))
        title = f"Running time{study.mark()}"
        table = Table(
            title=title,
            caption=f"Seconds, median [20 % to 80 % quantile] of {self.repeats} repeats; ×: times "
            f"that of the reference. {'; '.join(f'{k}: {v}' for k, v in STEPS.items())}, over all "
            "epochs and trainings.",
            columns=("row", *STEPS),
            rows=tuple(
                (row.label, *(_cell(records, name, step) for step in STEPS))
                for name, row in study.rows.items()
            ),
        )
        return Exhibit(
            title=title,
            notes=(
                f"Searching was timed on {_machine()}, after one repeat that does not count.",
                *_notes(study),
            ),
            tables=(table,),
            records=tuple(records),
            figures={
                "machine": _machine(),
                "repeats": self.repeats,
                "seconds": records,
            },
        )

    def _time(self, row: FinishedRow) -> dict[str, list[float]]:
        seconds: dict[str, list[float]] = {step: [] for step in STEPS if step != "epoch"}
        for repeat in range(-1, self.repeats):  # the first, which reads files, does not count
            taken = _search(row, repeat)
            if repeat >= 0:
                for step, value in taken.items():
                    seconds[step].append(value)
        epochs = _epochs(row)
        return {**seconds, "epoch": epochs} if epochs else seconds


def _search(row: FinishedRow, repeat: int) -> dict[str, float]:
    """Return the seconds of each step of a search by a freshly loaded model."""
    model, options = row.model(), row.recipe.eval
    place = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(place)
    items = row.dataset.split("test")
    names = [query for item in items for query in item.queries]
    videos = [item.video for item in items]
    one = [names[repeat % len(names)]]
    rest = [name for name in names if name not in one] or names
    taken: dict[str, float] = {}

    def timed(step: str, work: Callable[[], T]) -> T:
        _wait(place)
        begun = time.perf_counter()
        result = work()
        _wait(place)
        taken[step] = time.perf_counter() - begun
        return result

    with evaluating(model):
        single = encoder(model, row.dataset, videos, row.dataset, one, options)
        every = encoder(model, row.dataset, videos, row.dataset, rest, options)
        gallery = timed("gallery", lambda: every.encode_videos(options.seed))
        query = timed("query", lambda: single.encode_queries(options.seed))
        timed("search", lambda: np.argsort(-matrix(single, gallery, query), axis=0))
        timed("queries", lambda: every.encode_queries(options.seed))
    return taken


def _wait(place: torch.device) -> None:
    if place.type == "cuda":
        torch.cuda.synchronize(place)


def _epochs(row: FinishedRow) -> list[float]:
    """Return the seconds of the training steps of each epoch of each training of a row."""
    if not row.row.trains:
        return []
    seconds: dict[tuple[Path, int], float] = {}
    for file in sorted(row.folder.glob("seed-*/metrics.jsonl")):
        for record in read_log(file):
            if record["kind"] == "step":
                key = file, record["epoch"]
                seconds[key] = seconds.get(key, 0.0) + record["seconds"]
    return list(seconds.values())


def _record(
    row: FinishedRow, step: str, values: Sequence[float], base: Sequence[float] | None
) -> dict[str, Any]:
    low, middle, high = np.quantile(values, (0.2, 0.5, 0.8)).tolist()
    return {
        "row": row.name,
        "step": step,
        "seconds": middle,
        "p20": low,
        "p80": high,
        "n": len(values),
        "times_reference": None if base is None else middle / float(np.median(base)),
    }


def _cell(records: Sequence[Mapping[str, Any]], row: str, step: str) -> str:
    for record in records:
        if (record["row"], record["step"]) == (row, step):
            times = record["times_reference"]
            ratio = "" if times is None else f" ×{times:.2f}"
            return f"{record['seconds']:.3g} [{record['p20']:.3g}, {record['p80']:.3g}]{ratio}"
    return ""


def _notes(study: FinishedStudy) -> Iterator[str]:
    for row in study.rows.values():
        facts = row.facts
        if row.row.trains:
            yield (
                f"Row {row.name}: {len(row.dataset.split('test'))} test videos; trained on "
                f"{facts['machine']}, {facts['device']}, {facts['threads']} threads."
            )


def _machine() -> str:
    """Name the processor or accelerator, the system and the threads."""
    name = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    name = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), name)
    if torch.cuda.is_available():
        name = f"{torch.cuda.get_device_name()} and {name}"
    return f"{name}, {platform.platform()}, {torch.get_num_threads()} threads"
