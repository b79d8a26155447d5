import pytest
import torch
from torch.nn import functional as F
from varkit_alan.expert_weights import ExpertWeights

from tests.support.alan import random, shake
from tests.support.reference import alan_video as reference
from varkit.blocks.gated_embedding import GatedEmbedding
from varkit.blocks.unit import unit
from varkit.errors import VarkitError


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_gated_embedding_equals_the_reference(norm):
    module = shake(GatedEmbedding(5, 4, norm)).double().train()
    for seed in range(3):  # so that running statistics are not the initial 0 and 1
        module(2 * random(8, 5, seed=seed) + 1)
    module.eval()
    x, state = random(6, 5), reference.numpy_state(module)
    for row, found in zip(x, module(x), strict=True):
        expected = reference.gated_embedding(row.numpy(), state, "")
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


@pytest.mark.parametrize("experts", [1, 2, 5])
def test_expert_weights_equal_the_reference(experts):
    module = shake(ExpertWeights(4, experts)).double()
    x, state = random(3, experts, 4), reference.numpy_state(module)
    found = module(x)
    torch.testing.assert_close(found.sum(1), torch.ones(3).double())
    for row, weights in zip(x, found, strict=True):
        expected = reference.expert_weights(row.numpy(), state)
        torch.testing.assert_close(weights.detach(), torch.from_numpy(expected))
