"""Decodes media files in a process of its own, by presentation time, in bounded memory.

>>> with Decoder() as decoder:  # doctest: +SKIP
...     decoding = decoder.decode("gate.mp4", views=[View(fps=1, short_side=256)], sound=True)
...     for piece in decoding:
...         ...  # Pictures and Sound, in the order of the file
...     decoding.outcome.coverage
1.0

The file's clock starts where a player's does. No file can harm the process that asks: a decoder
that crashes, hangs or grows is ended, and the next file gets a new one.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import numpy as np

from varkit.errors import MediaError, VarkitError
from varkit.media.chunks import Coverage, Facts, Outcome, Pictures, Sound, View
from varkit.media.limits import Limits
from varkit.media.process import Worker
from varkit.system.inputs import InputError, open_user_file, reading


class Decoder:
    """Decodes one file after another; its process starts with the first.

    Use it as a context manager, or call :meth:`close`. One thread at a time may use it.

    Args:
        limits: what files may be, and what decoding one may cost.

    Raises:
        VarkitError: the extra ``media`` is not installed.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        if any(find_spec(name) is None for name in ("av", "soxr")):
            hint = "pip install 'varkit[media]'"
            raise VarkitError("decoding video and sound needs av (PyAV) and soxr", hint=hint)
        self._limits = limits or Limits()
        self._worker: Worker | None = None
        self._decoding: Decoding | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, even if it is decoding."""
        if self._decoding is not None:
            self._decoding.close()
            self._decoding = None
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def decode(
        self, path: str | os.PathLike[str], *, views: Sequence[View] = (), sound: bool = False
    ) -> Decoding:
        """Open a file and start to decode it. One that is not finished yet is given up.

        Args:
            path: of a video or sound file. Anything but a regular file is refused unopened.
            views: how the pictures are wanted; one pass serves all. Equal views count once.
            sound: whether the sound is wanted. Without views and sound, only the facts are read.

        Raises:
            MediaError: it is not a media file, not allowed, or over a limit.
        """
        if self._worker is None or not self._worker.idle:
            self.close()
            self._worker = Worker()
        wanted = tuple(dict.fromkeys(views))
        self._decoding = Decoding(Path(path), self._worker, wanted, sound, self._limits)
        return self._decoding


class Decoding:
    """A file that is being decoded; iterate over it for the pieces, once.

    Attributes:
        facts: what the file says about itself.
        outcome: how much was decoded and what is wrong with the file; there after the last piece.

    Raises:
        MediaError: while iterating: nothing could be decoded, the file exceeds a limit or changed
            meanwhile, or the decoder crashed, hung or took too long. Earlier pieces are right.
    """

    facts: Facts
    outcome: Outcome

    def __init__(
        self, path: Path, worker: Worker, views: tuple[View, ...], sound: bool, limits: Limits
    ) -> None:
        self._path = path
        self._worker = worker
        self._views = views
        self._limits = limits
        self._reached = 0.0
        self._waited = 0.0
        self._file = _open(path)
        self._before = _identity(os.fstat(self._file.fileno()))
        request = {"views": list(map(asdict, views)), "sound": sound, "limits": asdict(limits)}
        worker.ask(request, self._file.fileno())
        opened = self._next()
        if not isinstance(opened, Facts):
            self._fail("the decoder broke off", again=True)
        self.facts = opened
        self._reached = opened.duration or 0.0

    def __iter__(self) -> Iterator[Pictures | Sound]:
        if self._file.closed:
            raise RuntimeError(f"the decoding of {self._path} is over")
        while not isinstance(piece := self._next(), Outcome):
            if isinstance(piece, Pictures | Sound):
                yield piece
        self._expect_unchanged()
        self.outcome = piece

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _next(self) -> Facts | Pictures | Sound | Outcome | None:
        """Return the next piece, or None for a sign of life."""
        allowed = self._limits.allowance(self._reached) - self._waited
        # The worker's own timer ends what makes no progress; this is for one that is stopped.
        patience = min(allowed, 1.5 * self._limits.patience)
        started = time.monotonic()
        try:
            piece = self._piece(self._worker.receive(patience))
        except TimeoutError:
            self._fail(f"decoding it takes too long: no progress for {patience:.1f} s", again=True)
        except MediaError:
            raise
        except Exception as error:  # the worker is not trusted to say anything sensible
            self._fail(f"the decoder broke off ({type(error).__name__})", again=True)
        self._waited += time.monotonic() - started  # a busy reader's time does not count
        return piece

    def _piece(self, message: dict[str, Any]) -> Facts | Pictures | Sound | Outcome | None:
        largest = max(3 * self._limits.pixels, 2**22)
        match message:
            case {"error": what}:
                self._fail(what)
            case {"died": code}:
                self._fail(_death(code, self._limits.patience), again=True)
            case {"facts": facts}:
                return Facts(**facts)
            case {"reached": seconds}:
                self._reached = max(self._reached, min(float(seconds), self._limits.seconds))
            case {"view": index, "times": times}:
                frames = self._worker.read(message, np.uint8, largest)
                return Pictures(self._views[index], frames, np.array(times, np.float64))
            case {"start": start}:
                return Sound(self._worker.read(message, np.float32, largest), float(start))
            case {"outcome": {"pictures": pictures, "sound": sound, "problems": problems}}:
                pictures, sound = (part and Coverage(**part) for part in (pictures, sound))
                return Outcome(pictures, sound, tuple(problems))
            case _:
                raise ValueError("not a message")
        return None

    def _expect_unchanged(self) -> None:
        try:
            after = {_identity(os.fstat(self._file.fileno())), _identity(os.stat(self._path))}
        except OSError:
            after = set()
        if after != {self._before}:
            self._fail("it changed while it was read", again=True)
        self._file.close()

    def _fail(self, what: str, *, again: bool = False) -> NoReturn:
        self._file.close()
        if not self._worker.idle:
            self._worker.kill()
        raise MediaError(f"{self._path}: {what}", again=again)


def _death(code: int, patience: float) -> str:
    if code == -signal.SIGALRM:
        return f"decoding it made no progress for {patience:g} s"
    if code == -signal.SIGKILL:
        return "the decoder was killed, perhaps for want of memory"
    if code < 0:
        return f"the decoder crashed ({signal.Signals(-code).name})"
    return f"the decoder ended with status {code}"


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _open(path: Path) -> BufferedReader:
    with reading(path, MediaError):
        file = open_user_file(path)
        if not os.fstat(file.fileno()).st_size:
            file.close()
            raise InputError("is empty")
        return file
