"""Simulated benchmarks with ground truth, generated on first use."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from varkit.errors import DataError
from varkit.interfaces import Count, Fraction, Natural, NonNegative, Positive
from varkit.system.files import write_error
from varkit_benchmarks import ucfcrime_ar, xdviolence_ar
from varkit_benchmarks.layout import Layout
from varkit_benchmarks.simulator.driven import Told, draw_driven, read_told
from varkit_benchmarks.simulator.generate import VERSION, generate
from varkit_benchmarks.simulator.ground_truth import read_ground_truth, read_masks
from varkit_benchmarks.simulator.joint_files import VERSION as JOINT_VERSION
from varkit_benchmarks.simulator.joint_files import generate_joint, joint_layout
from varkit_benchmarks.simulator.joint_space import Joint
from varkit_benchmarks.simulator.looks import lacking, text_look
from varkit_benchmarks.simulator.population import Plan, draw_population
from varkit_benchmarks.simulator.signals import Knobs
from varkit_benchmarks.simulator.world import Task
from varkit_benchmarks.stored import Stored

SIZES: Mapping[str, Mapping[Task, tuple[int, int, int, int, int]]] = {
    # videos, of these in the test split, median clips, longest, width
    "small": {"text": (40, 10, 16, 80, 32), "audio": (40, 10, 16, 80, 32)},
    "medium": {"text": (1900, 290, 96, 3000, 64), "audio": (1900, 290, 96, 3000, 64)},
    "paper": {"text": (1900, 290, 138, 61_031, 1024), "audio": (4754, 800, 141, 9000, 1024)},
}
"""What sizes stand for; ``paper`` has the benchmarks' own numbers."""

JOINT_WIDTH = 512
"""D of CLIP ViT-B's space, whatever the size."""

LAYOUTS: Mapping[Task, tuple[str, Callable[..., Layout]]] = {
    "text": ("simulated-ucf", ucfcrime_ar.layout),
    "audio": ("simulated-xd", xdviolence_ar.layout),
}


