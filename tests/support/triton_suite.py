"""The Triton backend against float64: interpreted on the CPU, or compiled where there is a GPU.

Not collected by itself: ``test_interpreted.py`` runs it in a process under TRITON_INTERPRET=1, and
``test_gpu.py`` takes it over.
"""

from functools import partial

import pytest
import torch
import varkit_kernels as vk
from varkit_kernels.similarity_ranking import triton_operations, triton_sizes
from varkit_kernels.similarity_ranking.operations import Labels

from tests.support.kernels import (  # noqa: F401  # a fixture
    RATES,
    dense_info_nce,
    dense_loss,
    dense_similarity,
    expect_close,
    expect_no_gradient_of_zeros,
    expect_only_needed,
    expect_same_loss,
    gradients,
    groups,
    make_zeros,
    margin_of,
    pairs,
    poison,
    whole_numbers,
)

pytestmark = pytest.mark.usefixtures("poison")

DEVICE = "cpu" if triton_sizes.INTERPRETED else "cuda"
TOLERANCE = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1.5e-2}


def here(given, dtype=torch.float32):
    """Return pairs for the backend, and the same rounded numbers in float64 on the CPU."""
    on_device = given.to(dtype, DEVICE)
    return on_device, on_device.to(torch.float64, "cpu")


def run(given, margin=0.1, **options):
    options |= {"alpha": given.alpha, "margin": margin, "backend": "triton"}
    return vk.ranking_loss(*given.arguments, **options)


SHAPES = [
    (1, [(2, 24)]),
    (2, [(1, 1)]),
    (3, [(7, 9)]),
    (17, [(2, 31), (1, 5)]),
    (64, [(2, 32), (2, 32)]),
    (130, [(2, 20), (3, 7)]),
    *((5, [(2, width)]) for width in (2050, 63, 65)),  # around a block, and beyond it
]


@pytest.mark.parametrize(("count", "shapes"), SHAPES)
@pytest.mark.parametrize("grouped", [False, True])
def test_ranking_loss(count, shapes, grouped):
    given, exact = here(pairs(count, shapes))
    group = groups(count) if grouped else None
    expected = dense_loss(exact, margin=0.1, group=group)
    if group is not None:
        group = group.to(DEVICE)
    expect_same_loss(lambda g: run(g, group=group), given, expected, exact.leaves, 1e-5)


def test_reduction_mean_of_groups():
    given, exact = here(pairs(40, [(1, 9)]))
    group = groups(40)
    expected = dense_loss(exact, margin=0.1, group=group, reduction="mean")
    loss = run(given, group=group.to(DEVICE), reduction="mean")
    expect_close(loss, expected, 1e-5)


@pytest.mark.parametrize("margin", [3.0, -3.0], ids=["all violate", "none violates"])
def test_all_and_none_violate(margin):
    given, exact = here(pairs(70, [(2, 24)]))
    loss = run(given, margin)
    if margin < 0:
        assert loss.item() == 0
        assert not any(g.any() for g in gradients(loss, given.leaves))
    else:
        expected = dense_loss(exact, margin=margin)
        expect_same_loss(lambda g: run(g, margin), given, expected, exact.leaves, 1e-5)


def test_one_violation_while_all_other_tiles_are_skipped():
    # Orthogonal pairs; video 100 is too similar to query 3, and that is all.
    video, query = torch.eye(140, device=DEVICE), torch.eye(140, device=DEVICE)
    video[100, 3] = 0.95
    expected_video, expected_query = torch.zeros_like(video), torch.zeros_like(query)
    # The one pair is in row 100's hinge and in column 3's.
    expected_video[100], expected_video[3] = 2 * query[3] - query[100], -query[3]
    expected_query[3], expected_query[100] = 2 * video[100] - video[3], -video[100]
    video.requires_grad_()
    query.requires_grad_()
    loss = vk.ranking_loss(video, query, margin=0.1, backend="triton")
    assert loss.item() == pytest.approx(2 * 0.05 / 140, rel=1e-4)
    dvideo, dquery = torch.autograd.grad(loss, (video, query))
    torch.testing.assert_close(dvideo, expected_video / 140)
    torch.testing.assert_close(dquery, expected_query / 140)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_equal_pairs_tie_exactly(dtype):
    video, query = pairs(1, [(2, 40)]).video[0].detach(), pairs(1, [(2, 40)], seed=1).query[0]
    if DEVICE == "cpu":
        # Sums that are exact in any order: numpy's product depends on the place in the tile.
        video, query = (
            torch.zeros(1, 2, 40).index_fill_(2, torch.arange(k, k + 4), 1.0) for k in (0, 2)
        )
    video, query = ([x.detach().to(DEVICE, dtype).expand(70, -1, -1)] for x in (video, query))
    assert vk.ranking_loss(video, query, margin=0.0, backend="triton").item() == 0
    counts = vk.ranks(video, query, backend="triton")
    assert not counts.query_above.any()
    assert (counts.query_equal == 69).all()
    assert (counts.video_equal == 69).all()


