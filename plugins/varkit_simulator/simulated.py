"""Simulated benchmarks with ground truth, generated on first use."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from varkit_datasets import ucfcrime_ar, xdviolence_ar
from varkit_datasets.folder import layout as folder_layout
from varkit_datasets.layout import Layout
from varkit_datasets.stored import Stored

from varkit.errors import DataError
from varkit.interfaces import Count, Fraction, Natural, NonNegative, Place, Positive
from varkit.system.files import exclusive, write_error
from varkit_simulator.events import Task
from varkit_simulator.features import Joint, Knobs
from varkit_simulator.files import (
    JOINT_VERSION,
    VERSION,
    read_ground_truth,
    read_masks,
    write_benchmark,
    write_folder,
)
from varkit_simulator.population import Plan, draw_population
from varkit_simulator.real_captions import (
    RealVideo,
    draw_real_population,
    embed_words,
    missing_packages,
    read_real_videos,
)
from varkit_simulator.timeline import SECONDS

SIZES: Mapping[str, Mapping[Task, tuple[int, int, int, int, int]]] = {
    # videos, of these in the test split, median clips, longest, width
    "small": {"text": (40, 10, 16, 80, 32), "audio": (40, 10, 16, 80, 32)},
    "medium": {"text": (1900, 290, 96, 3000, 64), "audio": (1900, 290, 96, 3000, 64)},
    "paper": {"text": (1900, 290, 138, 61_031, 1024), "audio": (4754, 800, 141, 9000, 1024)},
}
"""The numbers of each size; those of ``paper`` are the benchmarks' own."""

JOINT_WIDTH = 512
"""D of CLIP ViT-B's space, for every size."""

LAYOUTS: Mapping[Task, tuple[str, Callable[..., Layout]]] = {
    "text": ("simulated-ucf", ucfcrime_ar.layout),
    "audio": ("simulated-xd", xdviolence_ar.layout),
}


class Simulated(Stored):
    """A stand-in for UCFCrime-AR or XDViolence-AR where their features are not available.

    It generates long videos of fixed cameras in which a short event happens, with a caption or a
    sound. They are written in the layout of the benchmark's authors and read like the benchmark
    (see :mod:`varkit_simulator`). The whole ground truth of every video is known, in training too.

    Names, classes, lengths, number of segments, share of a video that its events fill, and the
    captions' words are fitted to the benchmarks' own lists and annotations. How strongly things
    show in features is *not* known. ``noise``, ``camera``, ``threat``, ``others`` and the strengths
    in :mod:`.features` were set by hand with linear models alone, never with a model that
    recipes train, on 290 videos held out of the training split (``medium``, seed 0; chance 11).
    There, a linear probe trained on the ground truth finds anomalous clips with an AUC of 0.87
    (audio: 0.93), similar to weakly supervised detectors on the benchmarks. Canonical correlation
    between the words of captions and the mean of all clips reaches a SumR of 180, and 354 with the
    mean of the event's clips added; between sounds and the mean of all clips, 283. On the test
    split, which was not used for this, the AUC is 0.83 and 0.92, and SumR is 163, 329 and 261. The
    proportions of the strengths come from an earlier world, and from such figures of its test
    split. So results say whether a method works, not how well it does on the benchmark.

    With ``features: clip`` the same videos show in a space that pictures, words and sounds share,
    like CLIP's (:class:`.features.JointSpace`). There is a stream ``clip``, perhaps one of
    ``patches``. A query is the clips of a sound, or the rows of a caption: first the whole caption,
    then each word. The data set ``folder`` (:class:`~varkit_datasets.folder.Folder`) can read
    their files. ``misalignment`` was set by hand so that retrieval without training is far from
    chance and from perfect: at 512 wide (``median_clips: 32``, ``longest: 256``, seed 0) the mean
    of a test video's clips and the caption reach a SumR of 116, and the mean of the sound's clips
    99; at 128 wide 102 and 82. No trained model was used to set it.

    Args:
        task: ``text`` (UCF-Crime's classes, captions) or ``audio`` (XD-Violence's, sounds).
        size: ``small`` takes a second to write, ``medium`` some, ``paper`` has the benchmark's own
            numbers and takes minutes and 4 GB. The next five options override its numbers.
        videos: how many.
        test: share of the videos in the test split.
        median_clips: median T of the training split; 138 in UCFCrime-AR, 141 in XDViolence-AR.
        longest: largest T; below 6 counts as 6.
        width: D of every stream; sounds are at most 128 wide.
        noise: standard deviation of a clip's noise in every direction; what a clip shows has
            about norm 1.
        camera: norm of an offset that is the same in all clips of a video and has no meaning.
        threat: norm of what all anomalous events have in common.
        others: everyday events in every video that its caption does not mention.
        crops: of a video, each with its own noise; ``clip`` has one.
        features: ``i3d`` = like I3D and VGGish, each kind in its own space; ``clip`` = like CLIP,
            with sounds in the same space.
        patches: of a clip's picture, side by side in a stream of that name; with ``clip`` only.
        misalignment: with ``clip``, norm of the error with which pictures, words and sounds each
            see a thing of norm 1; higher values make retrieval without training worse.
        seed: another seed is another world.
        captions: a folder with the real benchmark's ``ucf_crime_train.xlsx`` and
            ``ucf_crime_test.xlsx``: videos, splits and captions come from there, and features show
            a language model's embeddings of the words; ``videos`` and ``test`` must not be set.
            A probe as above has an AUC of 0.93; captions (their embeddings by that model) and the
            mean of all clips reach 177, with the event's clips 316.
        annotations: a folder with UCF-Crime's ``All_Annotation.txt`` (lengths) and
            ``Temporal_Anomaly_Annotation.txt``; either may be missing. null = beside the captions.
        root: where to keep the generated data; each set of options has its own folder, which can
            be deleted at any time.
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
        captions: Place | None = None,
        annotations: Place | None = None,
        root: Place = ".cache/varkit/simulated",
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
        real = None
        if captions is not None:
            if task != "text" or videos is not None or test is not None:
                raise DataError("captions decide the task, the videos and the test split")
            real = read_real_videos(Path(captions), Path(annotations or captions))
        world = _World(plan, knobs, joint, real)
        self._questions = world.questions()
        self.folder = world.generated(Path(root))
        super().__init__(world.layout(self.folder))

    @staticmethod
    def missing(*, captions: str | None = None, **options: object) -> list[str]:
        """Return what this machine lacks to show real captions; without them it needs nothing."""
        if captions is None:
            return []
        absent = [] if Path(captions).is_dir() else [f"there is no folder {captions}"]
        return absent + missing_packages()

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Return the options of a small world."""
        return {"size": "small", "videos": 8, "root": str(folder)}

    def questions(self) -> str:
        """Return a hash of what happens in the videos, which decides the queries.

        The features do not count: I3D and CLIP features of one world have the same queries.
        """
        return self._questions

    def ground_truth(self) -> dict[str, dict[str, Any]]:
        """Return the ground truth by video; see :mod:`varkit_simulator.files`."""
        return read_ground_truth(self.folder)

    def masks(self, video: str) -> dict[str, NDArray[np.bool_]]:
        """Return the ground truth of a video by clip; see :mod:`varkit_simulator.files`."""
        return read_masks(self.folder, video)