class Simulated(Stored):
    """A stand-in for UCFCrime-AR or XDViolence-AR where their features are not at hand.

    A program writes long videos of fixed cameras in which a short event happens, with a caption or
    a sound of it, in the layout of the benchmark's authors, and they are read as theirs are (see
    :mod:`varkit_benchmarks.simulator`). The truth is known of every video, in training too.

    What is fitted to the benchmarks' own lists and annotations: names, classes, lengths, number of
    segments and share of a video that its events fill, and the captions' words. How strongly things
    show in features is *not* known. ``noise``, ``camera``, ``threat``, ``others`` and the strengths
    in :mod:`.simulator.signals` were set by hand with linear models alone, never with a model that
    recipes train, on 290 videos held out of the training split (``medium``, seed 0; chance 11).
    There, a linear probe that is told the truth finds anomalous clips with an AUC of 0.87 (audio:
    0.93), about what weakly supervised detectors reach on the benchmarks; between words of captions
    and the mean of all clips, canonical correlation reaches a SumR of 180, with the mean of the
    event's clips beside it 354; between sounds and the mean of all clips, 283. On the test split,
    which decided none of this, it is 0.83 and 0.92; 163, 329 and 261. The proportions of the
    strengths go back to an earlier world, and to such figures of its test split. So results say
    whether a method works, not how well it does on the benchmark.

    With ``features: clip`` the same videos show in a space that pictures, words and sounds share,
    as CLIP's is (:mod:`.simulator.joint_space`): a stream ``clip``, perhaps ``patches``, and as a
    query the clips of a sound, or the rows of a caption, the first of the whole and one of each
    word. They are written as a folder of one's own is, and :class:`~.folder.Folder` reads them too.
    ``misalignment`` was set by hand so that retrieval without training is far from chance and from
    perfect: at 512 wide (``median_clips: 32``, ``longest: 256``, seed 0) the mean of a test video's
    clips and the caption reach a SumR of 116, and the mean of the sound's clips 99; at 128 wide 102
    and 82. Nothing that is trained was looked at.

    Args:
        task: ``text`` (UCF-Crime's classes, captions) or ``audio`` (XD-Violence's, sounds).
        size: ``small`` takes a second to write, ``medium`` some, ``paper`` has the benchmark's own
            numbers and takes minutes and 4 GB. The next five options override what it stands for.
        videos: how many.
        test: share of the videos in the test split.
        median_clips: median T of the training split; 138 in UCFCrime-AR, 141 in XDViolence-AR.
        longest: largest T; below 6 counts as 6.
        width: D of every stream; sounds are at most 128 wide.
        noise: standard deviation of a clip's noise in every direction; what a clip shows has
            about norm 1.
        camera: norm of an offset that is the same in all clips of a video and means nothing.
        threat: norm of what all anomalous events have in common.
        others: ordinary events in every video that its caption does not mention.
        crops: crops of a video, each with noise of its own; ``clip`` has one.
        features: ``i3d`` stands for I3D and VGGish, each kind in a space of its own; ``clip`` for
            CLIP and sounds in its space.
        patches: of a clip's picture, side by side in a stream of that name; with ``clip`` only.
        misalignment: with ``clip``, norm of the error with which pictures, words and sounds each
            see a thing of norm 1; the higher, the less is found without training.
        seed: another seed is another world.
        captions: a folder with the real benchmark's ``ucf_crime_train.xlsx`` and
            ``ucf_crime_test.xlsx``: videos, splits and captions are theirs, and features show what
            a language model makes of the words; ``videos`` and ``test`` must not be given then.
            A probe as above has an AUC of 0.93; captions (their embeddings by that model) and the
            mean of all clips reach 177, with the event's clips 316.
        annotations: a folder with UCF-Crime's ``All_Annotation.txt`` (lengths) and
            ``Temporal_Anomaly_Annotation.txt``, as far as they are there; null = beside the
            captions.
        root: where to keep what was generated; each set of options has a folder of its own, which
            can be deleted at any time.
    """

    def __init__(
        self,
        *,
        task: Task = "text",
        size: Literal["small", "medium", "paper"] = "medium",
        videos: Count | None = None,
        test: Fraction | None = None,
        median_clips: Count | None = None,
        longest: Count | None = None,
        width: Count | None = None,
        noise: Positive = 0.4,
        camera: NonNegative = 0.7,
        threat: NonNegative = 0.5,
        others: Natural = 2,
        crops: Count = 1,
        features: Literal["i3d", "clip"] = "i3d",
        patches: Natural = 0,
        misalignment: NonNegative = 0.7,
        seed: Natural = 0,
        captions: str | None = None,
        annotations: str | None = None,
        root: str = ".cache/varkit/simulated",
    ) -> None:
        many, tested, median, most, wide = SIZES[size][task]
        plan = Plan(
            task=task,
            videos=videos or many,
            test=tested / many if test is None else test,
            median_clips=median_clips or median,
            longest=longest or most,
            others=others,
            seed=seed,
        )
        joint = Joint(patches, misalignment) if features == "clip" else None
        if joint is None and patches:
            raise DataError("only features like CLIP's have patches", hint="set features=clip")
        if joint is not None and (crops > 1 or captions is not None):
            raise DataError("features like CLIP's have one crop, and show no captions from a file")
        knobs = Knobs(
            width=width or (wide if joint is None else JOINT_WIDTH),
            noise=noise,
            camera=camera,
            threat=threat,
            crops=crops,
            seed=seed,
        )
        told = None
        if captions is not None:
            if task != "text" or videos is not None or test is not None:
                raise DataError("captions decide the task, the videos and the test split")
            told = read_told(Path(captions), Path(annotations or captions))
        known = None if told is None else [asdict(video) for video in told]
        self._questions = _digest([VERSION, asdict(plan), known])
        self.folder = _generated(plan, knobs, joint, told, Path(root))
        name, layout = LAYOUTS[task]
        if joint is None:
            super().__init__(layout(root=str(self.folder), name=name))
        else:
            super().__init__(joint_layout(task, self.folder, joint, f"{name}-clip"))

    @staticmethod
    def missing(*, captions: str | None = None, **options: object) -> list[str]:
        """Return what this machine lacks to show captions; without any it needs nothing."""
        if captions is None:
            return []
        absent = [] if Path(captions).is_dir() else [f"{captions}: there is no such folder"]
        return absent + lacking()

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Return the options of a small world."""
        return {"size": "small", "videos": 8, "root": str(folder)}

    def questions(self) -> str:
        """Return a hash of what happens in the videos, which decides what is asked.

        How features show it does not count: I3D and CLIP of one world are the same questions.
        """
        return self._questions

    def ground_truth(self) -> dict[str, dict[str, Any]]:
        """Return video -> what made it; see :mod:`varkit_benchmarks.simulator.ground_truth`."""
        return read_ground_truth(self.folder)

    def masks(self, video: str) -> dict[str, NDArray[np.bool_]]:
        """Return what is known of a video by clip; see there."""
        return read_masks(self.folder, video)


def _generated(
    plan: Plan, knobs: Knobs, joint: Joint | None, told: Sequence[Told] | None, root: Path
) -> Path:
    """Return the folder of a world, generating it first where it is not complete."""
    known = None if told is None else [asdict(video) for video in told]
    world = [VERSION, asdict(plan), asdict(knobs), known]
    if joint is not None:
        world += [JOINT_VERSION, asdict(joint)]
    folder = root / f"{plan.task}-v{VERSION}-{_digest(world)[:16]}"
    if folder.is_dir():
        return folder
    part = root / f".{folder.name}.part"
    try:
        with _lock(root / f".{folder.name}.lock"):
            if not folder.is_dir():
                shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
                part.mkdir()
                _generate(plan, knobs, joint, told, part)
                part.rename(folder)
    except OSError as error:
        clips = 3 * plan.videos * plan.median_clips  # the mean of T is three times its median
        vectors = 2 * knobs.crops if joint is None else 2 + joint.patches
        raise write_error(error, folder, clips * vectors * knobs.width * 2) from error
    return folder


def _digest(known: Any) -> str:
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _generate(
    plan: Plan, knobs: Knobs, joint: Joint | None, told: Sequence[Told] | None, folder: Path
) -> None:
    if joint is not None:
        generate_joint(plan.task, draw_population(plan), knobs, joint, folder)
        return
    if told is None:
        generate(plan.task, draw_population(plan), knobs, folder)
        return
    videos = draw_driven(
        told,
        others=plan.others,
        seed=plan.seed,
        median_clips=plan.median_clips,
        longest=plan.longest,
    )
    generate(plan.task, videos, knobs, folder, look=text_look(videos))


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock on a file; another process that wants it waits. A killed one lets it go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
