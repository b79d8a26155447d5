"""HL-Net's graphs, encoder and heads against loops, and what padding must not do."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from varkit_baselines.hl_net import HlNet, distance_graph, score_graph, similarity_graph
from varkit_baselines.hl_net_detection import OfflineHead, OnlineHead

from tests.support import golden
from tests.support.alan import (
    LENGTHS,
    WIDTHS,
    expect_padding_and_batch_to_change_nothing,
    make_clips,
    mask_of,
    random,
    shake,
)
from tests.support.reference import xml_hl_net as reference
from tests.support.reference.alan_video import numpy_state
from varkit.blocks.segments import segment_means, spread
from varkit.data.collate import segment_means as means_of_one
from varkit.errors import VarkitError
from varkit.interfaces import Batch, Draws, Representation
from varkit.testing import check

EXPERTS = ("joint",)


def small(experts=EXPERTS, widths=WIDTHS, detector=OnlineHead, **options):
    torch.manual_seed(0)
    options = {"segments": 8, "stem": (6, 5), "branch": 3, "dropout": 0.0, **options}
    return shake(HlNet(4, experts, widths, detector, **options)).double().eval()


def similar_clips(**options):
    """Clips of which some pairs, and not all, have a cosine above 0.7."""
    clips = make_clips(**options)
    wave = (torch.arange(clips.mask.shape[1]).double() / 4).sin()[None, :, None]
    streams = {
        name: torch.where(clips.mask.unsqueeze(-1), 0.4 * x + wave + 0.5, x)
        for name, x in clips.streams.items()
    }
    return replace(clips, streams=streams)


def slow(clips, b, state, **options):
    """Vectors and scores of video b by the reference."""
    parts = [clips.streams[name][b, : LENGTHS[b]].numpy() for name in WIDTHS]
    fixed = {"segments": 8, "threshold": 0.7, "sparse": False, "pooling": "mean", "experts": 1}
    return reference.hl_net(np.concatenate(parts, axis=1), state, **{**fixed, **options})


@pytest.mark.parametrize("pooling", ["mean", "score"])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("experts", [EXPERTS, ("object", "motion")])
def test_videos_follow_the_definition(pooling, sparse, normalize, experts):
    model = small(experts, pooling=pooling, sparse=sparse, normalize_distance=normalize)
    clips = similar_clips()
    found, state = model(clips), numpy_state(model)
    options = {"sparse": sparse, "normalize": normalize, "pooling": pooling}
    for b, length in enumerate(LENGTHS):
        vectors, scores = slow(clips, b, state, **options, experts=len(experts))
        torch.testing.assert_close(found.vectors["avg"][b], torch.from_numpy(vectors))
        count = min(length, 8)
        edges = [i * length // count for i in range(count + 1)]
        of_clips = np.repeat(scores, np.diff(edges))
        torch.testing.assert_close(found.scores[b, :length], torch.from_numpy(of_clips))
        assert not found.scores[b, length:].any()
        assert found.masks[experts[0]][b].sum() == count


@pytest.mark.parametrize("normalize", [False, True])
def test_padding_counts_as_in_the_code_where_that_is_asked(normalize):
    model = small(normalize_distance=normalize, mask_padding=False)
    clips = similar_clips(garbage=math.nan)
    found, state = model(clips), numpy_state(model)
    longest = min(max(LENGTHS), 8)
    for b, length in enumerate(LENGTHS):
        padding = longest - min(length, 8)
        vectors, _ = slow(clips, b, state, normalize=normalize, padding=padding)
        torch.testing.assert_close(found.vectors["avg"][b], torch.from_numpy(vectors))
    masked = small(normalize_distance=normalize)(clips)
    assert not torch.allclose(masked.vectors["avg"], found.vectors["avg"])


def test_the_dense_graph_keeps_edges_that_were_cut_and_the_sparse_one_does_not():
    x = torch.tensor([[[1.0, 0], [1, 0.1], [0, 1]]])
    dense, sparse = (similarity_graph(x, mask_of(3), 0.7, sparse=s) for s in (False, True))
    assert (dense > 0).all()
    assert (sparse > 0).tolist() == [[[True, True, False]] * 2 + [[False, False, True]]]
    assert dense[0, 2].tolist() == pytest.approx([1 / (2 + math.e)] * 2 + [math.e / (2 + math.e)])
    assert sparse.sum(-1).allclose(torch.ones(1, 3))


@pytest.mark.parametrize("sparse", [False, True])
def test_a_clip_of_zeros_keeps_itself(sparse):
    graph = similarity_graph(torch.zeros(1, 2, 3), torch.tensor([[True, True]]), 0.7, sparse=sparse)
    assert graph.tolist() == ([[[1, 0], [0, 1]]] if sparse else [[[0.5, 0.5]] * 2])


@pytest.mark.parametrize("normalize", [False, True])
def test_padding_is_no_neighbour_in_any_graph(normalize):
    mask = torch.tensor([[True, True, False]])
    near = distance_graph(mask, normalize=normalize)
    np.testing.assert_allclose(near[0, :2, :2], reference.distance_graph(2, normalize))
    scores = torch.tensor([[0.9, 0.2, 0.0]], dtype=torch.float64)
    alike = score_graph(scores, mask)
    np.testing.assert_allclose(alike[0, :2, :2], reference.score_graph([0.9, 0.2]))
    similar = similarity_graph(torch.ones(1, 3, 2), mask, 0.7, sparse=normalize)
    for graph in (near, alike, similar):
        assert not graph[:, :2, 2].any()


def test_padding_and_batch_change_nothing():
    model = small()
    expect_padding_and_batch_to_change_nothing(
        lambda clips: replace(model(clips), tokens={}), similar_clips
    )


def test_no_graph_is_larger_than_the_segments(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "varkit_baselines.hl_net.distance_graph",
        lambda mask, normalize: (
            seen.append(mask.shape) or distance_graph(mask, normalize=normalize)
        ),
    )
    small()(make_clips((300, 5)))
    assert seen == [(2, 8)]


def test_other_losses_do_not_reach_the_detector():
    model = small(pooling="score")
    model(similar_clips()).vectors["avg"].sum().backward()
    assert all(p.grad is None for p in model.detector.parameters())
    assert model.stem[0].weight.grad.any()


def test_there_must_be_a_detector():
    with pytest.raises(VarkitError, match="no detector"):
        small(detector=None)


@pytest.mark.parametrize("count", [1, 3, 8, 100])
def test_segments_are_those_of_one_item_alone_and_spread_puts_them_back(count):
    clips = make_clips(LENGTHS, {"raw": 3}, garbage=math.nan)
    found, mask = segment_means(clips.streams["raw"], clips.mask, count)
    assert found.shape == (4, min(17, count), 3)
    numbers = torch.arange(found.shape[1]).expand(4, -1).double()
    back = spread(numbers, clips.mask)
    for b, length in enumerate(LENGTHS):
        raw = clips.streams["raw"][b, :length].float().numpy()
        own = means_of_one({"raw": [raw]}, np.zeros((length, 2), np.float32), count)
        size = len(own)
        np.testing.assert_allclose(found[b, :size], own.streams["raw"], rtol=1e-5, atol=1e-6)
        assert not found[b, size:].any()
        assert mask[b].tolist() == [i < size for i in range(found.shape[1])]
        edges = [i * length // size for i in range(size + 1)]
        assert back[b, :length].tolist() == np.repeat(np.arange(size), np.diff(edges)).tolist()
        assert not back[b, length:].any()


# The heads


@pytest.mark.parametrize("length", [1, 3, 5, 40])
def test_the_online_head_follows_the_definition_and_looks_back_only(length):
    torch.manual_seed(0)
    head = shake(OnlineHead(4, hidden=(3, 2))).double()
    x, mask = random(1, length, 4), mask_of(length)
    expected = reference.online(x[0].numpy(), numpy_state(head))
    np.testing.assert_allclose(head(x, mask)[0].detach(), expected)
    same, later = slice(0, length // 2 + 1), x.clone()
    later[0, length // 2 + 1 :] = 9
    assert torch.equal(head(later, mask)[:, same], head(x, mask)[:, same])


def confidences():
    mask = mask_of(40, 1, 15, 16)
    scores = torch.rand(4, 40, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    return scores.masked_fill(~mask, 0), mask


def test_the_loss_of_a_head_follows_the_definition():
    (scores, mask), head = confidences(), OnlineHead(4)
    label = torch.tensor([1.0, 0.0, 1.0, math.nan])
    each = [reference.top_k_loss(scores[b][mask[b]].tolist(), label[b].item()) for b in range(3)]
    assert head.loss(scores, mask, label).item() == pytest.approx(sum(each) / 3)
    assert head.loss(scores, mask, label * math.nan).item() == 0


def test_certain_scores_have_a_finite_loss_and_gradient():
    scores = torch.tensor([[1.0, 0.0], [0.0, 0.0]], requires_grad=True)
    loss = OnlineHead(4).loss(scores, mask_of(2, 2), torch.tensor([0.0, 1.0]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(scores.grad).all()


@pytest.mark.parametrize(("logit", "label"), [(-14.0, 1.0), (14.0, 0.0), (-40.0, 1.0)])
def test_a_head_that_is_certain_and_wrong_still_learns(logit, label):
    """As from the logit itself, where the gradient of -log σ(z) is σ(z) - y, almost 1."""
    z = torch.full((1, 1), logit, requires_grad=True)
    OnlineHead(4).loss(z.sigmoid(), mask_of(1), torch.tensor([label])).backward()
    assert abs(z.grad.item()) == pytest.approx(1, abs=0.05)


def test_the_offline_head_follows_the_definition_and_teaches_the_online_one():
    scores, mask = confidences()
    scores.requires_grad_()
    torch.manual_seed(0)
    head = OfflineHead(4, ("a", "b"), distillation=3.0).double()
    size = mask.sum(1).clamp(max=8).tolist()
    tokens = {name: random(4, 8, 4, seed=seed) for seed, name in enumerate("ab")}
    label = torch.tensor([1.0, 0.0, math.nan, 1.0])
    clips = make_clips((40, 1, 15, 16))
    batch = Batch(clips, clips, label, torch.arange(4), Draws(0, ("a", "b", "c", "d")))
    masks = dict.fromkeys(tokens, mask_of(*size))
    video = Representation(tokens=tokens, masks=masks, scores=scores)
    found = head(video, Representation(), batch)

    weight, bias = head.classify.weight[0].detach(), head.classify.bias.item()
    detected, taught = 0.0, 0.0
    for b in range(4):
        logits = torch.cat([tokens["a"][b], tokens["b"][b]], dim=1)[: size[b]] @ weight + bias
        own = [1 / (1 + math.exp(-z)) for z in logits.tolist()]
        if not math.isnan(label[b]):
            detected += reference.top_k_loss(own, label[b].item()) / 3
        length = int(mask[b].sum())
        edges = [i * length // len(own) for i in range(len(own) + 1)]
        of_clips = np.repeat(own, np.diff(edges))
        z = scores[b, :length].tolist()
        taught -= sum(y * math.log(s) for y, s in zip(of_clips, z, strict=True)) / length / 4
    assert found.item() == pytest.approx(detected + 3 * taught)

    # The teacher learns nothing from the pupil: its gradient is that of its own loss alone.
    gradients = [
        torch.autograd.grad(head(v, Representation(), batch), head.classify.weight)[0]
        for v in (video, replace(video, scores=None))
    ]
    torch.testing.assert_close(*gradients)
    found.backward()
    assert scores.grad[mask].all()
    assert not scores.grad[~mask].any()


def test_options_keep_the_promises():
    options = {"segments": 4, "sparse": True, "normalize_distance": True, "pooling": "score"}
    assert check("encoder", HlNet, options)
    assert check("detector", OnlineHead, {"clips_per_pick": 1, "kernel": 1})
    assert check("pretext", OfflineHead, {"distillation": 0.0})


def golden_outputs(model):
    found = model(similar_clips())
    return {"vectors": found.vectors["avg"], "scores": found.scores}


def test_values_stay():
    golden.check("hl_net", small(), golden_outputs)
