"""The ranking loss over W ranks: every product of the one big batch is computed once, somewhere.

A rank holds the rows of its own videos against the queries of all: a block whose row *and* column
hinges it computes, so that all ranks together do one B x B product forward and two backward. They
exchange factor vectors, positives and counts.
"""

from __future__ import annotations

from itertools import chain
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor

from varkit_kernels.device import on_device
from varkit_kernels.errors import InputError
from varkit_kernels.similarity_ranking import backends, blocks
from varkit_kernels.similarity_ranking.backends import choose
from varkit_kernels.similarity_ranking.hinge import terms
from varkit_kernels.similarity_ranking.once import differentiable_once
from varkit_kernels.similarity_ranking.operations import Labels
from varkit_kernels.similarity_ranking.sides import Side, check_group, make_sides
from varkit_kernels.similarity_ranking.task import Task, regroup
from varkit_kernels.similarity_ranking.violations import listed

Ranks = dist.ProcessGroup | None

BEFORE_TENSORS = 6
"""Arguments of each ``forward`` before the two tensors; none of them gets a gradient."""

FUSED = ("cpu", "triton")
"""The backends that there are over ranks."""


def ranking_loss_over_ranks(
    video: Tensor,
    query: Tensor,
    *,
    margin: float = 0.05,
    group: Tensor | None = None,
    reduction: str = "paper",
    dtype: torch.dtype | None = None,
    backend: str = "auto",
    exchange: Literal["gather", "ring"] = "gather",
    ranks: Ranks = None,
) -> Tensor:
    """Return the ranking loss of all ranks' pairs together, on every rank.

    The gradients that reach this rank's vectors are W times those of the loss, because
    data-parallel training averages gradients over ranks; the step is then that of one process on
    the whole batch.

    Args:
        video: (b, K) this rank's factor vectors; ``ring`` needs as many on every rank.
        query: (b, K).
        margin: Delta.
        group: (b,) int64, comparable between ranks; None = all pairs of all ranks differ.
        reduction: as in :func:`ranking_loss`.
        dtype: likewise.
        backend: ``auto``, ``cpu`` or ``triton``; ``auto`` is for the CPU alone.
        exchange: ``gather`` holds all queries at once, B x K; ``ring`` passes them round, b x K.
        ranks: the process group; None = all processes.

    Raises:
        InputError: the arguments do not fit together, or ranks hold different numbers of pairs.
        BackendError: the backend that was asked for cannot run here.
    """
    left, right = make_sides(video, query, None, None, paired=True)
    choice = choose(left, backend, dtype)
    if choice.backend not in FUSED:
        raise InputError(
            f"over ranks there are the backends cpu and triton, not {choice.backend}, "
            f"which is what {backend!r} takes on {video.device.type}"
        )
    if exchange not in ("gather", "ring"):
        raise InputError(f"exchange is {exchange!r}; there are gather and ring")
    counts = _counts(video, ranks)
    if exchange == "ring" and len(set(counts)) > 1:
        raise InputError(f"ranks hold {counts} pairs; in a ring each must hold as many as others")
    ids = check_group(group, len(video), video.device)
    if group is None:
        ids = ids + sum(counts[: dist.get_rank(ranks)])
    all_ids = _gather(ids, counts, ranks)
    task = Task(backends.operations(choice.backend), left, right, ids, choice.dtype)
    function = _Gathered if exchange == "gather" else _Ring
    loss: Tensor = function.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
        task, all_ids, margin, terms(all_ids, reduction), counts, ranks, video, query
    )
    return loss


class _Gathered(torch.autograd.Function):
    """All queries come here; their gradients are added up where they belong."""

    @staticmethod
    def forward(
        ctx: Any,
        task: Task,
        all_ids: Tensor,
        margin: float,
        divisor: Tensor | int,
        sizes: list[int],
        ranks: Ranks,
        video: Tensor,
        query: Tensor,
    ) -> Tensor:
        """Return the () loss of all ranks."""
        operations, start = task.operations, sum(sizes[: dist.get_rank(ranks)])
        with on_device(video.device):
            v, q, positive = _pack(task, video, query, sum(sizes))
            queries, all_positives = _gather(q, sizes, ranks), _gather(positive, sizes, ranks)
            labels = Labels(task.group, all_ids, positive, all_positives)
            save = any(ctx.needs_input_grad)
            block = blocks.forward(
                operations, lambda rows: v[rows], queries, labels, margin, save=save
            )
            _add(block.loss, ranks)
            _add(block.column_counts, ranks)
        counts = block.row_counts + block.column_counts[start : start + len(v)]
        ctx.save_for_backward(v, queries, counts, *chain.from_iterable(block.masks))
        ctx.task, ctx.ranks, ctx.divisor, ctx.pieces = task, ranks, divisor, len(block.masks)
        ctx.start = start
        return (block.loss / divisor).to(positive.dtype)

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of this rank's vectors, times W."""
        v, queries, counts, *masks = ctx.saved_tensors
        task, ranks = ctx.task, ctx.ranks
        world, start = dist.get_world_size(ranks), ctx.start
        with on_device(v.device):
            scale = incoming * world / ctx.divisor
            masks = regroup(masks, ctx.pieces)
            saved = listed(task.operations, masks, len(v), len(queries))
            dvideo = blocks.video_gradient(
                task.operations, saved, queries, own_column=start, counts=counts, scale=scale
            )
            dqueries = blocks.query_gradient(
                task.operations,
                saved,
                lambda rows: v[rows],
                columns=len(queries),
                own_column=start,
                counts=counts,
                scale=scale,
            ).to(incoming.dtype)
            _add(dqueries, ranks)
        dquery = dqueries[start : start + len(v)]
        return *(None,) * BEFORE_TENSORS, *_like(task, dvideo, dquery)


