"""Simulated benchmarks with ground truth, generated on first use."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from varkit.files import write_error
from varkit.types import Count, Fraction, Natural, NonNegative, Positive
from varkit_benchmarks.folder import Folder
from varkit_benchmarks.simulator.generate import SECONDS, VERSION, Plan, generate
from varkit_benchmarks.simulator.signals import Knobs


class Simulated(Folder):
    """A stand-in for UCFCrime-AR or XDViolence-AR where their features are not at hand.

    It is a :class:`Folder` that a program wrote: long videos of fixed cameras in which a short
    event happens, and a caption or a sound of it (see :mod:`varkit_benchmarks.simulator`).

    What is fitted to the benchmarks' own lists and annotations: lengths, number of segments and
    share of a video that the event fills, classes, words a caption, and how many captions name a
    colour or the night. How strongly things show in features is *not* known. ``noise``,
    ``camera``, ``threat``, ``others`` and the strengths in :mod:`.simulator.signals` were set by
    hand with linear models alone, never with a model that recipes train: a linear probe that is
    told the truth finds anomalous clips with an AUC of about 0.85, about what weakly supervised
    detectors reach on UCF-Crime; and between captions and the mean of all clips, linear
    correlation reaches a SumR of about 150 (chance 17.8), with the mean of the event's clips beside
    it 300; between sounds and the mean of all clips, also 300. Those linear figures were of the
    test split. So results say whether a method works, not how well it does on the benchmark.

    Args:
        task: ``text`` (UCF-Crime's classes, captions) or ``audio`` (XD-Violence's, sounds).
        videos: how many; every other one is anomalous.
        test: share of the videos in the test split.
        median_clips: median T; UCFCrime-AR has 133, XDViolence-AR 141.
        longest: largest T; the benchmark reaches 61,000.
        width: D of every stream.
        noise: standard deviation of a clip's noise in every direction; what a clip shows has
            about norm 1.
        camera: norm of an offset that is the same in all clips of a video and means nothing.
        threat: norm of what all anomalous events have in common.
        others: ordinary events in every video that its caption does not mention.
        seed: another seed is another world.
        root: where to keep what was generated; each set of options has a folder of its own.
    """

    simulated = True

    def __init__(
        self,
        *,
        task: Literal["text", "audio"] = "text",
        videos: Count = 900,
        test: Fraction = 0.2,
        median_clips: Count = 96,
        longest: Count = 3000,
        width: Count = 64,
        noise: Positive = 0.6,
        camera: NonNegative = 1.0,
        threat: NonNegative = 0.75,
        others: Natural = 2,
        seed: Natural = 0,
        root: str = ".cache/varkit/simulated",
    ) -> None:
        knobs = Knobs(width=width, noise=noise, camera=camera, threat=threat, seed=seed)
        plan = Plan(task, videos, test, median_clips, longest, others, knobs)
        self.folder = _generated(plan, Path(root))
        self.ground_truth_file = self.folder / "ground_truth.json"
        super().__init__(
            root=str(self.folder),
            streams={"object": "object", "motion": "motion"},
            query=task,
            seconds_per_clip=SECONDS[task],
            name={"text": "simulated-ucf", "audio": "simulated-xd"}[task],
        )

    @staticmethod
    def missing(**options: object) -> list[str]:
        """Return nothing: it generates what it needs."""
        return []

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Return the options of a small world."""
        return {"videos": 8, "median_clips": 8, "longest": 40, "root": str(folder)}

    def ground_truth(self) -> dict[str, Any]:
        """Return video -> what made it: factors, events with their clips, the caption's phrases."""
        truths: dict[str, Any] = json.loads(self.ground_truth_file.read_text(encoding="utf-8"))
        return truths


def _generated(plan: Plan, root: Path) -> Path:
    """Return the folder of a plan, generating it first where it is not complete."""
    content = json.dumps([VERSION, asdict(plan)], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    folder = root / f"{plan.task}-{digest}"
    if folder.is_dir():
        return folder
    try:
        with _lock(root / f".{folder.name}.lock"):
            if not folder.is_dir():
                part = root / f".{folder.name}.part"
                shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
                part.mkdir()
                generate(plan, part)
                part.rename(folder)
    except OSError as error:
        size = plan.videos * plan.median_clips * 3 * plan.knobs.width * 6
        raise write_error(error, folder, size) from error
    return folder


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock on a file; another process that wants it waits. A killed one lets it go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
