"""Training over W ranks with the gradients of one big batch; one process is W = 1.

Each rank encodes its slice of the global batch. Computations that couple items (the ranking loss,
batch normalisation, means over a varying number of items) use the functions here. Their backward
passes give the gradient of the *sum* of the ranks' losses. DistributedDataParallel then averages
over ranks, so a loss that every rank computes in full counts once.

In a single process every function is the identity or a plain mean.
"""

from __future__ import annotations

import gc
import importlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from varkit.errors import RunError


def rank() -> int:
    """Return this process's rank, 0 without a process group."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Return W, 1 without a process group."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def process_group(device: torch.device, timeout: float) -> Iterator[None]:
    """Join the group that ``torchrun`` set up, if there is one, and leave it at the end.

    Args:
        device: of this process.
        timeout: the most seconds that a rank waits for another.

    Raises:
        RunError: another rank ended, or did not answer in time.
    """
    if "WORLD_SIZE" not in os.environ or dist.is_initialized():
        yield
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    with waiting_for("the other ranks"), joined(backend, timeout=timedelta(seconds=timeout)):
        yield


@contextmanager
def waiting_for(what: str) -> Iterator[None]:
    """Say what this rank waited for, if another one ends or does not answer in time.

    Raises:
        RunError: this happened.
    """
    started = time.monotonic()
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        me = f"rank {rank()} of {world_size()}" if dist.is_initialized() else "this rank"
        if "imed out" in str(error) or "imeout" in str(error):
            waited = f"waited {time.monotonic() - started:.0f} s"
            what = f"{me} {waited} for {what}; another rank did not answer"
            hint = "see what the other ranks do; train.timeout allows longer waits"
        else:
            what = f"{me} waited for {what}, but another rank has ended"
            hint = "see what that rank said last"
        raise RunError(what, hint=f"{hint}; varkit resume goes on") from error


@contextmanager
def joined(backend: str, **options: Any) -> Iterator[None]:
    """Join a group, and leave it at the end. All of its threads end with it.

    Args:
        backend: ``gloo`` or ``nccl``.
        options: of ``torch.distributed.init_process_group``.
    """
    # DistributedDataParallel imports this module, whose functions keep the current group as a
    # default argument. Imported before there is a group, it cannot keep one alive.
    importlib.import_module("torch.distributed.nn.functional")
    dist.init_process_group(backend, **options)
    try:
        yield
    finally:
        dist.destroy_process_group()
        # Dropping the last reference to the group joins gloo's threads. A thread that frees a
        # tensor while the interpreter shuts down aborts the process.
        gc.collect()


class _Gather(torch.autograd.Function):
    """Concatenate every rank's rows; ranks may hold different numbers of rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        sizes = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(world_size())]
        dist.all_gather(sizes, torch.tensor([len(rows)], device=rows.device))
        counts = [int(size) for size in sizes]
        padded = rows.new_zeros(max(counts), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        ctx.start = sum(counts[: rank()])
        ctx.count = len(rows)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total[ctx.start : ctx.start + ctx.count]


class _Sum(torch.autograd.Function):
    """Sum over ranks, forward and backward."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.contiguous().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total


def _add(value: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(value)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return total


def gather(rows: Tensor) -> Tensor:
    """Return all ranks' rows, in rank order: (B_rank, ...) to (B, ...), with gradients."""
    return rows if world_size() == 1 else _Gather.apply(rows)  # type: ignore[no-untyped-call]  # untyped


def global_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Return the () mean of the valid items of all ranks, 0 without any.

    The mean of the returned values over ranks is the mean over all items.

    Args:
        values: (N,) one value an item of this rank.
        valid: (N,) bool, which of them count. An invalid value may be NaN.
    """
    total = torch.where(valid, values, 0.0).sum()
    count = valid.sum()
    if world_size() > 1:
        dist.all_reduce(count)
    return total * world_size() / count.clamp(min=1)


def mean_over_ranks(values: dict[str, Tensor]) -> dict[str, float]:
    """Return the mean over ranks of named () tensors, for a log."""
    stacked = torch.stack([value.detach().double() for value in values.values()])
    if world_size() > 1:
        dist.all_reduce(stacked)
        stacked /= world_size()
    return dict(zip(values, stacked.tolist(), strict=True))


def any_rank(flag: bool, device: torch.device) -> bool:
    """Return whether the flag is set on any rank."""
    if world_size() == 1:
        return flag
    value = torch.tensor([int(flag)], device=device)
    dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return bool(value.item())


def from_first_rank(text: str, device: torch.device) -> str:
    """Return rank 0's text on every rank. It is sent as bytes, so nothing is unpickled."""
    if world_size() == 1:
        return text
    with waiting_for("rank 0, which begins the run"):
        return _broadcast(text, device)


def _broadcast(text: str, device: torch.device) -> str:
    data = torch.tensor(list(text.encode()), dtype=torch.uint8, device=device)
    length = torch.tensor([len(data)], device=device)
    dist.broadcast(length, src=0)
    if rank() != 0:
        data = torch.empty(int(length), dtype=torch.uint8, device=device)
    dist.broadcast(data, src=0)
    return bytes(data.cpu().tolist()).decode()


def barrier(what: str) -> None:
    """Wait for all ranks.

    Args:
        what: they wait for, in an error.
    """
    if world_size() > 1:
        with waiting_for(what):
            dist.barrier()


class GlobalBatchNorm1d(nn.BatchNorm1d):
    """Batch normalisation over the batch of all ranks, on any device.

    torch's SyncBatchNorm is CUDA only. Two passes (mean, then squared deviations) keep it equal
    to one process on the whole batch up to rounding.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B_rank, D) or (B_rank, D, T) by the statistics of all ranks in training."""
        if not self.training or world_size() == 1:
            return super().forward(input)
        # Under autocast the input is half precision; sums and statistics are not, as in torch.
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        reduced = [0, *range(2, x.ndim)]  # all dimensions but the channels
        channels = (1, -1) + (1,) * (x.ndim - 2)
        size = x.new_tensor(x.numel() / x.shape[1])
        count = _add(size)
        mean = _add(x.sum(reduced)) / count
        deviation = x - mean.view(channels)
        variance = _add(deviation.square().sum(reduced)) / count
        if self.running_mean is not None and self.running_var is not None:
            with torch.no_grad():
                if self.num_batches_tracked is not None:
                    self.num_batches_tracked.add_(1)
                # As in torch, momentum None means the plain mean of all batches.
                share = 1 / float(self.num_batches_tracked or 1)
                momentum = share if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean, momentum)
                self.running_var.lerp_(variance * count / (count - 1).clamp(min=1), momentum)
        normal: Tensor = deviation * (variance + self.eps).rsqrt().view(channels)
        if self.affine:
            normal = normal * self.weight.view(channels) + self.bias.view(channels)
        return normal.to(input.dtype)


def globalise_batch_norm(module: nn.Module) -> None:
    """Make every BatchNorm1d inside ``module`` normalise over all ranks, in place."""
    for child in module.modules():
        if type(child) is nn.BatchNorm1d:
            child.__class__ = GlobalBatchNorm1d
