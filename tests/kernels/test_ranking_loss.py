"""The ranking loss on the CPU: every backend against loops in float64, and its corner cases."""

from functools import partial

import pytest
import torch
import varkit_kernels as vk
from torch._subclasses.fake_tensor import FakeTensorMode
from varkit_alan.margin_ranking import MarginRanking
from varkit_kernels.similarity_ranking import cpu, cpu_small, library, reference
from varkit_kernels.similarity_ranking.backends import choose
from varkit_kernels.similarity_ranking.sides import check_group, make_sides

from tests.support.kernels import (  # noqa: F401  # a fixture
    Largest,
    dense_loss,
    expect_close,
    expect_no_gradient_of_zeros,
    expect_only_needed,
    expect_same_loss,
    gradients,
    groups,
    make_zeros,
    pairs,
    poison,
    whole_numbers,
)
from varkit.interfaces import Pairs

BACKENDS = ["eager", "cpu", "cpu, large"]
"""``cpu`` has two forms; the one for large batches is made to take small ones too."""
pytestmark = pytest.mark.usefixtures("poison")


def run(given, backend="cpu", margin=0.1, **options):
    options |= {"alpha": given.alpha, "margin": margin, "backend": backend.partition(",")[0]}
    return vk.ranking_loss(*given.arguments, **options)


@pytest.fixture
def small_pieces(monkeypatch):
    """Cut even small matrices into pieces of 16 rows."""
    monkeypatch.setattr(cpu_small, "PAIRS", 0)
    monkeypatch.setattr(cpu, "PIECE", 1)


