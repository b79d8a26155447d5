"""The parent's side of the process that decodes: starts it, asks it, listens, ends it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import varkit
from varkit.errors import VarkitError

SHARED = 2**32
"""Bytes of shared memory; the system provides only pages that are used."""
LONGEST = 2**20
"""Bytes of a message: more is not one."""
PATIENCE = 120.0
"""Seconds within which the process must start, on a busy machine too."""


class Worker:
    """A running ``varkit.media.worker``. What comes from it is not trusted: no pickle, no mapping.

    Raises:
        VarkitError: it does not start.

    Attributes:
        idle: it waits for a file.
    """

    def __init__(self) -> None:
        self._memory = _shared_memory(SHARED)
        self._sock, theirs = socket.socketpair()
        self._received = b""
        self.idle = True
        home = str(Path(varkit.__file__).parents[1])
        path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
        with theirs:
            handles = (theirs.fileno(), self._memory)
            self._process = subprocess.Popen(
                # -P: no module comes from the folder in which varkit happens to run.
                [sys.executable, "-P", "-m", "varkit.media.worker", *map(str, handles)],
                pass_fds=handles,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,  # signals reach it from here alone, and all its children
            )
        try:
            self.receive(PATIENCE)
        except (OSError, EOFError) as error:
            self.kill()
            hint = f"{Path(sys.executable).name} -P -c 'import varkit.media.worker' says why"
            raise VarkitError("the process that decodes does not start", hint=hint) from error

    def __del__(self) -> None:
        self.kill()

    def kill(self) -> None:
        """End the process and its child at once."""
        if self._memory < 0:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._sock.close()
        os.close(self._memory)
        self._memory = -1

    def ask(self, request: dict[str, Any], file: int) -> None:
        """Have an open file decoded.

        Args:
            request: what the worker needs to know, for JSON.
            file: handle of the file.
        """
        self.idle = False
        with suppress(OSError):  # it died; receive() says so
            socket.send_fds(self._sock, [json.dumps(request).encode()], [file])

    def receive(self, seconds: float) -> dict[str, Any]:
        """Return the next message.

        Raises:
            TimeoutError: there is none within so many seconds.
            EOFError: the process is gone.
            ValueError: it is not a message.
        """
        deadline = time.monotonic() + seconds
        while b"\n" not in self._received:
            if len(self._received) > LONGEST:
                raise ValueError("a message without end")
            self._sock.settimeout(max(1e-3, deadline - time.monotonic()))
            read = self._sock.recv(2**16)
            if not read:
                raise EOFError
            self._received += read
        line, _, self._received = self._received.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        if "outcome" in message or "error" in message:
            self.idle = True
        return message

    def read(self, message: dict[str, Any], dtype: type, largest: int) -> npt.NDArray[Any]:
        """Return the items of a message, copied out of its slot, which is then free again.

        Raises:
            ValueError: there are none.
        """
        shape = tuple(message["shape"])
        if not 0 < int(np.prod(shape, dtype=object)) <= largest:
            raise ValueError("an impossible size")
        items = np.empty(shape, dtype)
        if os.preadv(self._memory, [items.data], message["offset"]) != items.nbytes:
            raise ValueError("a slot that is not there")
        self._sock.sendall(bytes([message["slot"]]))
        return items


def _shared_memory(size: int) -> int:
    try:
        handle = os.memfd_create("varkit-media")
    except AttributeError:  # macOS
        with tempfile.TemporaryFile() as file:
            handle = os.dup(file.fileno())
    os.ftruncate(handle, size)
    return handle
