"""One pass over a file: packets in, pictures of every view and sound out."""

from __future__ import annotations

import time
from fractions import Fraction
from typing import Any

import av

from varkit.errors import MediaError
from varkit.media.chunks import Outcome, View
from varkit.media.container import Container, declared, seconds
from varkit.media.limits import Limits
from varkit.media.link import Link, SoundChannel, ViewChannel
from varkit.media.pictures import Screen
from varkit.media.sound import SoundLine
from varkit.media.timeline import SHORT, Record, Shown, Timeline

SIGN_OF_LIFE = 1.0
"""Seconds between reports of the time reached."""


class Passage:
    """One pass over a file.

    Args:
        container: the open file.
        views: how the pictures are wanted.
        sound: whether the sound is wanted.
        link: the way to the parent.
        limits: what the file may be.
    """

    def __init__(
        self, container: Container, views: list[View], sound: bool, link: Link, limits: Limits
    ) -> None:
        self._container = container
        self._link = link
        self._ends: dict[int, int] = {}  # of each stream, decoded or not, in its own unit
        self._pictures, self._sound = (Record(n, limits.seconds) for n in ("pictures", "sound"))
        self._timeline: Timeline | None = None
        if container.picture is not None and views:
            rate = float(container.picture.average_rate or 25)
            self._timeline = Timeline(
                unit=container.picture.time_base or Fraction(1),
                zero=container.zero,
                timed=container.picture.start_time is not None,
                usual=1 / rate if 1 / 60 <= rate <= 1000 else 0.04,
                by_decoding=container.facts.container == "avi",
                record=self._pictures,
            )
        # Views of one size share the work of resizing.
        self._screens: dict[tuple[int | None, int | None], Screen] = {}
        self._outputs: list[tuple[Screen, ViewChannel]] = []
        for index, view in enumerate(views):
            screen = self._screens.setdefault((view.short_side, view.crop), Screen(view, limits))
            self._outputs.append((screen, ViewChannel(link, index, view)))
        self._heard: SoundChannel | None = None
        if container.sound is not None and sound:
            self._heard = SoundChannel(link)
            self._line = SoundLine(self._heard, container.zero, self._sound)

    def run(self) -> Outcome:
        """Decode all of it.

        Raises:
            MediaError: nothing could be decoded, or the file exceeds a limit.
        """
        if self._timeline is None and self._heard is None:
            return Outcome(None, None, ())
        logged, reported = av.logging.get_last_error()[0], time.monotonic()
        for packet in self._container.packets():
            self._link.alive()
            if packet is not None:
                self._decode(packet)
            # FFmpeg conceals what it can and skips the rest; only its log tells.
            if logged != (logged := av.logging.get_last_error()[0]) or packet is None:
                self._pictures.broken = self._sound.broken = True
            if time.monotonic() - reported > SIGN_OF_LIFE:
                reported = time.monotonic()
                self._link.send(reached=max(self._pictures.end, self._sound.end))
        return self._finish()

    def _decode(self, packet: Any) -> None:
        stream, container = packet.stream, self._container
        if packet.pts is not None:
            end = packet.pts + (packet.duration or 0)
            self._ends[stream.index] = max(self._ends.get(stream.index, 0), end)
        if stream == container.picture and self._timeline is not None:
            for frame in _frames(packet, self._pictures):
                self._show(self._timeline.add(frame))
        elif stream == container.sound and self._heard is not None:
            for frame in _frames(packet, self._sound):
                self._line.add(frame)

    def _show(self, shown: Shown | None) -> None:
        if shown is not None:
            for screen, output in self._outputs:
                for moment in output.ticks.within(shown.start, shown.end):
                    output.put(screen.show(shown.frame, self._container.aspect), moment)

    def _finish(self) -> Outcome:
        pictures = sound = None
        problems = []
        if self._timeline is not None:
            length = self._length(self._container.picture, self._pictures)
            self._show(self._timeline.finish(length))
            for _, output in self._outputs:
                output.flush()
            pictures = self._pictures.coverage(length)
            problems += self._pictures.problems(length)
        if self._heard is not None:
            self._line.finish()
            self._heard.flush()
            length = self._length(self._container.sound, self._sound)
            sound = self._sound.coverage(length)
            problems += self._sound.problems(length)
        if not (self._pictures.end or self._sound.end):
            raise MediaError("; ".join(problems))
        return Outcome(pictures, sound, tuple(problems))

    def _length(self, stream: Any, record: Record) -> float | None:
        """Return how many seconds a stream should last from its start, or None if it is not known.

        Some containers know only the length of the whole file. A stream may then end earlier if
        another one lasts that long.
        """
        own, whole = declared(stream), self._container.facts.duration
        if own is not None or whole is None:
            return own
        container = self._container
        for other in (container.picture, container.sound):
            if other is not None and other != stream:
                end = seconds(self._ends.get(other.index, 0), other.time_base) - container.zero
                if end > whole - SHORT:
                    return None
        return whole - record.first


def _frames(packet: Any, record: Record) -> list[Any]:
    try:
        return list(packet.decode())
    except av.error.MemoryError:
        raise
    except (av.error.FFmpegError, ValueError) as error:
        record.fail(getattr(error, "strerror", None) or str(error))
        return []