@pytest.fixture(autouse=True)
def form(request, monkeypatch):
    """Use the form for large batches where a test's backend says so."""
    callspec = getattr(request.node, "callspec", None)
    if callspec is not None and callspec.params.get("backend") == "cpu, large":
        monkeypatch.setattr(cpu_small, "PAIRS", 0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("reduction", ["paper", "mean"])
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize(
    ("count", "shapes"),
    [(1, [(2, 3)]), (2, [(1, 1)]), (5, [(2, 5), (3, 4)]), (9, [(7, 3), (1, 6), (2, 2)])],
)
def test_agrees_with_loops(backend, reduction, grouped, count, shapes):
    given = pairs(count, shapes)
    group = groups(count) if grouped else None
    left, right = make_sides(*given.arguments, given.alpha, paired=True)
    ids = check_group(group, count, torch.device("cpu"))
    similarity = reference.similarity(left, right)
    expected = reference.ranking_loss(similarity, margin=0.1, group=ids, reduction=reduction)
    if not expected.requires_grad:  # no negatives: the loops add nothing up
        expected = expected + 0 * similarity.sum()
    loss = run(given, backend, group=group, reduction=reduction)
    expect_close(loss, expected, 1e-13)
    expect_close(gradients(loss, given.leaves), gradients(expected, given.leaves), 1e-12)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("count", [15, 16, 17, 64, 130])
@pytest.mark.parametrize("grouped", [False, True])
def test_pieces_do_not_show(count, grouped):
    given = pairs(count, [(2, 7), (1, 5)])
    group = groups(count) if grouped else None
    expected = dense_loss(given, margin=0.1, group=group)
    expect_same_loss(lambda g: run(g, group=group), given, expected, given.leaves, 1e-12)


@pytest.mark.parametrize("count", [3, 40])
@pytest.mark.parametrize("reduction", ["paper", "mean"])
@pytest.mark.parametrize("masked", [False, True])
def test_is_the_objective_of_alan(count, reduction, masked):
    video, query = (x.flatten(1) for x in (*pairs(count).video[:1], *pairs(count).query[:1]))
    group = groups(count)
    objective = MarginRanking(margin=0.2, reduction=reduction, mask_identical=masked)
    expected = objective.dense(video @ query.T, Pairs(group, torch.zeros(count, 2)))
    found = vk.ranking_loss_from_factors(
        video, query, margin=0.2, reduction=reduction, group=group if masked else None
    )
    expect_close(found, expected, 1e-13)


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_gradcheck(backend):
    given = pairs(4, [(2, 3)])
    assert torch.autograd.gradcheck(
        lambda v, q, w: vk.ranking_loss([v], [q], [w], alpha=[0.7], margin=0.2, backend="cpu"),
        given.leaves,
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("margin", [3.0, -3.0], ids=["all violate", "none violates"])
def test_all_and_none_violate(backend, margin):
    given = pairs(20)
    loss = run(given, backend, margin)
    expect_close(loss, dense_loss(given, margin=margin), 1e-13)
    found = gradients(loss, given.leaves)
    if margin < 0:
        assert loss.item() == 0
        assert not any(g.any() for g in found)


@pytest.mark.parametrize("piece", [1 << 22, 1], ids=["whole", "pieces"])
@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_a_tie_at_the_margin_has_no_gradient(backend, piece, monkeypatch):
    monkeypatch.setattr(cpu, "PIECE", piece)
    leaves = whole_numbers(40)
    found, expected = (
        torch.autograd.grad(vk.ranking_loss(*leaves, margin=1.0, backend=name), leaves)
        for name in ("cpu", "eager")
    )
    expect_close(found, expected, 1e-13)


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_ties_at_margin_zero_do_not_count(backend):
    given = pairs(1, dtype=torch.float32)
    video, query = (x[0].detach().expand(30, -1, -1) for x in (given.video, given.query))
    loss = vk.ranking_loss([video], [query], margin=0.0, backend="cpu")
    assert loss.item() == 0


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_zero_vectors_and_missing_experts_get_no_gradient(backend, dtype):
    given = pairs(12, dtype=dtype)
    make_zeros(given)
    loss = run(given, backend)
    expect_no_gradient_of_zeros(loss, gradients(loss, given.leaves))


@pytest.mark.parametrize("backend", BACKENDS)
def test_strides_do_not_show(backend):
    given = pairs(11, [(2, 6)])
    expected = run(given, backend)
    video = given.video[0].detach().transpose(0, 2).contiguous().transpose(0, 2)
    query = given.query[0].detach().repeat_interleave(2, 0)[::2]
    weights = given.weights[0].detach().T.contiguous().T
    assert not video.is_contiguous()
    backend = backend.partition(",")[0]
    found = vk.ranking_loss([video], [query], [weights], alpha=[0.3], margin=0.1, backend=backend)
    expect_close(found, expected, 1e-13)
    one = given.video[0].detach()[:1].expand(11, -1, -1)
    expect_close(
        vk.ranking_loss([one], [query], margin=0.1, backend=backend),
        vk.ranking_loss([one.clone()], [query], margin=0.1, backend=backend),
        1e-13,
    )


@pytest.mark.parametrize("needed", [(0,), (1,), (2,), (0, 2)])
@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_only_what_needs_a_gradient_gets_one(backend, needed):
    given = pairs(10, [(2, 5)])
    expected = gradients(dense_loss(given, margin=0.1), given.leaves)
    loss_of = partial(vk.ranking_loss, alpha=[0.3], margin=0.1)
    expect_only_needed(loss_of, given, needed, expected, 1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_half_precision_vectors_are_multiplied_in_fp32(backend, dtype):
    given = pairs(70, dtype=dtype)
    exact = given.to(torch.float64)
    loss, expected = run(given), dense_loss(exact, margin=0.1)
    assert loss.dtype == torch.float32
    expect_close(loss, expected, 1e-5)
    tolerance = 1e-5 if dtype == torch.float32 else torch.finfo(dtype).eps
    expect_same_loss(run, given, expected, exact.leaves, tolerance)


@pytest.mark.parametrize("backend", BACKENDS[1:])
@pytest.mark.parametrize("dtypes", [("float64", "float32"), ("float32", "float64")])
def test_products_in_another_dtype_if_asked(backend, dtypes):
    given, asked = (getattr(torch, name) for name in dtypes)
    sample = pairs(30, dtype=given)
    exact = sample.to(torch.float64)
    assert run(sample, backend, dtype=asked).dtype == asked
    loss_of = partial(run, backend=backend, dtype=asked)
    expect_same_loss(loss_of, sample, dense_loss(exact, margin=0.1), exact.leaves, 1e-6)


@pytest.mark.parametrize("ask", ["dtype", "autocast"])
@pytest.mark.parametrize("pieces", [False, True])
def test_products_in_bf16_if_asked(ask, pieces, monkeypatch):
    if pieces:
        monkeypatch.setattr(cpu, "PIECE", 1)
    given = pairs(70, [(2, 200)], dtype=torch.float32)
    exact = given.to(torch.float64)
    with torch.autocast("cpu", torch.bfloat16, enabled=ask == "autocast"):
        loss = run(given, dtype=torch.bfloat16 if ask == "dtype" else None)
        found = gradients(loss, given.leaves)
    assert {x.dtype for x in (loss, *found)} == {torch.float32}
    assert loss.item() != run(given).item()
    expected = dense_loss(exact, margin=0.1)
    expect_close(loss, expected, 1.5e-2)
    expect_close(found, gradients(expected, exact.leaves), 3e-2)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_nan_and_inf_are_seen(backend, value):
    given = pairs(9)
    with torch.no_grad():
        given.query[0][4, 1, 2] = value
    loss = run(given, backend)
    assert loss.isnan()
    assert not gradients(loss, given.leaves)[0].isfinite().all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("weights", ["twice", "none"])
def test_weights_need_not_sum_to_one(backend, weights):
    given = pairs(9)
    factor = {"twice": 2, "none": 0}[weights]
    given.weights = [(factor * w).detach().requires_grad_() for w in given.weights]
    expected = dense_loss(given, margin=0.1)
    expect_close(run(given, backend), expected, 1e-13)
    found = gradients(run(given, backend), given.leaves)
    expect_close(found, gradients(expected, given.leaves), 1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("reduction", ["paper", "mean"])
def test_no_negatives_is_zero_with_a_graph(backend, count, reduction):
    given = pairs(count)
    loss = run(given, backend, reduction=reduction)
    assert loss.item() == 0
    assert not any(g.any() for g in gradients(loss, given.leaves))
    one_group = pairs(6)
    assert run(one_group, backend, group=torch.ones(6).long(), reduction=reduction).item() == 0


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_repeats_bit_for_bit(backend):
    given = pairs(100, dtype=torch.float32)
    first = run(given)
    expected = gradients(first, given.leaves)
    for _ in range(5):
        again = run(given)
        assert torch.equal(first, again)
        assert all(map(torch.equal, gradients(again, given.leaves), expected))


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_backward_twice_through_one_graph_but_no_second_derivatives(backend):
    given = pairs(8)
    loss = run(given)
    first = torch.autograd.grad(loss, given.leaves, retain_graph=True)
    second = torch.autograd.grad(3 * loss, given.leaves)
    expect_close(second, [3 * one for one in first], 1e-13)
    found = torch.autograd.grad(run(given), given.leaves, create_graph=True)
    with pytest.raises(RuntimeError, match="can be differentiated once; backend='eager'"):
        found[0].sum().backward()


def test_the_matrix_is_never_built(monkeypatch):
    monkeypatch.setattr(cpu, "PIECE", 1 << 16)
    given = pairs(1100, [(1, 4)], dtype=torch.float32)
    with Largest() as largest:
        gradients(run(given), given.leaves)
    assert largest.elements <= 1100**2 / 4  # the mask: a quarter of a byte a pair
    with Largest() as largest:
        run(given, "eager")
    assert largest.elements == 1100**2


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 5), (17, 64, 33), (70, 768, 70), (3, 0, 2)])
def test_products_by_either_library(shape, monkeypatch):
    m, k, n = shape
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(*s, generator=generator) for s in ((m, k), (k, n)))
    for plain in (False, True):
        if plain:
            monkeypatch.setattr(library, "_onednn", lambda: None)
        for a in (left, left.T.contiguous().T, left.repeat_interleave(2, 1)[:, ::2]):
            for b in (right, right.T.contiguous().T, right.repeat_interleave(2, 1)[:, ::2]):
                expect_close(library.product(a, b), left.double() @ right.double(), 1e-6)
    assert library.product(left.double(), right.double()).dtype == torch.float64


