import pytest
import torch
from torch.nn import functional as F
from varkit_alan.expert_weights import ExpertWeights, GatedExperts

from tests.support.alan import random, shake
from tests.support.reference import alan_video as reference
from varkit.blocks.gated_embedding import GatedEmbedding
from varkit.blocks.unit import unit
from varkit.errors import VarkitError


def warmed(module, width):
    """The module with running statistics that are not the initial 0 and 1."""
    module = shake(module).double().train()
    for _ in range(3):
        x = 2 * random(8, width) + 1
        module(x) if isinstance(module, GatedEmbedding) else module(x, x * 0.5)
    return module.eval()


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_gated_embedding_equals_the_reference(norm):
    module = warmed(GatedEmbedding(5, 4, norm), 5)
    x, state = random(6, 5), reference.numpy_state(module)
    for row, found in zip(x, module(x), strict=True):
        expected = reference.gated_embedding(row.numpy(), state, "")
        torch.testing.assert_close(found, torch.from_numpy(expected))


def test_training_uses_the_statistics_of_the_batch():
    module = shake(GatedEmbedding(5, 4)).double().train()
    x, state = random(6, 5), reference.numpy_state(module)
    gate = module.gate(module.project(x)).detach().numpy()
    statistics = gate.mean(0), gate.var(0)
    for row, found in zip(x, module(x), strict=True):
        expected = reference.gated_embedding(row.numpy(), state, "", statistics=statistics)
        torch.testing.assert_close(found, torch.from_numpy(expected))


def test_unit_agrees_with_torch_and_leaves_zero():
    x = random(3, 4)
    torch.testing.assert_close(unit(x), F.normalize(x, dim=-1))
    zero = torch.zeros(2, 4, requires_grad=True)
    unit(zero).sum().backward()
    assert (unit(zero) == 0).all()
    assert torch.isfinite(zero.grad).all()
    assert zero.grad.abs().max() <= 1


def test_a_dead_gate_gives_zero_not_nan():
    module = GatedEmbedding(5, 4).eval()
    torch.nn.init.zeros_(module.project.weight)
    torch.nn.init.zeros_(module.project.bias)
    assert (module(torch.randn(2, 5)) == 0).all()


def test_batch_statistics_cannot_come_from_one():
    module = GatedEmbedding(5, 4)
    with pytest.raises(VarkitError, match="batch of 1") as caught:
        module(torch.randn(1, 5))
    assert "gate_norm=layer" in caught.value.hint
    assert module.eval()(torch.randn(1, 5)).shape == (1, 4)
    assert GatedEmbedding(5, 4, "layer")(torch.randn(1, 5)).shape == (1, 4)


def test_evaluation_is_row_by_row():
    module = warmed(GatedEmbedding(5, 4), 5)
    x = random(6, 5)
    torch.testing.assert_close(module(x[2:3]), module(x)[2:3], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("experts", [1, 2, 5])
def test_expert_weights_equal_the_reference(experts):
    module = shake(ExpertWeights(4, experts)).double()
    x, state = random(3, experts, 4), reference.numpy_state(module)
    found = module(x)
    torch.testing.assert_close(found.sum(1), torch.ones(3).double())
    for row, weights in zip(x, found, strict=True):
        expected = reference.expert_weights(row.numpy(), state)
        torch.testing.assert_close(weights.detach(), torch.from_numpy(expected))


@pytest.mark.parametrize("weights_from", ["gated", "ungated"])
@pytest.mark.parametrize("weights", ["shared", "separate"])
@pytest.mark.parametrize("gate_norm", ["batch", "layer"])
def test_head_equals_the_reference(weights_from, weights, gate_norm):
    options = {"weights_from": weights_from, "weights": weights}
    module = warmed(GatedExperts(5, 4, 3, gate_norm=gate_norm, **options), 5)
    state = reference.numpy_state(module)
    g, h = random(6, 5), random(6, 5).flip(0)
    vectors, shares = module(g, h)
    for b in range(6):
        expected = reference.gated_experts(g[b].numpy(), h[b].numpy(), state, 3, **options)
        for found, right in zip((vectors, shares), expected, strict=True):
            assert found.keys() == right.keys()
            for name, x in found.items():
                torch.testing.assert_close(x[b].detach(), torch.from_numpy(right[name]))
    assert (shares["cls"] is shares["avg"]) == (weights == "shared")


def test_every_parameter_learns():
    for weights in ("shared", "separate"):
        module = GatedExperts(5, 4, 2, weights=weights).double()
        vectors, shares = module(random(6, 5), random(6, 5).flip(0))
        sum((v * random(*v.shape)).sum() for v in vectors.values()).backward(retain_graph=True)
        sum((w * random(*w.shape)).sum() for w in shares.values()).backward()
        # A bias before batch normalisation is taken out again: its gradient is 0, but there.
        assert all(p.grad is not None for p in module.parameters())
