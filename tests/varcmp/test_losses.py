"""Losses beside the ranking loss: against loops, and where their gradients go."""

import math
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
import torch
from varkit_varcmp.alignment import Hierarchical
from varkit_varcmp.audio import ClipAudio
from varkit_varcmp.distillation import Distillation
from varkit_varcmp.level_losses import LevelLosses
from varkit_varcmp.text import ClipText
from varkit_varcmp.video import ClipVideo

from tests.support.alan import make_clips, shake
from tests.support.varcmp import DIM, KAPPA, LEVELS, SOUND, WIDTHS, expected, of_features, padded
from varkit.errors import VarkitError
from varkit.interfaces import Batch, Draws
from varkit.testing import check
from varkit.testing.probes import pad_clips, select
from varkit.testing.stand_ins import Linear


@dataclass
class Parts:
    """Encoders, an alignment over all levels, and a batch of 4 pairs in float64."""

    video: ClipVideo
    query: ClipText | ClipAudio
    alignment: Hierarchical
    batch: Batch

    def sides(self, batch=None):
        batch = self.batch if batch is None else batch
        return self.video(batch.video), self.query(batch.query)

    def level_losses(self, **options):
        return LevelLosses({"all": self.alignment}, **options)

    def distillation(self, **options):
        return Distillation(self.video, self.query, {"all": self.alignment}, **options)

    def losses(self, batch=None):
        """Return both losses of a batch, encoded alone."""
        batch = self.batch if batch is None else batch
        tasks = (self.level_losses(), self.distillation())
        return [task(*self.sides(batch), batch) for task in tasks]

    def of_features(self, kind):
        return of_features(self.batch.video, self.batch.query, kind)


def make(kind, *, beta=1.5, trained=True, group=(0, 1, 2, 3)):
    torch.manual_seed(0)
    options = {"heads": 2, "window": 4}
    video = ClipVideo(DIM, ("clip",), WIDTHS, Linear, patches="patches", **options)
    if kind == "text":
        query = ClipText(DIM, ("clip",), SOUND)
    else:
        query = ClipAudio(DIM, ("clip",), SOUND, Linear, **options)
    alignment = Hierarchical(levels=LEVELS[kind], kappa=KAPPA, keep=0.5, beta=beta)
    parts = [part.double().eval() for part in (video, query, alignment)]
    if trained:
        parts = [shake(part) for part in parts]
    batch = Batch(
        video=make_clips(widths=WIDTHS, garbage=0.0),
        query=make_clips((6, 3, 17, 4), SOUND, garbage=0.0),
        label=torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64),
        group=torch.tensor(group),
        draws=Draws(0, tuple("abcd")),
    )
    return Parts(*parts, batch)


def detached(representation):
    parts = ("vectors", "weights", "tokens")
    still = {p: {n: x.detach() for n, x in getattr(representation, p).items()} for p in parts}
    scores = None if representation.scores is None else representation.scores.detach()
    return replace(representation, **still, scores=scores)


def changed(batch, change):
    """The batch with ``change`` of every stream of both sides."""
    sides = {}
    for side in ("video", "query"):
        clips = getattr(batch, side)
        sides[side] = replace(clips, streams={n: change(x) for n, x in clips.streams.items()})
    return replace(batch, **sides)


def log_softmax(row):
    total = sum(math.exp(x - max(row)) for x in row)
    return [x - max(row) - math.log(total) for x in row]


def contrastive(similarity, temperature, group=None):
    """Symmetric InfoNCE, a pair and a direction at a time; ``group`` masks identical queries."""
    rows, total = similarity.tolist(), 0.0
    for i in range(len(rows)):
        negatives = [j for j in range(len(rows)) if group is None or group[j] != group[i]]
        for line in (rows[i], [row[i] for row in rows]):
            competing = [line[i], *(line[j] for j in negatives if j != i)]
            total -= log_softmax([x / temperature for x in competing])[0]
    return total / (2 * len(rows))


def divergence(teacher, student, temperature):
    total = 0.0
    for t, s in ((teacher, student), (teacher.T, student.T)):
        for one, other in zip(t.tolist(), s.tolist(), strict=True):
            p = log_softmax([x / temperature for x in one])
            q = log_softmax([x / temperature for x in other])
            total += sum(math.exp(a) * (a - b) for a, b in zip(p, q, strict=True))
    return total / (2 * len(teacher))