@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of itself
def test_compiled_around_it():
    given = pairs(20, [(1, 8)], dtype=torch.float32)

    def function(video):
        return 2 * vk.ranking_loss([video.tanh()], given.query, margin=0.3)

    expected = function(given.video[0])
    found = torch.compile(function, backend="aot_eager")(given.video[0])
    expect_close(found, expected, 1e-6)
    grad = torch.autograd.grad
    expect_close(grad(found, given.video[0]), grad(expected, given.video[0]), 1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of itself
def test_compiled_backend():
    given = pairs(33, dtype=torch.float32)
    if "compiled" in vk.explain(given.video).refused:
        pytest.skip(vk.explain(given.video).refused["compiled"])
    exact, group = given.to(torch.float64), groups(33)
    expected = dense_loss(exact, margin=0.1, group=group)
    loss_of = partial(run, backend="compiled", group=group)
    expect_same_loss(loss_of, given, expected, exact.leaves, 1e-5)


A, B = torch.zeros(3, 2, 4), torch.zeros(3, 2)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((A, A), {}, r"video is \(3, 2, 4\); one tensor is taken as \(B, K\) factor vectors"),
        (([], []), {}, "video is empty"),
        (([B], [B]), {}, r"video, alignment 0, is \(3, 2\), not \(B, E, D\)"),
        (([A, A[:2]], [A, A]), {}, "alignment 0 has 3 rows and alignment 1 2"),
        (([A], [A, A]), {}, "video has 1 alignments and query 2"),
        (([A], [A[..., :3]]), {}, r"video is \(3, 2, 4\) and query \(3, 2, 3\)"),
        (([A], [A[:2]]), {}, "3 videos and 2 queries"),
        (([A[:, :0]], [A[:, :0]]), {}, "nothing to compare"),
        (([A], [A.double()]), {}, "torch.float32 and torch.float64"),
        (([A.long()], [A.long()]), {}, "must be floating point, not torch.int64"),
        (([A], [A.to("meta")]), {}, "on cpu and on meta"),
        (([A], [A], [B, B]), {}, "2 weights for 1 alignments"),
        (([A], [A], [B[:, :1]]), {}, r"weights, alignment 0, are \(3, 1\), not \(3, 2\)"),
        (([A], [A], [B.long()]), {}, "not floating point"),
        (([A], [A], [B.to("meta")]), {}, "weights are on meta"),
        (([A], [A]), {"alpha": [1.0, 2.0]}, "alpha has 2 numbers for 1 alignments"),
        ((B, B, [B]), {}, "factor vectors hold weights and alpha already"),
        (([A], [A]), {"group": torch.zeros(3)}, r"group is \(3,\) torch.float32"),
        (([A], [A]), {"group": torch.zeros(2).long()}, r"not \(3,\) torch.int64"),
        (([A], [A]), {"reduction": "sum"}, "reduction is 'sum'; there are paper and mean"),
        (([A], [A]), {"dtype": torch.int32}, "not a floating-point type"),
        (([A], [A]), {"backend": "trton"}, "no backend 'trton'.*Did you mean 'triton'"),
    ],
)
def test_what_does_not_fit_is_named(arguments, options, message):
    with pytest.raises(vk.InputError, match=message):
        vk.ranking_loss(*arguments, **options)


