"""How an extractor sees a media file, and what it makes of it: clips in, streams out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor


@dataclass(frozen=True)
class PictureClips:
    """Clips of pictures: ``(N, F, H, W, 3)`` uint8, RGB.

    The clock ticks from the start of the file; at each tick there is the picture that a player
    shows then. Clip t begins at tick ``t * stride``. What is left at the end and shorter than a
    clip is dropped, unless it is all there is: then its last picture is repeated. The same holds
    for what lies between damaged parts of a file.

    Attributes:
        fps: ticks per second.
        short_side: pixels of the shorter side after resizing (bilinear); None = the size that a
            player shows.
        crop: side of the square cut from the centre after resizing; None = the whole picture.
        frames: F, the pictures of a clip.
        stride: ticks from the start of a clip to the start of the next. If it is smaller than
            ``frames``, clips overlap.

    Raises:
        ValueError: a value is not positive, or ``crop`` does not fit into ``short_side``.
    """

    fps: float
    short_side: int | None = None
    crop: int | None = None
    frames: int = 1
    stride: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.fps <= 1000:
            raise ValueError(f"fps must lie between 0 and 1000, not {self.fps}")
        _expect_positive(self, "short_side", "crop", "frames", "stride")
        if self.crop is not None and (self.short_side is None or self.crop > self.short_side):
            raise ValueError(f"crop={self.crop} does not fit into short_side={self.short_side}")


@dataclass(frozen=True)
class SoundClips:
    """Clips of sound: ``(N, S)`` float32 in [-1, 1], mono, 16,000 samples a second.

    Clip t begins at sample ``t * hop``. What is left at the end and shorter than a clip is
    dropped, unless it is all there is: then zeros follow it.

    Attributes:
        samples: S.
        hop: samples from the start of a clip to the start of the next.

    Raises:
        ValueError: a value is not positive.
    """

    samples: int
    hop: int

    def __post_init__(self) -> None:
        _expect_positive(self, "samples", "hop")


@dataclass(frozen=True)
class Stream:
    """A stream that an extractor makes.

    Attributes:
        width: D.
        classes: the names of the D columns, if they are class probabilities or scores.
        crops: C, how many crops each clip is seen in; crop 0 is the centre.
    """

    width: int
    classes: tuple[str, ...] = ()
    crops: int = 1


@runtime_checkable
class Extractor(Protocol):
    """Turns clips of a media file into streams.

    The core decodes the file, cuts it into clips and stores what comes out. An extractor that is an
    ``nn.Module`` is moved to the device, with its inputs. It runs without gradients and in
    evaluation mode.

    Attributes:
        reads: the clips that it reads.
        streams: name -> what the stream is, such as ``{"features": Stream(1024)}``. With the
            extractor's name they are called ``i3d.features``.
        batch: the most clips of one call, so that memory is bounded.
        origin: whatever else decides the numbers, as JSON: the weights' ``sha256``, ``source`` and
            ``licence``, a ``version`` that changes when the code changes the numbers. With the
            options and ``reads`` it makes the fingerprint; options that are paths do not count.
    """

    reads: PictureClips | SoundClips
    streams: Mapping[str, Stream]
    batch: int
    origin: Mapping[str, Any]

    def __call__(self, clips: Tensor) -> Mapping[str, Tensor]:
        """Return the streams of N clips.

        A clip's numbers depend on this clip alone.

        Args:
            clips: ``(N, F, H, W, 3)`` uint8, or ``(N, S)`` float32; N is at most ``batch``.

        Returns:
            stream -> ``(N, D)``, or ``(N, C, D)`` where it has C > 1 crops; finite.
        """


def _expect_positive(clips: PictureClips | SoundClips, *names: str) -> None:
    for name in names:
        value = getattr(clips, name)
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
