import math

import pytest
import torch
from varkit_baselines.netvlad import NetVlad

from tests.support import golden
from tests.support.alan import mask_of, random, shake
from tests.support.reference import expert_mixtures as reference
from tests.support.reference.alan_video import numpy_state
from varkit.errors import VarkitError

LENGTHS = (4, 1, 6)


def small(clusters=3, **options):
    torch.manual_seed(0)
    module = shake(NetVlad(5, clusters, **options)).double()
    with torch.no_grad():  # as if it had been trained
        module.norm.running_mean += torch.linspace(-1, 1, len(module.norm.running_mean))
        module.norm.running_var *= 1.7
    return module


def vectors(garbage=0.0, extra=0):
    x = torch.nn.functional.pad(random(3, max(LENGTHS), 5, seed=1), (0, 0, 0, extra))
    mask = mask_of(*LENGTHS, extra=extra)
    return x.masked_fill(~mask.unsqueeze(-1), garbage), mask


def sets_of(x, mask):
    return [row[real].numpy() for row, real in zip(x, mask, strict=True)]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("options", [{}, {"ghosts": 2}, {"clusters": 1, "ghosts": 1}], ids=str)
def test_pooling_equals_the_reference(options, training):
    module = small(**options).train(training)
    x, mask = vectors(garbage=math.nan, extra=2)
    right = reference.netvlad(sets_of(x, mask), numpy_state(module), "", training=training)
    torch.testing.assert_close(module(x, mask), torch.from_numpy(right), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("training", [False, True])
def test_padding_can_be_pooled_as_the_peers_do(training):
    module = small(ghosts=1, mask_padding=False).train(training)
    x, mask = vectors(extra=2)
    every = torch.ones_like(mask)
    state = numpy_state(module)
    right = reference.netvlad(sets_of(x, every), state, "", training=training)
    torch.testing.assert_close(module(x, mask), torch.from_numpy(right), rtol=1e-9, atol=1e-12)
    masked = reference.netvlad(sets_of(x, mask), state, "", training=training)
    assert abs(right - masked).max() > 0.01


def test_an_empty_set_is_zero_and_gives_no_gradient():
    module = small().eval()
    x, mask = vectors()
    x.requires_grad_()
    mask[1] = False
    found = module(x, mask)
    assert not found[1].any()
    found.sum().backward()
    assert not x.grad[1].any()
    assert x.grad.isfinite().all()
    assert x.grad[0, :4].any()


def test_a_single_vector_cannot_be_trained_on():
    x, mask = vectors()
    with pytest.raises(VarkitError, match="batch of 1"):
        small().train()(x[1:2], mask[1:2])
    assert small().eval()(x[1:2], mask[1:2]).isfinite().all()


def golden_outputs(module):
    x, mask = vectors()
    evaluation, training = module.eval()(x, mask), module.train()(x, mask)
    return {"x": x, "mask": mask, "evaluation": evaluation, "training": training}


def test_values_stay():
    golden.check("netvlad", small(ghosts=1), golden_outputs)
