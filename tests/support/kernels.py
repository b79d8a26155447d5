"""Made-up pairs for the kernels, and what each function should return for them, in float64."""

from dataclasses import dataclass, field

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from varkit_kernels.similarity_ranking import eager
from varkit_kernels.similarity_ranking.sides import check_group, make_sides


@dataclass
class Pairs:
    """Leaves that need gradients, and how they are put together."""

    video: list
    query: list
    weights: list
    alpha: list = field(default_factory=list)

    @property
    def leaves(self):
        return [*self.video, *self.query, *self.weights]

    @property
    def arguments(self):
        return self.video, self.query, self.weights

    def to(self, dtype=None, device=None):
        """Return new leaves, with the same numbers as far as the dtype holds them."""

        def convert(tensors):
            return [x.detach().to(device, dtype).clone().requires_grad_() for x in tensors]

        return Pairs(convert(self.video), convert(self.query), convert(self.weights), self.alpha)


def pairs(count, shapes=((2, 24), (2, 24)), *, videos=None, seed=0, dtype=torch.float64):
    """Draw pairs whose vectors share a mean, as features do.

    With independent vectors, what is off the diagonal hardly counts: losing all of its gradient
    would go unnoticed.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(rows, experts, width):
        x = torch.randn(rows, experts, width, generator=generator, dtype=torch.float64)
        return (x + 1.5).to(dtype).requires_grad_()

    rows = count if videos is None else videos
    video = [draw(rows, *shape) for shape in shapes]
    query = [draw(count, *shape) for shape in shapes]
    weights = [
        torch.randn(count, experts, generator=generator, dtype=torch.float64)
        .softmax(1)
        .to(dtype)
        .requires_grad_()
        for experts, _ in shapes
    ]
    alpha = [0.3, 0.7, 0.4][: len(shapes)]
    return Pairs(video, query, weights, alpha)


def groups(count, seed=0):
    """Draw (B,) ids with repeats."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-(2**40), 2**40, (max(count // 2, 1),), generator=generator)[
        torch.randint(0, max(count // 2, 1), (count,), generator=generator)
    ]


def dense_similarity(given):
    left, right = make_sides(*given.arguments, given.alpha, paired=False)
    return eager.similarity(left, right, given.video[0].dtype)


def dense_loss(given, *, margin, group=None, reduction="paper"):
    """Return the loss of the dense float64 form; it is tested against loops."""
    ids = check_group(group, len(given.video[0]), given.video[0].device)
    similarity = dense_similarity(given)
    return eager.ranking_loss(similarity, margin=margin, group=ids, reduction=reduction)


def dense_info_nce(given, scale, group=None):
    ids = check_group(group, len(given.video[0]), given.video[0].device)
    return eager.info_nce(dense_similarity(given), scale=scale, group=ids)


RATES = ["none", "one", 0.001, 0.5, "all"]
"""Shares of the hinges that violate; ``one`` is a single one of them."""


def margin_of(given, rate, group=None):
    """Return a margin at which a share of the hinges violates, half way between two of them."""
    s = dense_similarity(given).detach()
    ids = check_group(group, len(s), s.device)
    off, own = ids.unsqueeze(1) != ids, s.diagonal()
    beyond = torch.cat([(s - own.unsqueeze(1))[off], (s - own)[off]]).sort(descending=True).values
    number = {"none": 0, "one": 1, "all": len(beyond)}.get(rate)
    number = round(rate * len(beyond)) if number is None else number
    beyond = torch.cat([beyond[:1] + 1, beyond, beyond[-1:] - 1])
    return -beyond[number : number + 2].mean().item()


def whole_numbers(count, dtype=torch.float64):
    """Return factors that many scores of are exactly their pair's own, whatever computes them."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-1, 2, (2, count, 6), generator=generator).to(dtype)
    return [side.requires_grad_() for side in x.unbind()]


def gradients(loss, leaves):
    """Return the gradients of a loss, 0 where a leaf has none."""
    found = torch.autograd.grad(loss, leaves, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, found, strict=True)]


def expect_close(found, expected, tolerance, what=""):
    """Compare by the error's norm relative to the expected norm; of several, one by one."""
    if not isinstance(expected, torch.Tensor):
        for k, (one, right) in enumerate(zip(found, expected, strict=True)):
            expect_close(one, right, tolerance, f"{what} {k}")
        return
    assert found.shape == expected.shape, what
    error = (found.detach().double().cpu() - expected.detach().double().cpu()).norm()
    size = expected.detach().double().norm().cpu()
    assert error <= tolerance * size + 1e-12, f"{what}: error {error:.2e} of {size:.2e}"


def expect_same_loss(function, given, expected_loss, leaves64, tolerance):
    """Compare a loss and the gradients of all leaves with those of float64."""
    loss = function(given)
    expect_close(loss, expected_loss, tolerance, "loss")
    found = gradients(loss, given.leaves)
    for k, (g, e) in enumerate(zip(found, gradients(expected_loss, leaves64), strict=True)):
        assert g.dtype == given.leaves[k].dtype
        expect_close(g, e, tolerance, f"gradient {k}")


def expect_only_needed(function, given, needed, expected, tolerance):
    """Call a function of fresh leaves, of which some need gradients, for a loss; compare those."""
    leaves = [x.detach().requires_grad_(k in needed) for k, x in enumerate(given.leaves)]
    function(*([leaf] for leaf in leaves)).backward()
    for k, leaf in enumerate(leaves):
        if k in needed:
            expect_close(leaf.grad, expected[k], tolerance)
        else:
            assert leaf.grad is None


def make_zeros(given):
    """Make vectors of pairs zero, and expert 0 of alignment 0 missing everywhere."""
    with torch.no_grad():
        given.video[0][3, 1] = 0
        given.query[1][5] = 0
        given.weights[0][:, 0] = 0


def expect_no_gradient_of_zeros(loss, found):
    assert loss.isfinite()
    assert all(g.isfinite().all() for g in found)
    for zeros in (found[0][3, 1], found[3][5], found[0][:, 0], found[2][:, 0]):
        assert not zeros.any()
    assert found[4][:, 0].any()  # the missing expert's weight has one
    assert found[1].any()


@pytest.fixture
def poison(monkeypatch):
    """Fill what ``torch.empty`` returns with garbage: what is not written shows."""

    def poisoned(make):
        def made(*args, **kwargs):
            found = make(*args, **kwargs)
            return found.fill_(torch.nan if found.is_floating_point() else 113)

        return made

    for name in ("empty", "empty_like"):
        monkeypatch.setattr(torch, name, poisoned(getattr(torch, name)))


class Largest(TorchDispatchMode):
    """The number of elements of the largest tensor that any operation returned."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for x in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(x, torch.Tensor):
                self.elements = max(self.elements, x.numel())
        return out