@dataclass(frozen=True)
class _World:
    """The world to generate: its videos, and how features show them.

    Attributes:
        plan: of the videos.
        knobs: how hard it is.
        joint: of features like CLIP's; None = features like I3D's and VGGish's.
        real: videos whose captions say what happens; None = everything is drawn.
    """

    plan: Plan
    knobs: Knobs
    joint: Joint | None
    real: list[RealVideo] | None

    def questions(self) -> str:
        """Return a hash of what happens in the videos."""
        return _digest([VERSION, asdict(self.plan), self._known()])

    def generated(self, root: Path) -> Path:
        """Return the world's folder below ``root``, generating it first where it is missing.

        Raises:
            WriteError: the disk is full or not writable.
        """
        parts = [VERSION, asdict(self.plan), asdict(self.knobs), self._known()]
        if self.joint is not None:
            parts += [JOINT_VERSION, asdict(self.joint)]
        folder = root / f"{self.plan.task}-v{VERSION}-{_digest(parts)[:16]}"
        if folder.is_dir():
            return folder
        part = root / f".{folder.name}.part"
        try:
            with exclusive(root / f".{folder.name}.lock"):
                if not folder.is_dir():
                    shutil.rmtree(part, ignore_errors=True)  # left by a killed process
                    part.mkdir()
                    self._write(part)
                    part.rename(folder)
        except OSError as error:
            # The mean of T is three times its median.
            clips = 3 * self.plan.videos * self.plan.median_clips
            vectors = 2 * self.knobs.crops if self.joint is None else 2 + self.joint.patches
            raise write_error(error, folder, clips * vectors * self.knobs.width * 2) from error
        return folder

    def layout(self, root: Path) -> Layout:
        """List the world's folder, as the reader of its layout does."""
        name, layout = LAYOUTS[self.plan.task]
        if self.joint is None:
            return layout(root=str(root), name=name)
        streams = ("clip", "patches") if self.joint.patches else ("clip",)
        return folder_layout(
            root=str(root),
            streams={stream: stream for stream in streams},
            query="audio",
            seconds_per_clip=SECONDS[self.plan.task],
            name=f"{name}-clip",
        )

    def _known(self) -> list[dict[str, Any]] | None:
        return None if self.real is None else [asdict(video) for video in self.real]

    def _write(self, root: Path) -> None:
        if self.joint is not None:
            videos = draw_population(self.plan)
            write_folder(self.plan.task, videos, self.knobs, self.joint, root)
        elif self.real is None:
            write_benchmark(self.plan.task, draw_population(self.plan), self.knobs, root)
        else:
            videos = draw_real_population(self.plan, self.real)
            write_benchmark("text", videos, self.knobs, root, embed=embed_words(videos))


def _digest(known: Any) -> str:
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
