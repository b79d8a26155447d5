"""The process that decodes: ``python -m varkit.media.worker SOCKET MEMORY``.

It gets open files over a Unix socket and forks for each. So a file that crashes, hangs or bloats
the decoder takes a child with it, and leaves nothing behind for the next file.
``varkit/media/process.py`` is the other side.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import pkgutil
import socket
import sys
from dataclasses import asdict
from importlib import import_module
from typing import Any

import av

from varkit.errors import MediaError
from varkit.media.chunks import View
from varkit.media.container import open_container
from varkit.media.limits import Limits
from varkit.media.link import Link
from varkit.media.passage import Passage
from varkit.system.bounds import bound_memory, forbid_opening


def serve(sock: socket.socket, handle: int) -> None:
    """Decode one file after another until the parent closes its end or a child dies.

    Args:
        sock: connected to the parent. A request is a line of JSON with the handle of a file.
        handle: of the memory to share.
    """
    logging.disable()
    for module in pkgutil.walk_packages(av.__path__, "av."):
        import_module(module.name)  # PyAV imports some parts late, when nothing can be opened
    size = os.fstat(handle).st_size
    memory = mmap.mmap(handle, size)
    sock.sendall(b'{"ready": true}\n')
    while True:
        request, files, _, _ = socket.recv_fds(sock, 2**16, 1)
        if not request:
            return
        (file,) = files
        child = os.fork()
        if child == 0:
            answer(json.loads(request), file, sock, memory)
            os._exit(0)
        os.close(file)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if ended:
            sock.sendall(json.dumps({"died": ended}).encode() + b"\n")
            return
        os.truncate(handle, 0)  # gives the pages back
        os.truncate(handle, size)


def answer(request: dict[str, Any], file: int, sock: socket.socket, memory: mmap.mmap) -> None:
    """Decode a file; send facts, pieces and outcome, or what is wrong.

    This process can open nothing but the file, and its memory is bounded.
    """
    views = [View(**view) for view in request["views"]]
    limits = Limits(**request["limits"])
    link = Link(sock, memory, limits.patience)
    bound_memory(limits.memory)
    forbid_opening(1)  # FFmpeg duplicates the handle of the file
    try:
        container = open_container(file, limits)
        link.send(facts=asdict(container.facts))
        outcome = Passage(container, views, request["sound"], link, limits).run()
        link.end(outcome=asdict(outcome))
    except MediaError as error:
        link.end(error=error.what)
    except MemoryError:
        link.end(error=f"decoding it takes more than {limits.memory / 2**20:,.0f} MiB of memory")
    except Exception as error:  # whatever else a damaged file leads to
        link.end(error=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
