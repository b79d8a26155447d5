"""The loss over 1, 2 and 3 processes (gloo) is that of one process on the whole batch."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import varkit_kernels as vk
from varkit_kernels.similarity_ranking import cpu
from varkit_kernels.similarity_ranking.distributed import ranking_loss_over_ranks

from tests.support.kernels import Pairs, expect_close, groups, margin_of

PAIRS = 19


def compare(rank, world, ranks=None, exchanges=("gather", "ring"), more=0):
    """Compare with one process; the last rank holds ``more`` pairs than the others."""
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
        generator = torch.Generator().manual_seed(0)
        video, query = (
            torch.nn.functional.normalize(
                torch.randn(PAIRS * world + more, 33, generator=generator, dtype=dtype) + 1, dim=1
            )
            for _ in range(2)
        )
        mine = slice(rank * PAIRS, (rank + 1) * PAIRS + more * (rank == world - 1))
        for group in (None, groups(PAIRS * world + more)):
            few = margin_of(Pairs([video[:, None]], [query[:, None]], None, [1.0]), 0.004, group)
            for reduction, margin in (("paper", 0.1), ("mean", 0.1), ("paper", few)):
                whole = [x.clone().requires_grad_() for x in (video, query)]
                expected = vk.ranking_loss(*whole, margin=margin, group=group, reduction=reduction)
                gradients = torch.autograd.grad(expected, whole)
                for exchange in exchanges:
                    part = [x[mine].clone().requires_grad_() for x in (video, query)]
                    loss = ranking_loss_over_ranks(
                        *part,
                        margin=margin,
                        group=None if group is None else group[mine],
                        reduction=reduction,
                        exchange=exchange,
                        ranks=ranks,
                    )
                    expect_close(loss, expected, tolerance, exchange)
                    for g, e in zip(torch.autograd.grad(loss, part), gradients, strict=True):
                        expect_close(g / world, e[mine], tolerance, exchange)


def refuse(rank, ranks):
    x = torch.zeros(2 + rank, 4)
    with pytest.raises(vk.InputError, match=r"ranks hold \[2, 3\] pairs; in a ring"):
        ranking_loss_over_ranks(x, x, exchange="ring", ranks=ranks)
    x = torch.zeros(2, 4)
    with pytest.raises(vk.InputError, match="backends cpu and triton, not eager"):
        ranking_loss_over_ranks(x, x, backend="eager", ranks=ranks)
    with pytest.raises(vk.InputError, match="exchange is 'tree'"):
        ranking_loss_over_ranks(x, x, exchange="tree", ranks=ranks)


def work(rank, store):
    """Compare over three processes, and over two of them."""
    torch.set_num_threads(1)
    cpu.PIECE = 1  # several pieces a block
    # Ranks meet at a file: a port could be taken by others, and would end with rank 0, the first.
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=3)
    try:
        compare(rank, 3)
        compare(rank, 3, exchanges=["gather"], more=2)
        two = dist.new_group([1, 2])
        if rank > 0:
            compare(rank - 1, 2, two)
            refuse(rank - 1, two)
    finally:
        dist.destroy_process_group()


@pytest.mark.slow
def test_two_and_three_ranks_give_what_one_process_gives(tmp_path):
    mp.spawn(work, (f"file://{tmp_path}/store",), nprocs=3)


def test_one_rank_gives_what_one_process_gives(monkeypatch, tmp_path):
    monkeypatch.setattr(cpu, "PIECE", 1)
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        compare(0, 1)
    finally:
        dist.destroy_process_group()
