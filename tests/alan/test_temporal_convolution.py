import math

import pytest
import torch
from torch.nn import functional as F
from varkit_alan.temporal_convolution import TemporalConvolution

from tests.support.alan import mask_of, random, shake
from tests.support.reference import alan_video as reference
from varkit.errors import VarkitError

LENGTHS = (1, 3, 15, 16, 40)


def small(**options):
    torch.manual_seed(0)
    return shake(TemporalConvolution(3, hidden=(4, 2), **options)).double().eval()


def features_of(lengths=LENGTHS, *, extra=0, garbage=50.0):
    mask = mask_of(*lengths, extra=extra)
    x = F.pad(random(len(lengths), max(lengths), 3), (0, 0, 0, extra))
    return x.masked_fill(~mask.unsqueeze(-1), garbage), mask


def test_confidence_equals_the_reference():
    detector, (x, mask) = small(), features_of()
    scores = detector(x, mask)
    state = reference.numpy_state(detector)
    for row, features, n in zip(scores, x, LENGTHS, strict=True):
        expected = torch.from_numpy(reference.confidence(features[:n].numpy(), state))
        torch.testing.assert_close(row[:n], expected)
        assert (row[n:] == 0).all()


def test_padding_changes_nothing_whatever_it_holds():
    detector = small()
    scores = detector(*features_of())
    padded = detector(*features_of(extra=9, garbage=math.nan))
    torch.testing.assert_close(padded[:, : scores.shape[1]], scores)


def test_the_paper_s_sizes_are_the_default():
    shapes = {name: tuple(p.shape) for name, p in TemporalConvolution(2048).named_parameters()}
    weights = [shape for name, shape in shapes.items() if name.endswith("weight")]
    assert weights == [(128, 2048, 7), (32, 128, 7), (1, 32, 7)]
    assert TemporalConvolution(3).dropout.p == 0.6


def test_dropout_is_for_training_only():
    detector, (x, mask) = small(), features_of()
    assert torch.equal(detector(x, mask), detector(x, mask))
    detector.train()
    assert not torch.equal(detector(x, mask), detector(x, mask))


@pytest.mark.parametrize("plus_one", [False, True])
def test_loss_equals_the_reference(plus_one):
    detector = small(plus_one=plus_one)
    x, mask = features_of((1, 15, 16, 17, 31, 32, 50))
    label = torch.tensor([1.0, 0, 1, 0, 0, 1, 1])
    scores = detector(x, mask)
    pairs = ((row[real].tolist(), y) for row, real, y in zip(scores, mask, label, strict=True))
    expected = sum(reference.topk_bce(row, y, plus_one=plus_one) for row, y in pairs) / 7
    assert detector.loss(scores, mask, label).item() == pytest.approx(expected)


def test_plus_one_never_counts_padding():
    detector = small(plus_one=True, clips_per_pick=1)
    scores = torch.tensor([[0.2, 0.6, 0.0]])
    loss = detector.loss(scores, mask_of(2, extra=1), torch.ones(1))
    assert loss.item() == pytest.approx(-math.log(0.4))


@pytest.mark.parametrize("y", [0.0, 1.0])
@pytest.mark.parametrize("batch", [1, 4])
def test_one_label_or_certain_scores_stay_finite(y, batch):
    detector = small()
    for value in (0.0, 1.0):
        scores = torch.full((batch, 20), value, requires_grad=True)
        loss = detector.loss(scores, mask_of(*[20] * batch), torch.full((batch,), y))
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(scores.grad).all()


def test_unknown_labels_do_not_count():
    detector, (x, mask) = small(), features_of()
    known = torch.tensor([True, False, True, False, True])
    label = torch.tensor([1.0, math.nan, 0.0, math.nan, 1.0])
    loss = detector.loss(detector(x, mask), mask, label)
    only = detector.loss(detector(x, mask)[known], mask[known], label[known])
    torch.testing.assert_close(loss, only)
    detector.loss(detector(x, mask), mask, torch.full((5,), math.nan)).backward()
    assert all(p.grad.abs().sum() == 0 for p in detector.parameters())


def test_only_the_k_most_confident_clips_learn():
    scores = torch.rand(1, 48, generator=torch.Generator().manual_seed(0)).requires_grad_()
    small().loss(scores, mask_of(48), torch.ones(1)).backward()
    assert set(scores.grad[0].nonzero()[:, 0].tolist()) == set(scores[0].topk(3)[1].tolist())


def test_mixed_precision_keeps_confidence_in_full_precision():
    detector, (x, mask) = small().float(), features_of()
    with torch.autocast("cpu", torch.bfloat16):
        scores = detector(x.float(), mask)
        loss = detector.loss(scores, mask, torch.ones(5))
    assert scores.dtype == torch.float32
    assert torch.isfinite(loss)


def test_a_video_of_61000_clips():
    detector, x, mask = small(), random(1, 61_000, 3), mask_of(61_000)
    scores = detector(x, mask)
    part = detector(x[:, 29_900:30_100], mask[:, 29_900:30_100])
    # Three layers of 7 clips see 9 clips to each side.
    torch.testing.assert_close(scores[:, 29_909:30_091], part[:, 9:-9])
    loss = detector.loss(scores, mask, torch.ones(1))
    assert loss.item() == pytest.approx(reference.topk_bce(scores[0].tolist(), 1))


def test_an_even_kernel_is_refused():
    with pytest.raises(VarkitError, match="odd, got 6"):
        TemporalConvolution(3, kernel=6)