@pytest.mark.parametrize("group", [None, (0, 1, 1, 0), (5, 5, 5, 5)])
@pytest.mark.parametrize("kind", LEVELS)
def test_level_losses_agree_with_loops(kind, group):
    parts = make(kind, group=group or (0, 1, 1, 0))
    task = parts.level_losses(temperature=0.2, mask_identical=group is not None)
    video, query = map(detached, parts.sides())
    beta = float(parts.alignment.beta.detach())
    right = sum(
        contrastive(expected(video, query, level, beta=beta, keep=0.5), 0.2, group)
        for level in LEVELS[kind]
    )
    assert task(video, query, parts.batch).item() == pytest.approx(right, rel=0, abs=1e-11)
    assert (right == 0) == (group == (5, 5, 5, 5))


@pytest.mark.parametrize("kind", LEVELS)
def test_distillation_agrees_with_loops(kind):
    parts = make(kind)
    video, query = map(detached, parts.sides())
    beta, gamma = float(parts.alignment.beta.detach()), parts.alignment.gamma.detach().softmax(0)
    adapted = [expected(video, query, level, beta=beta, keep=0.5) for level in LEVELS[kind]]
    student = sum(g * level for g, level in zip(gamma, adapted, strict=True))
    plain = parts.of_features(kind)
    taught = [expected(*plain, level, beta=0, keep=0.5) for level in LEVELS[kind]]
    right = divergence(torch.stack(taught).mean(0), student, 0.2)
    task = parts.distillation(temperature=0.2)
    assert task(video, query, parts.batch).item() == pytest.approx(right, rel=0, abs=1e-11)
    assert right > 0.01


@pytest.mark.parametrize("kind", LEVELS)
def test_levels_by_themselves_are_what_the_similarity_mixes(kind):
    parts = make(kind)
    gamma = parts.alignment.gamma.softmax(0)
    for tile in (1, 2**20):
        parts.alignment.tile = tile
        levels = parts.alignment.by_level(*parts.sides())
        assert tuple(levels) == LEVELS[kind]
        whole = sum(g * level for g, level in zip(gamma, levels.values(), strict=True))
        torch.testing.assert_close(whole, parts.alignment.similarity(*parts.sides()))


@pytest.mark.parametrize("kind", LEVELS)
def test_the_features_as_they_are_need_no_encoder_and_no_training(kind):
    """``zero_shot`` is ``forward`` before the first step, bit for bit, and stays so."""
    new, trained = make(kind, trained=False), make(kind)
    for side, right in zip(("video", "query"), new.of_features(kind), strict=True):
        clips = getattr(new.batch, side)
        forward = getattr(new, side)(clips)
        for parts in (new, trained):
            found = getattr(parts, side).zero_shot(clips)
            assert found.scores is None
            for name in right.tokens:
                assert torch.equal(found.tokens[name], forward.tokens[name])
                assert torch.equal(found.masks[name], right.masks[name])
                real = right.masks[name]
                assert torch.equal(found.tokens[name][real], right.tokens[name][real])
            assert torch.equal(found.vectors["avg"], forward.vectors["avg"])
            assert torch.equal(found.vectors["avg"], right.vectors["avg"])


@pytest.mark.parametrize("kind", LEVELS)
def test_nothing_is_lost_before_the_first_step(kind):
    parts = make(kind, trained=False, beta=0.0)
    loss = parts.distillation()(*parts.sides(), parts.batch)
    assert abs(loss.item()) < 1e-13
    loss.backward()
    for name, parameter in [*parts.video.named_parameters(), *parts.query.named_parameters()]:
        assert parameter.grad is None or parameter.grad.abs().max() < 1e-11, name


@pytest.mark.parametrize("kind", LEVELS)
def test_gradients_reach_all_that_is_trained_but_the_detectors(kind):
    for task in ("level_losses", "distillation"):
        parts = make(kind)
        getattr(parts, task)()(*parts.sides(), parts.batch).backward()
        for side in (parts.video, parts.query):
            for name, parameter in side.named_parameters():
                reached = parameter.grad is not None and bool(parameter.grad.any())
                assert reached == (not name.startswith("detector")), f"{task}: {name}"
        assert parts.alignment.beta.grad != 0
        assert (parts.alignment.gamma.grad is None) == (task == "level_losses")