def test_a_backend_that_was_asked_for_runs_or_says_why():
    video = [torch.zeros(3, 2, 4)]
    with pytest.raises(vk.BackendError, match=r"'triton' cannot run here: .*on cpu"):
        vk.ranking_loss(video, video, backend="triton")
    with pytest.raises(vk.BackendError, match=r"'cpu' cannot run here: .*these are on meta"):
        vk.explain([video[0].to("meta")], backend="cpu")


def test_elsewhere_torch_alone_runs_by_itself():
    for device in ("cuda", "xpu", "meta"):
        with FakeTensorMode():  # a tensor that says it is on a GPU, without one
            side = make_sides(*[[torch.zeros(3, 2, 4, device=device)]] * 2, None, None, paired=True)
            choice = choose(side[0], "auto", None)
        assert choice.backend == "eager"
        assert choice.why.startswith("torch alone")


def test_explain_says_what_runs():
    video = [torch.zeros(3, 2, 4)]
    choice = vk.explain(video)
    assert (choice.backend, choice.dtype) == ("cpu", torch.float32)
    assert "triton" in choice.refused
    assert str(choice).startswith("cpu in torch.float32: fused")
    assert vk.explain([video[0].bfloat16()]).dtype == torch.float32
    assert vk.explain([video[0].double()]).dtype == torch.float64
    assert vk.explain(video, backend="eager").why == "it was asked for"
    assert vk.explain([video[0].to("meta")]).backend == "eager"
    with torch.autocast("cpu", torch.bfloat16):
        assert vk.explain(video).dtype == torch.bfloat16