def test_zero_vectors_and_missing_experts_get_no_gradient():
    given, _ = here(pairs(33))
    make_zeros(given)
    loss = run(given)
    found = gradients(loss, given.leaves)
    expect_no_gradient_of_zeros(loss, found)
    exact = given.to(torch.float64, "cpu")
    expected = gradients(dense_loss(exact, margin=0.1), exact.leaves)
    expect_close(found, expected, 1e-5)


def test_strides_do_not_show():
    given, _ = here(pairs(35, [(2, 6)]))
    expected = run(given)
    video = given.video[0].detach().transpose(0, 2).contiguous().transpose(0, 2)
    query = given.query[0].detach().repeat_interleave(2, 0)[::2].requires_grad_()
    weights = given.weights[0].detach().T.contiguous().T.requires_grad_()
    loss = vk.ranking_loss([video], [query], [weights], alpha=[0.3], margin=0.1, backend="triton")
    expect_close(loss, expected, 1e-6)
    right = torch.autograd.grad(expected, (given.query[0], given.weights[0]))
    expect_close(torch.autograd.grad(loss, (query, weights)), right, 1e-6)


@pytest.mark.parametrize("needed", [(0,), (1,), (2,)])
def test_only_what_needs_a_gradient_gets_one(needed):
    given, exact = here(pairs(10, [(2, 5)]))
    expected = gradients(dense_loss(exact, margin=0.1), exact.leaves)
    loss_of = partial(vk.ranking_loss, alpha=[0.3], margin=0.1, backend="triton")
    expect_only_needed(loss_of, given, needed, expected, 1e-5)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, in the interpreter
def test_nan_and_inf_are_seen(value):
    given, _ = here(pairs(40))
    with torch.no_grad():
        given.query[0][4, 1, 2] = value
    loss = run(given)
    assert loss.isnan()
    assert not gradients(loss, given.leaves)[0].isfinite().all()


@pytest.mark.parametrize("count", [0, 1])
def test_no_negatives_is_zero_with_a_graph(count):
    given, _ = here(pairs(count))
    for loss in (run(given), vk.info_nce(*given.arguments, scale=3.0, backend="triton")):
        assert loss.item() == 0
        assert not any(g.abs().max() > 1e-6 for g in gradients(loss, given.leaves) if g.numel())


def test_rows_against_other_columns():
    """A block as ranks hold it: 20 rows whose own pairs are columns 37 to 56 of 90."""
    generator = torch.Generator().manual_seed(0)
    video = torch.randn(20, 64, generator=generator).to(DEVICE)
    query = torch.randn(90, 64, generator=generator).to(DEVICE)
    operations, own = triton_operations.TritonOperations(), 37
    ids = torch.arange(90, device=DEVICE)
    all_positives = torch.randn(90, generator=generator).to(DEVICE)
    all_positives[own : own + 20] = operations.positives(video, query[own : own + 20], 90)
    labels = Labels(ids[own : own + 20], ids, all_positives[own : own + 20], all_positives)
    found = operations.hinge(video, query, labels, 5.0, save=True)
    s = video.double() @ query.double().T
    off = labels.video_group[:, None] != ids
    row = (s - all_positives[own : own + 20, None] + 5) * off
    column = (s - all_positives + 5) * off
    expect_close(found.loss, row.relu().sum() + column.relu().sum(), 1e-6)
    assert torch.equal(found.row_counts, (row > 0).sum(1).int())
    assert torch.equal(found.column_counts, (column > 0).sum(0).int())
    code, count = ((row > 0).int() + (column > 0).int()).double(), found.row_counts
    scale = torch.tensor(0.5, device=DEVICE)
    expected = 0.5 * (code @ query.double() - count[:, None] * query[own : own + 20])
    expect_close(operations.video_gradient(found.mask, query, own, count, scale), expected, 1e-6)
    expected = 0.5 * code.T @ video.double()
    got = operations.query_gradient(found.mask, video, None, count, scale, None, 90)
    expect_close(got, expected, 1e-6)
    expected[own : own + 20] -= 0.5 * count[:, None] * video
    start = torch.ones_like(expected)
    got = operations.query_gradient(found.mask, video, own, count, scale, start, 90)
    expect_close(got, expected + 1, 1e-6)