@pytest.mark.parametrize("kind", LEVELS)
def test_the_teacher_has_no_gradient(kind):
    """Features are read by teacher and student; their gradient is that of a fixed teacher."""
    parts = make(kind)
    frozen = [
        side.zero_shot(clips)
        for side, clips in ((parts.video, parts.batch.video), (parts.query, parts.batch.query))
    ]
    with torch.no_grad():
        fixed = torch.stack(list(parts.alignment.by_level(*frozen).values())).mean(0) / 0.07
    found = []
    for task in (True, False):
        batch = changed(parts.batch, lambda x: x.clone().requires_grad_())
        leaves = [*batch.video.streams.values(), *batch.query.streams.values()]
        sides = parts.sides(batch)
        if task:
            loss = parts.distillation()(*sides, batch)
        else:
            student = parts.alignment.similarity(*sides) / 0.07
            parted = [
                (t.softmax(1) * (t.log_softmax(1) - s.log_softmax(1))).sum(1).mean()
                for t, s in ((fixed, student), (fixed.T, student.T))
            ]
            loss = sum(parted) / 2
        loss.backward()
        found.append([x.grad for x in leaves])
    for one, other in zip(*found, strict=True):
        assert one.any()
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", LEVELS)
def test_padding_changes_nothing(kind):
    parts = make(kind)
    before = parts.losses()
    batch = parts.batch
    wide = replace(batch, video=pad_clips(batch.video, 5), query=pad_clips(batch.query, 3))
    sides = [padded(side, 4) for side in parts.sides()]
    given = [task(*sides, wide) for task in (parts.level_losses(), parts.distillation())]
    for found in (given, parts.losses(wide)):
        torch.testing.assert_close(found, before, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", LEVELS)
def test_one_pair_has_nothing_to_tell_apart(kind):
    parts = make(kind)
    alone = select(parts.batch, [2])
    for loss in parts.losses(alone):
        assert loss.item() == 0
        loss.backward()
    for parameter in parts.video.parameters():
        assert parameter.grad is None or not parameter.grad.any()


@pytest.mark.parametrize("kind", LEVELS)
def test_the_same_query_twice(kind):
    """Masked, a pair whose query another has too is no negative; a distribution needs no mask."""
    parts = make(kind, group=(0, 1, 0, 3))
    rows = [0, 1, 0, 3]
    batch = replace(parts.batch, query=select(parts.batch.query, rows))
    video, query = map(detached, parts.sides(batch))
    masked = parts.level_losses(mask_identical=True)(video, query, batch)
    open_ = parts.level_losses()(video, query, batch)
    assert 0 < masked < open_
    assert parts.distillation()(video, query, batch).isfinite()
    twins = make(kind, trained=False, beta=0.0)
    batch = replace(twins.batch, query=select(twins.batch.query, rows))
    assert abs(float(twins.distillation()(*twins.sides(batch), batch).detach())) < 1e-13


@pytest.mark.parametrize("kind", LEVELS)
def test_half_precision_of_the_encoders_does_not_reach_the_losses(kind):
    parts = make(kind)
    for part in (parts.video, parts.query, parts.alignment):
        part.float()
    batch = changed(parts.batch, torch.Tensor.float)
    sides = [detached(side) for side in parts.sides(batch)]
    for task in (parts.level_losses(), parts.distillation()):
        right = task(*sides, batch)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(task(*sides, batch), right)


def test_what_cannot_be_taught_is_named():
    parts = make("text")
    other = {"avg": SimpleNamespace()}
    with pytest.raises(VarkitError, match=r"level_losses: no alignment is hierarchical.*avg"):
        LevelLosses(other)
    with pytest.raises(VarkitError, match=r"distillation: no alignment is hierarchical.*avg"):
        Distillation(parts.video, parts.query, other)
    with pytest.raises(VarkitError, match="the query encoder Linear has no zero_shot"):
        Distillation(parts.video, Linear(3), {"all": parts.alignment})
    captions = replace(parts.batch, query=object())
    with pytest.raises(VarkitError, match="captions, not features"):
        parts.distillation()(*parts.sides(), captions)


@pytest.mark.parametrize("component", [LevelLosses, Distillation])
def test_keeps_the_promises_of_a_pretext_task(component):
    check("pretext", component, {"temperature": 0.5})
