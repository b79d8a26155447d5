"""Opens a container from an open file, chooses its streams, and knows its clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.audio.stream import AudioStream
from av.stream import Disposition
from av.video.stream import VideoStream

from varkit.errors import MediaError
from varkit.media.chunks import Facts
from varkit.media.limits import CONTAINERS, UNTIMED, Limits

PRIMING = 0.1
"""Sound may begin this many seconds before zero: what a codec needs to start, never played."""
MAX_FAILED_READS = 100


@dataclass(frozen=True)
class Container:
    """An open file.

    Attributes:
        facts: what it says about itself.
        picture: its main stream of pictures, or None.
        sound: its main stream of sound, or None.
        zero: the time in the streams, in seconds, at which a player starts: 0 on the file's clock.
        aspect: the width of a pixel over its height.
    """

    av: Any  # av.container.InputContainer
    facts: Facts
    picture: VideoStream | None
    sound: AudioStream | None
    zero: float
    aspect: float

    def packets(self) -> Iterator[Any]:
        """Yield the packets (``av.Packet``) of both streams in the file's order.

        None stands for one that cannot be read.
        """
        streams = [stream for stream in (self.picture, self.sound) if stream is not None]
        failures = 0
        while failures < MAX_FAILED_READS:
            try:
                for packet in self.av.demux(streams):
                    failures = 0
                    yield packet
                return
            except av.error.EOFError:
                return
            except av.error.MemoryError:
                raise
            except av.error.FFmpegError:
                failures += 1
                yield None


def open_container(handle: int, limits: Limits) -> Container:
    """Open a media file; its name plays no part.

    Args:
        handle: of the file, open for reading. Nothing else is opened: FFmpeg gets the list of
            containers and only its protocol ``fd``.
        limits: what the file may be.

    Raises:
        MediaError: the container is not allowed or unreadable, or the file exceeds a limit.
    """
    options = {
        "fd": str(handle),
        "protocol_whitelist": "fd",
        "format_whitelist": ",".join(CONTAINERS),
    }
    # Only the log names a container that is refused, and tells of damage that FFmpeg conceals.
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture():
            opened: Any = av.open("fd:", options=options, metadata_errors="replace")
    except av.error.MemoryError:
        raise
    except av.error.FFmpegError as error:
        raise MediaError(_reason(error)) from error
    picture, sound = _main(opened, opened.streams.video), _main(opened, opened.streams.audio)
    if picture is None and sound is None:
        raise MediaError("it has neither pictures nor sound")
    facts = _facts(opened, picture, sound)
    _expect_within(limits, facts)
    for stream in (picture, sound):
        if stream is not None:
            context = stream.codec_context
            # The header may lie, and sizes may change on the way.
            context.options = {"max_pixels": str(limits.pixels)}
            # One thread: the cores are for other videos, and threads multiply the memory.
            context.thread_count = 1
    return Container(opened, facts, picture, sound, _zero(picture, sound), _aspect(picture))


def declared(stream: Any) -> float | None:
    """Return how many seconds a stream says it lasts, or None."""
    if stream.container.format.name in UNTIMED:
        return None
    if stream.duration:
        return seconds(stream.duration, stream.time_base)
    try:  # Matroska has a tag instead, counted from zero: hours:minutes:seconds
        hours, minutes, rest = map(float, stream.metadata["DURATION"].split(":"))
    except (KeyError, ValueError):
        return None
    start = seconds(stream.start_time or 0, stream.time_base)
    return max(0.0, 3600 * hours + 60 * minutes + rest - start)


def _main(container: Any, streams: Sequence[Any]) -> Any:
    """Return the stream that a player would choose, or None."""
    usable = [
        stream
        for stream in streams
        if stream.codec_context is not None
        and not stream.disposition & Disposition.attached_pic  # the cover of an album
    ]
    if not usable:
        return None
    best = container.streams.best(usable[0].type)
    return next((stream for stream in usable if stream == best), usable[0])


def _facts(container: Any, picture: VideoStream | None, sound: AudioStream | None) -> Facts:
    name = container.format.name
    lengths = [declared(stream) for stream in (picture, sound) if stream is not None]
    if container.duration and name not in UNTIMED:
        lengths.append(container.duration / av.time_base)
    rate = None if picture is None else picture.average_rate
    return Facts(
        container=name,
        duration=max((length for length in lengths if length is not None), default=None),
        picture_codec=None if picture is None else picture.codec_context.name,
        height=0 if picture is None else picture.codec_context.height,
        width=0 if picture is None else picture.codec_context.width,
        fps=float(rate) if rate else None,
        sound_codec=None if sound is None else sound.codec_context.name,
        created=_created(container.metadata),
    )


def _created(metadata: dict[str, str]) -> str | None:
    """Return the creation time; Apple's says the time zone, so it comes first."""
    for key in ("com.apple.quicktime.creationdate", "creation_time"):
        for name, value in metadata.items():
            if name.lower() == key:
                return value[:64]
    return None


def _expect_within(limits: Limits, facts: Facts) -> None:
    if facts.height * facts.width > limits.pixels:
        size = f"{facts.width} x {facts.height}"
        raise MediaError(f"its pictures have {size} pixels, more than {limits.pixels:,} in all")
    if facts.duration is not None and facts.duration > limits.seconds:
        raise MediaError(f"it lasts {facts.duration:,.0f} s, more than {limits.seconds:,.0f} s")


def _zero(picture: VideoStream | None, sound: AudioStream | None) -> float:
    starts = []
    if picture is not None and picture.start_time is not None:
        starts.append(seconds(picture.start_time, picture.time_base))
    if sound is not None and sound.start_time is not None:
        start = seconds(sound.start_time, sound.time_base)
        starts.append(max(start, 0.0) if start > -PRIMING else start)
    return min(starts, default=0.0)


def _aspect(picture: VideoStream | None) -> float:
    """Return the shape of a pixel, 1 where it is nearly square or nonsense.

    852 x 480 is meant to be 16 : 9; to resize it by one column would cost and show nothing.
    """
    ratio = picture.sample_aspect_ratio if picture is not None else None
    return float(ratio) if ratio and 0.2 <= ratio <= 5 and abs(ratio - 1) > 0.01 else 1.0


def seconds(count: int, unit: Fraction | None) -> float:
    """Return ``count`` units of a stream's time in seconds."""
    return count * unit.numerator / unit.denominator if unit is not None else 0.0


def _reason(error: av.error.FFmpegError) -> str:
    log: Any = error.log  # level, what wrote it, text
    if log is not None and "not on whitelist" in log[2].lower():
        return f"container {log[1].strip()!r} not allowed"
    if isinstance(error, av.error.InvalidDataError):
        return "it is not a video or sound file, or its header is missing"
    return f"it cannot be opened: {error.strerror}"
