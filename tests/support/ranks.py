"""Functions run on several ranks, in processes of their own."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from varkit.system import distributed


def start(rank: int, world: int, port: int, function, arguments, timeout: float = 300) -> None:
    os.environ.update(
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        RANK=str(rank),
        WORLD_SIZE=str(world),
        TORCHELASTIC_USE_AGENT_STORE="True",
    )
    torch.set_num_threads(1)
    with distributed.process_group(torch.device("cpu"), timeout):
        function(*arguments)
    expect_no_thread_of_gloo()


def expect_no_thread_of_gloo() -> None:
    """One that outlives its group may free a tensor at the interpreter's end, which aborts it."""
    end = time.monotonic() + 60
    while names := [name for name in threads() if "gloo" in name]:
        assert time.monotonic() < end, names
        time.sleep(0.01)  # one that was joined may be listed for another moment


def threads() -> list[str]:
    names = []
    for path in Path("/proc/self/task").glob("*/comm"):
        with suppress(OSError):  # it ended since it was listed
            names.append(path.read_text().strip())
    return names


def on_ranks(world: int, function, *arguments) -> None:
    # As under torchrun, the parent holds the port where ranks meet: nobody else can take it.
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    mp.spawn(start, (world, store.port, function, arguments), nprocs=world)
