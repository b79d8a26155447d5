"""When each picture is shown, and how much of a stream's time was decoded."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, NamedTuple

from varkit.errors import MediaError
from varkit.media.chunks import Coverage
from varkit.media.container import seconds

SHORT = 0.5
"""A stream that ends more than this many seconds before its declared end is not whole."""
MANY = 3
"""So many gaps are listed one by one."""


class Record:
    """What was decoded of a stream, in seconds on the file's clock, and what was not.

    Args:
        name: of the stream in sentences: ``pictures`` or ``sound``.
        limit: the time, in seconds, that no stream may pass.
    """

    def __init__(self, name: str, limit: float) -> None:
        self._name = name
        self._limit = limit
        self._start: float | None = None
        self._gaps: list[tuple[float, float]] = []
        self._more_gaps = 0
        self._failed = 0
        self._reason = ""
        self._damaged = 0
        self.decoded = 0.0
        self.end = 0.0
        self.broken = False
        """Something was wrong since the last gap: the next one is damage, not silence."""

    @property
    def first(self) -> float:
        """Where the stream begins."""
        return self._start or 0.0

    def fail(self, reason: str) -> None:
        """Note a packet that could not be decoded, and why."""
        self._failed += 1
        self._reason = self._reason or reason
        self.broken = True

    def cover(self, start: float, end: float, *, damaged: bool = False) -> None:
        """Note that the stream was decoded from ``start`` to ``end``.

        Raises:
            MediaError: the stream lasts longer than allowed.
        """
        if end > self._limit:
            raise MediaError(f"it lasts at least {end:,.0f} s, more than {self._limit:,.0f} s")
        self._start = start if self._start is None else self._start
        self.end = max(self.end, end)
        if damaged:
            self._damaged += 1
        else:
            self.decoded += end - start

    def gap(self, start: float, end: float) -> None:
        """Note that the stream has nothing from ``start`` to ``end``, because it is damaged."""
        self.broken = False
        if len(self._gaps) < MANY:
            self._gaps.append((start, end))
        else:
            self._more_gaps += 1

    def coverage(self, declared: float | None) -> Coverage:
        """Return how much of the ``declared`` seconds was decoded."""
        return Coverage(self.decoded, self.end - self.first if declared is None else declared)

    def problems(self, declared: float | None) -> list[str]:
        """Return what is wrong with the stream, in sentences."""
        name, lines = self._name, []
        if self._failed:
            counted = f"packets of {name} that cannot be decoded: {self._failed}"
            lines.append(f"{counted} (the first: {self._reason})")
        if self._damaged:
            lines.append(f"damaged parts of the {name}: {self._damaged}")
        lines += [f"no {name} from {start:.2f} s to {end:.2f} s" for start, end in self._gaps]
        if self._more_gaps:
            lines.append(f"further gaps in the {name}: {self._more_gaps}")
        end = self.first + (declared or 0.0)
        if self._start is None:
            lines.append(f"the {name} cannot be decoded at all")
        elif self.end < end - SHORT:
            lines.append(
                f"the {name} end{'s' * (name == 'sound')} at {self.end:.2f} s of {end:.2f} s"
            )
        return lines


class Shown(NamedTuple):
    """A picture and when a player shows it, in seconds on the file's clock."""

    frame: Any  # av.VideoFrame
    start: float
    end: float


class Timeline:
    """Gives decoded pictures, in the order of the decoder, the time for which they are shown.

    A picture is shown until the next begins. It is held back until then.

    Args:
        unit: seconds per unit of the stream's time.
        zero: the start of the file's clock in the stream's time, in seconds.
        timed: the container stores times; pictures without one at its start lie before zero.
        usual: how long a picture is shown if nothing says so, in seconds.
        by_decoding: the container stores no presentation times (AVI), so those of decoding count.
        record: what becomes of the stream is noted here.
    """

    def __init__(
        self,
        *,
        unit: Fraction,
        zero: float,
        timed: bool,
        usual: float,
        by_decoding: bool,
        record: Record,
    ) -> None:
        self._unit = unit
        self._zero = zero
        self._timed = timed
        self._usual = usual
        self._by_decoding = by_decoding
        self._delay: int | None = None
        self._record = record
        self._held: Shown | None = None

    def add(self, frame: Any) -> Shown | None:
        """Take the next picture; return the one before it."""
        start = self._start(frame)
        held = self._held
        if start < -self._usual or (held is not None and start <= held.start):
            return None  # a player never shows it
        length = seconds(frame.duration, self._unit) if frame.duration else self._usual
        self._held = Shown(frame, max(start, 0.0), start + length)
        return None if held is None else self._close(held, start)

    def finish(self, declared: float | None) -> Shown | None:
        """Return the last picture, shown for its own length, but not after the declared end.

        Args:
            declared: seconds that the stream lasts from its first picture, or None.
        """
        held, self._held = self._held, None
        if held is None:
            return None
        end = self._record.first + (declared or 0.0)
        if held.start < end < held.end:
            held = held._replace(end=end)
        self._note(held)
        return held

    def _start(self, frame: Any) -> float:
        stamp = frame.pts
        if self._by_decoding:
            # The picture comes out when a later one goes in; the first tells how much later.
            if self._delay is None:
                self._delay = frame.dts or 0
            stamp = None if frame.dts is None else frame.dts - self._delay
        if stamp is not None:
            return seconds(stamp, self._unit) - self._zero
        if self._held is not None:
            return self._held.end
        return -math.inf if self._timed else 0.0

    def _close(self, held: Shown, next_start: float) -> Shown:
        length, own = next_start - held.start, held.end - held.start
        if self._record.broken and length > 1.5 * own:
            self._record.gap(held.end, next_start)
        else:
            held = held._replace(end=next_start)
        self._note(held)
        return held

    def _note(self, shown: Shown) -> None:
        self._record.cover(shown.start, shown.end, damaged=shown.frame.is_corrupt)
