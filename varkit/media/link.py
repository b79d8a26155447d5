"""The child's way to its parent: lines of JSON over a socket, arrays in shared memory."""

from __future__ import annotations

import json
import math
import mmap
import os
import signal
import socket
from collections import deque
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from varkit.errors import MediaError
from varkit.media.chunks import SOUND_RATE, View
from varkit.media.pictures import Image, Ticks
from varkit.media.sound import Samples

CHUNK_BYTES, CHUNK_PICTURES = 2**22, 1024
CHUNK_SAMPLES = 4 * SOUND_RATE
"""A piece has at most so much."""
SLOTS = 4


class Slot(NamedTuple):
    """A piece of the shared memory: its number, where it begins, and its items."""

    number: int
    offset: int
    items: npt.NDArray[Any]


class Link:
    """Messages to the parent, and shared memory in pieces called slots.

    Args:
        sock: connected to the parent, which sends the number of each slot that it has read.
        memory: shared with the parent.
        patience: seconds after which the system ends this process unless it shows life.
    """

    def __init__(self, sock: socket.socket, memory: mmap.mmap, patience: float) -> None:
        self._sock = sock
        self._memory = memory
        self._patience = patience
        self._size = 0
        self._slots = 0
        self._free: set[int] = set()
        self.alive()

    def alive(self) -> None:
        """Show life: the system's timer starts again."""
        signal.setitimer(signal.ITIMER_REAL, self._patience)

    def send(self, **message: Any) -> None:
        """Send a message; wait for as long as the parent is busy."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._sock.sendall(json.dumps(message).encode() + b"\n")
        self.alive()

    def end(self, **message: Any) -> None:
        """Send the last message, once the parent has read all slots."""
        for slot in range(self._slots):
            self.wait(slot)
        self.send(**message)

    def slot(self, count: int, shape: tuple[int, ...], dtype: type) -> Slot:
        """Return a new slot for ``count`` items of a shape.

        Raises:
            MediaError: the memory does not suffice.
        """
        offset = self._size
        items = count * math.prod(shape)
        self._size += -(-items * np.dtype(dtype).itemsize // mmap.PAGESIZE) * mmap.PAGESIZE
        if self._size > len(self._memory):
            raise MediaError("its pictures do not fit into the memory shared with the decoder")
        array: npt.NDArray[Any] = np.frombuffer(self._memory, dtype, items, offset).reshape(
            count, *shape
        )
        self._free.add(self._slots)
        self._slots += 1
        return Slot(self._slots - 1, offset, array)

    def wait(self, slot: int) -> None:
        """Wait until the parent has read a slot."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        while slot not in self._free:
            read = self._sock.recv(64)
            if not read:
                os._exit(0)  # the parent is gone
            self._free.update(read)
        self.alive()

    def hand_over(self, slot: int) -> None:
        """Note that the parent reads a slot now."""
        self._free.discard(slot)


class Channel:
    """A few slots in turn, filled item by item and sent when full.

    More than two, so that the decoder works on while the system lets its reader wait.

    Args:
        link: the way to the parent.
        count: items in a slot.
        shape: of an item.
        dtype: of its numbers.
    """

    def __init__(self, link: Link, count: int, shape: tuple[int, ...], dtype: type) -> None:
        self._link = link
        self._slots = deque(link.slot(count, shape, dtype) for _ in range(SLOTS))
        self.filled = 0

    def room(self) -> npt.NDArray[Any]:
        """Return the items of the current slot that are not filled yet, at least one."""
        if not self.filled:
            self._link.wait(self._slots[0].number)
        return self._slots[0].items[self.filled :]

    @property
    def full(self) -> bool:
        """Whether the current slot must be sent."""
        return self.filled == len(self._slots[0].items)

    def send(self, **about: Any) -> None:
        """Send what is filled, if anything, with what there is to say about it."""
        if self.filled:
            number, offset, items = self._slots[0]
            self._link.hand_over(number)
            shape = items[: self.filled].shape
            self._link.send(slot=number, offset=offset, shape=shape, **about)
            self._slots.rotate(-1)
            self.filled = 0


class ViewChannel:
    """The pictures of a view on their way to the parent."""

    def __init__(self, link: Link, index: int, view: View) -> None:
        self.ticks = Ticks(view.fps)
        self._link = link
        self._index = index
        self._channel: Channel | None = None
        self._times: list[float] = []

    def put(self, image: Image, time: float) -> None:
        """Add a picture ``(H, W, 3)`` at a time in seconds."""
        if self._channel is None:
            count = min(max(1, CHUNK_BYTES // image.size), CHUNK_PICTURES)
            self._channel = Channel(self._link, count, image.shape, np.uint8)
        self._channel.room()[0] = image
        self._channel.filled += 1
        self._times.append(time)
        if self._channel.full:
            self.flush()

    def flush(self) -> None:
        """Send what is left."""
        if self._channel is not None:
            self._channel.send(view=self._index, times=self._times)
            self._times = []


class SoundChannel:
    """The sound on its way to the parent."""

    def __init__(self, link: Link) -> None:
        self._channel = Channel(link, CHUNK_SAMPLES, (), np.float32)
        self._start = self._end = 0.0

    def put(self, samples: Samples, start: float) -> None:
        """Add samples ``(N,)`` whose first is at ``start`` seconds."""
        if abs(start - self._end) > 0.5 / SOUND_RATE:
            self.flush()
        while len(samples):
            if not self._channel.filled:
                self._start = start
            room = self._channel.room()
            count = min(len(room), len(samples))
            room[:count] = samples[:count]
            self._channel.filled += count
            start = self._end = start + count / SOUND_RATE
            samples = samples[count:]
            if self._channel.full:
                self.flush()

    def flush(self) -> None:
        """Send what is left."""
        self._channel.send(start=self._start)