class _Ring(torch.autograd.Function):
    """Queries go once round the ring forward, and once backward with their gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        task: Task,
        all_ids: Tensor,
        margin: float,
        divisor: Tensor | int,
        sizes: list[int],
        ranks: Ranks,
        video: Tensor,
        query: Tensor,
    ) -> Tensor:
        """Return the () loss of all ranks."""
        operations, world, rank = task.operations, dist.get_world_size(ranks), dist.get_rank(ranks)
        with on_device(video.device):
            v, q, positive = _pack(task, video, query, len(video))
            save = any(ctx.needs_input_grad)
            loss = torch.zeros((), dtype=torch.float64, device=v.device)
            row_counts = torch.zeros(len(v), dtype=torch.int32, device=v.device)
            # What goes round: factors of queries, their positives, and their columns' counts.
            passing, their_positive, column_counts = q, positive, row_counts.clone()
            masks = []
            for step in range(world):
                home = (rank - step) % world  # whose queries are here
                ids = all_ids[home * len(v) : (home + 1) * len(v)]
                labels = Labels(task.group, ids, positive, their_positive)
                block = blocks.forward(
                    operations, lambda rows: v[rows], passing, labels, margin, save=save
                )
                loss += block.loss
                row_counts += block.row_counts
                column_counts += block.column_counts
                masks += block.masks
                passing, their_positive, column_counts = _pass_on(
                    [passing, their_positive, column_counts], ranks
                )
            _add(loss, ranks)
        # After a whole round the columns are this rank's own again.
        ctx.save_for_backward(v, q, row_counts + column_counts, *chain.from_iterable(masks))
        ctx.task, ctx.ranks, ctx.divisor, ctx.pieces = task, ranks, divisor, len(block.masks)
        return (loss / divisor).to(positive.dtype)

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of this rank's vectors, times W."""
        v, q, counts, *saved = ctx.saved_tensors
        task, ranks, world = ctx.task, ctx.ranks, dist.get_world_size(ctx.ranks)
        masks = regroup(saved, world * ctx.pieces)
        dvideo = torch.zeros(v.shape, dtype=incoming.dtype, device=v.device)
        dpassing, passing = torch.zeros_like(dvideo), q
        with on_device(v.device):
            scale = incoming * world / ctx.divisor
            for step in range(world):
                some = listed(
                    task.operations,
                    masks[step * ctx.pieces : (step + 1) * ctx.pieces],
                    len(v),
                    len(q),
                )
                # Pairs of this rank alone have their own queries here, in the first step.
                own_column = 0 if step == 0 else None
                dvideo += blocks.video_gradient(
                    task.operations,
                    some,
                    passing,
                    own_column=own_column,
                    counts=counts,
                    scale=scale,
                )
                dpassing = blocks.query_gradient(
                    task.operations,
                    some,
                    lambda rows: v[rows],
                    columns=len(q),
                    own_column=own_column,
                    counts=counts,
                    scale=scale,
                    into=dpassing,
                )
                passing, dpassing = _pass_on([passing, dpassing], ranks)
        return *(None,) * BEFORE_TENSORS, *_like(task, dvideo, dpassing)


def _pack(task: Task, video: Tensor, query: Tensor, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return both sides' packed factors and the (b,) positives, for a matrix of columns."""
    sides = (Side((video,)), Side((query,)))
    v, q = (task.operations.pack(side, task.dtype) for side in sides)
    return v, q, task.operations.positives(v, q, columns)


def _like(task: Task, dvideo: Tensor, dquery: Tensor) -> tuple[Tensor, Tensor]:
    """Return gradients without the padding of packed factors, in the dtype of the vectors."""
    width, dtype = task.video.width, task.video.vectors[0].dtype
    return dvideo[:, :width].to(dtype), dquery[:, :width].to(dtype)


def _gather(x: Tensor, counts: list[int], ranks: Ranks) -> Tensor:
    """Return all ranks' rows, of which they hold ``counts``, one rank's after another's."""
    padded = x.new_zeros(max(counts), *x.shape[1:])
    padded[: len(x)] = x
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded, group=ranks)
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


def _add(x: Tensor, ranks: Ranks) -> None:
    """Add over ranks, in place."""
    dist.all_reduce(x, group=ranks)


def _pass_on(tensors: list[Tensor], ranks: Ranks) -> list[Tensor]:
    """Send tensors to the next rank and return those of the previous one."""
    world, rank = dist.get_world_size(ranks), dist.get_rank(ranks)
    if world == 1:
        return tensors
    received = [torch.empty_like(x) for x in tensors]
    sends = [
        dist.P2POp(dist.isend, x.contiguous(), group=ranks, group_peer=(rank + 1) % world)
        for x in tensors
    ]
    receives = [
        dist.P2POp(dist.irecv, x, group=ranks, group_peer=(rank - 1) % world) for x in received
    ]
    for work in dist.batch_isend_irecv(sends + receives):
        work.wait()
    return received


def _counts(rows: Tensor, ranks: Ranks) -> list[int]:
    """Return how many rows each rank holds."""
    own = torch.tensor([len(rows)], device=rows.device)
    return _gather(own, [1] * dist.get_world_size(ranks), ranks).tolist()