@pytest.mark.parametrize("count", [2, 33, 70])
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("dense", [1 << 26, 640], ids=["whole", "pieces"])
def test_info_nce(count, grouped, dense, monkeypatch):
    monkeypatch.setattr(triton_operations, "DENSE", dense)
    given, exact = here(pairs(count, [(2, 9)]))
    group = groups(count) if grouped else None
    scale = torch.tensor(20.0, device=DEVICE, requires_grad=True)
    exact_scale = torch.tensor(20.0, dtype=torch.float64, requires_grad=True)
    expected = dense_info_nce(exact, exact_scale, group)
    options = {"alpha": given.alpha, "scale": scale, "backend": "triton"}
    if group is not None:
        group = group.to(DEVICE)
    loss = vk.info_nce(*given.arguments, group=group, **options)
    expect_close(loss, expected, 1e-5)
    right = gradients(expected, [*exact.leaves, exact_scale])
    expect_close(gradients(loss, [*given.leaves, scale]), right, 2e-5)


def test_ranks_of_unequal_sides():
    given, exact = here(pairs(75, [(2, 9)], videos=40))
    owner = torch.cat([torch.arange(40), torch.arange(35)])
    found = vk.ranks(*given.arguments, alpha=given.alpha, owner=owner.to(DEVICE), backend="triton")
    s = dense_similarity(exact).detach()
    right = s[owner, torch.arange(75)]
    best = torch.stack([s[v, owner == v].max() for v in range(40)])
    assert torch.equal(found.query_above.cpu(), (s > right).sum(0))
    own = owner == torch.arange(40)[:, None]
    assert torch.equal(found.video_above.cpu(), ((s > best[:, None]) & ~own).sum(1))
    assert not found.query_equal.any()
    assert not found.video_equal.any()


@pytest.mark.parametrize("gradient", ["dense", "gather", "forward"])
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("grouped", [False, True])
def test_every_gradient_agrees_at_every_rate(gradient, rate, grouped, monkeypatch):
    monkeypatch.setattr(triton_operations, "DENSE", 1500)
    given, exact = here(pairs(53, [(2, 20), (1, 27)]))
    group = groups(53) if grouped else None
    margin = margin_of(exact, rate, group)
    expected = dense_loss(exact, margin=margin, group=group)
    if group is not None:
        group = group.to(DEVICE)
    loss_of = partial(run, margin=margin, group=group, gradient=gradient)
    expect_same_loss(loss_of, given, expected, exact.leaves, 1e-5)


@pytest.mark.parametrize("gradient", ["auto", "gather", "forward"])
@pytest.mark.parametrize("margin", [0.0, 1.0])
def test_a_tie_has_no_gradient_in_any_form(gradient, margin, monkeypatch):
    if gradient != "auto":
        monkeypatch.setattr(triton_operations, "DENSE", 700)
    leaves = whole_numbers(41)
    expected = torch.autograd.grad(vk.ranking_loss(*leaves, margin=margin, backend="eager"), leaves)
    leaves = [x.detach().to(DEVICE, torch.float32).requires_grad_() for x in leaves]
    loss = vk.ranking_loss(*leaves, margin=margin, backend="triton", gradient=gradient)
    expect_close(torch.autograd.grad(loss, leaves), expected, 1e-6)


@pytest.mark.parametrize(("gradient", "count"), [("auto", 70), ("gather", 37), ("forward", 37)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_every_gradient_in_half_precision(gradient, count, dtype):
    given, exact = here(pairs(count), dtype)
    expected = dense_loss(exact, margin=0.1)
    loss_of = partial(run, gradient=gradient)
    assert loss_of(given).dtype == torch.float32
    # A few pairs near the margin fall on the other side: that moves a gradient more than rounding.
    expect_same_loss(loss_of, given, expected, exact.leaves, 2 * TOLERANCE[dtype])


@pytest.mark.parametrize(("gradient", "count"), [("auto", 70), ("gather", 40), ("forward", 40)])
def test_every_gradient_repeats_bit_for_bit(gradient, count):
    given, _ = here(pairs(count, [(2, 24)]))
    first = run(given, gradient=gradient)
    expected = gradients(first, given.leaves)
    for _ in range(2 if DEVICE == "cpu" else 20):
        again = run(given, gradient=gradient)
        assert torch.equal(first, again)
        assert all(map(torch.equal, gradients(again, given.leaves), expected))


@pytest.mark.parametrize("least", [1, 1 << 24])
def test_few_violations_are_gathered_in_large_batches(least, monkeypatch):
    monkeypatch.setattr(triton_operations.TritonOperations, "gather_from", least)
    made, gather = [], triton_operations.gather
    monkeypatch.setattr(
        triton_operations, "gather", lambda *given: made.append(0) or gather(*given)
    )
    given, exact = here(pairs(53))
    for rate, launches in ((0.001, 2), (0.01, 0)):
        made.clear()
        run(given, margin_of(exact, rate)).backward()
        assert len(made) == launches * (least == 1)
