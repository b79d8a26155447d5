"""The kit passes what obeys and names what does not: every planted fault is caught by its check."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.ranks import expect_no_thread_of_gloo
from varkit.blocks.pooling import masked_mean
from varkit.data.plain import InMemory, hash_questions
from varkit.errors import DataError
from varkit.interfaces import Item, Representation, Sequences
from varkit.testing import ConformanceError, MissingError, check
from varkit.testing.alignments import check_alignment
from varkit.testing.datasets import check_dataset
from varkit.testing.detectors import check_detector
from varkit.testing.encoders import check_encoder
from varkit.testing.objectives import check_objective
from varkit.testing.pretexts import check_pretext
from varkit.testing.samplers import check_sampler
from varkit.testing.stand_ins import DIM, EXPERTS, WIDTHS, Drawn, Linear, Means, Spread, Words


def broken(check_kind, component, *args, **kwargs):
    """Return the names of the checks that a component fails, and the message."""
    with pytest.raises(ConformanceError) as caught:
        check_kind(component, *args, **kwargs)
    failed = {result.check for result in caught.value.results if result.fault is not None}
    for name in failed:
        assert name in str(caught.value)
    return failed


# ---------------------------------------------------------------- what obeys


class Pool(nn.Module):
    """An honest encoder of clips: masked means, and a sampled clip."""

    consumes = "clips"

    def __init__(self, dim=DIM, experts=EXPERTS, widths=WIDTHS, samplers=None, detector=Linear):
        super().__init__()
        self.experts = experts
        self.samplers = samplers or {"drawn": Drawn()}
        self.project = nn.ModuleList(nn.Linear(widths[e], dim) for e in experts)
        self.detector = detector(sum(widths[e] for e in experts))

    def encode(self, clips):
        parts = [p(clips.streams[e]) for p, e in zip(self.project, self.experts, strict=True)]
        return [part.masked_fill(~clips.mask[..., None], 0) for part in parts]

    def forward(self, clips):
        mask, parts = clips.mask, self.encode(clips)
        whole = torch.cat([clips.streams[e] for e in self.experts], dim=-1)
        scores = self.detector(whole.masked_fill(~mask[..., None], 0), mask)
        picks = {
            name: sampler(scores.detach(), mask, clips.draws.named(name), training=self.training)
            for name, sampler in self.samplers.items()
        }
        means = [part.sum(1) / mask.sum(1, keepdim=True) for part in parts]
        return Representation(
            vectors={"avg": torch.stack(means, dim=1)},
            tokens=dict(zip(self.experts, parts, strict=True)),
            masks=dict.fromkeys(self.experts, mask),
            scores=scores,
            picks=picks,
        )


class Cosine:
    """An honest alignment, without expert weights."""

    def factors(self, representation, side):
        return nn.functional.normalize(representation.vectors["avg"].flatten(1), dim=1)

    def similarity(self, video, query):
        return self.factors(video, "video") @ self.factors(query, "query").T


class Softmax(nn.Module):
    """An honest objective."""

    def factored(self, video, query, pairs):
        return self.dense(video @ query.T, pairs)

    def dense(self, similarity, pairs):
        target = torch.arange(len(pairs))
        both = (similarity, similarity.T)
        return sum(nn.functional.cross_entropy(side, target) for side in both)


class Agree(nn.Module):
    """An honest pretext task: guess a query's mean word from the video."""

    def __init__(self, dim=DIM):
        super().__init__()
        self.head = nn.Linear(dim, dim)

    def forward(self, video, query, batch):
        seen = self.head(video.vectors["avg"].mean(1))
        words = query.tokens["words"].masked_fill(~batch.query.words[..., None], 0)
        mean = words.sum(1) / batch.query.words.sum(1, keepdim=True)
        return (seen - mean).square().mean()


class Toy:
    """An honest data set."""

    name, simulated, query_kind = "toy", True, "captions"
    widths, query_widths = {"object": 3}, {}

    def split(self, name):
        if name not in ("train", "test"):
            raise DataError(f"no split {name}")
        return [Item(f"{name}-{k}", (f"{name}-{k}-q",), k) for k in range(2)]

    def open(self, video):
        streams = {"object": np.arange(12, dtype=np.float32).reshape(4, 3)}
        starts = np.arange(4, dtype=np.float32)
        return InMemory(Sequences(streams, np.stack([starts, starts + 1], 1)))

    def query(self, query):
        return f"a caption of {query}"

    def truth(self, video):
        return np.zeros(4, dtype=bool)

    def fingerprint(self):
        return "1"

    def questions(self):
        return hash_questions(self)


def test_honest_components_pass():
    torch.manual_seed(0)
    for sampler in (Spread(), Drawn(count=40), Spread(count=1)):
        assert check_sampler(sampler)
    assert check_detector(Linear(5), width=5, fresh=Linear(5))
    assert check_encoder(Words(), fresh=Words())
    assert check_encoder(Pool(), fresh=Pool())
    assert check_alignment(Cosine())
    assert check_objective(Softmax())
    assert check_pretext(Agree(), fresh=Agree())
    assert check_dataset(Toy(), fresh=Toy())


def test_results_name_check_and_promise():
    results = check_sampler(Spread())
    assert len(results) == len({result.check for result in results}) >= 8
    assert "picks_ascend: The picks of a video ascend" in map(str, results)


# ---------------------------------------------------------------- samplers


class PicksPadding(Spread):
    def __call__(self, scores, mask, draws, *, training):
        return torch.arange(self.count).repeat(len(mask), 1)


class UsesGlobal(Spread):
    def __call__(self, scores, mask, draws, *, training):
        places = torch.rand(len(mask), self.count) * mask.sum(1, keepdim=True)
        return places.long().sort(1).values


class UsesNumpy(Spread):
    def __call__(self, scores, mask, draws, *, training):
        first = np.random.randint(0, 2)
        return super().__call__(scores, mask, draws, training=training).clamp(max=first)


class Unsorted(Spread):
    def __call__(self, scores, mask, draws, *, training):
        return super().__call__(scores, mask, draws, training=training).flip(1)


class WrongType(Spread):
    def __call__(self, scores, mask, draws, *, training):
        return super().__call__(scores, mask, draws, training=training).float()


class FewerForShort(Spread):
    def __call__(self, scores, mask, draws, *, training):
        picks = super().__call__(scores, mask, draws, training=training)
        return picks[:, : mask.shape[1]]


class LooksAtNeighbours(Spread):
    def __call__(self, scores, mask, draws, *, training):
        above = scores > scores.mean()
        return above.long().argmax(1, keepdim=True).minimum(mask.sum(1, keepdim=True) - 1)


class CountsPadding(Spread):
    def __call__(self, scores, mask, draws, *, training):
        places = draws.uniform(self.count) * mask.shape[1]
        return places.long().minimum(mask.sum(1, keepdim=True) - 1).sort(1).values


class Spoils(Spread):
    def __call__(self, scores, mask, draws, *, training):
        if scores is not None:
            scores.mul_(0.5)
        return super().__call__(scores, mask, draws, training=training)


class NeedsScores(Spread):
    def __call__(self, scores, mask, draws, *, training):
        return super().__call__(scores * 1, mask, draws, training=training)


@pytest.mark.parametrize(
    ("fault", "check_name"),
    [
        (PicksPadding, "picks_are_real_clips"),
        (UsesGlobal, "chance_is_in_draws"),
        (UsesNumpy, "chance_is_in_draws"),
        (Unsorted, "picks_ascend"),
        (WrongType, "picks_are_positions"),
        (FewerForShort, "count_is_fixed"),
        (LooksAtNeighbours, "videos_are_independent"),
        (CountsPadding, "padding_changes_nothing"),
        (Spoils, "inputs_stay"),
        (NeedsScores, "scores_may_be_absent"),
    ],
)
def test_sampler_faults(fault, check_name):
    assert check_name in broken(check_sampler, fault())


def test_all_faults_are_listed_with_what_came_back():
    with pytest.raises(ConformanceError) as caught:
        check_sampler(PicksPadding(), subject="sampler picks_padding")
    message = str(caught.value)
    assert message.startswith("sampler picks_padding breaks ")
    assert "has clips 0 to 0, but [1, 2, 3] were picked" in message
    assert "Every pick is a real clip, never padding" in message


def test_a_sampler_that_raises_is_a_finding():
    class Raises(Spread):
        def __call__(self, scores, mask, draws, *, training):
            raise RuntimeError("boom")

    with pytest.raises(ConformanceError, match="raised RuntimeError: boom"):
        check_sampler(Raises())


# ---------------------------------------------------------------- detectors


class LeaksIntoPadding(Linear):
    def forward(self, features, mask):
        return self.project(features).squeeze(-1).sigmoid()


class Blurs(Linear):
    def forward(self, features, mask):
        return super().forward(features + features.mean(1, keepdim=True), mask)


class BatchMean(Linear):
    def forward(self, features, mask):
        return super().forward(features - features.mean(0, keepdim=True), mask)


class Unbounded(Linear):
    def forward(self, features, mask):
        return self.project(features).squeeze(-1) * mask


class CountsUnknown(Linear):
    def loss(self, scores, mask, label):
        return super().loss(scores, mask, label.nan_to_num())


class NanWhenUnknown(Linear):
    def loss(self, scores, mask, label):
        known = ~label.isnan()
        return (scores.mean(1) - label)[known].square().mean()


class Upside(Linear):
    def loss(self, scores, mask, label):
        return super().loss(scores, mask, 1 - label)


class DropsInEvaluation(Linear):
    def forward(self, features, mask):
        return super().forward(nn.functional.dropout(features, 0.5, training=True), mask)


class Unused(Linear):
    def __init__(self, channels):
        super().__init__(channels)
        self.idle = nn.Parameter(torch.zeros(1))


@pytest.mark.parametrize(
    ("fault", "check_name"),
    [
        (LeaksIntoPadding, "padding_scores_zero"),
        (Blurs, "padding_changes_nothing"),
        (BatchMean, "videos_are_independent"),
        (Unbounded, "scores_are_confidences"),
        (CountsUnknown, "unknown_labels_do_not_count"),
        (NanWhenUnknown, "loss_is_finite"),
        (Upside, "loss_prefers_the_truth"),
        (DropsInEvaluation, "evaluation_has_no_chance"),
        (Unused, "gradients_flow"),
    ],
)
def test_detector_faults(fault, check_name):
    assert check_name in broken(check_detector, fault(5), width=5)


# ---------------------------------------------------------------- encoders


class IgnoresMask(Pool):
    def encode(self, clips):
        return [p(clips.streams[e]) for p, e in zip(self.project, self.experts, strict=True)]


class Centred(Pool):
    def encode(self, clips):
        return [part - part.mean(0, keepdim=True) for part in super().encode(clips)]


class Mutates(Pool):
    def encode(self, clips):
        clips.streams["object"].add_(1)
        return super().encode(clips)


class HalfTrained(Pool):
    def encode(self, clips):
        first, second = super().encode(clips)
        return [first, second.detach()]


class HiddenState(Pool):
    def __init__(self):
        super().__init__()
        self.offset = torch.rand(1)

    def encode(self, clips):
        return [part + self.offset for part in super().encode(clips)]


class NanForOne(Pool):
    def encode(self, clips):
        deviations = [part.std(1, keepdim=True) for part in super().encode(clips)]
        return [p / d for p, d in zip(super().encode(clips), deviations, strict=True)]


class WrongWidth(Pool):
    def forward(self, clips):
        found = super().forward(clips)
        return replace(found, vectors={"avg": found.vectors["avg"][..., 1:]})


class NoMasks(Pool):
    def forward(self, clips):
        return replace(super().forward(clips), masks={})


class SharedDraw(Pool):
    def forward(self, clips):
        found = super().forward(clips)
        return replace(found, picks={"noise": torch.randint(0, 1, (len(clips), 1))})


class Mute(Pool):
    consumes = "sounds"


@pytest.mark.parametrize(
    ("fault", "check_name"),
    [
        (IgnoresMask, "padding_changes_nothing"),
        (Centred, "items_are_independent"),
        (Mutates, "inputs_stay"),
        (HalfTrained, "gradients_flow"),
        (HiddenState, "state_is_complete"),
        (NanForOne, "one_clip_is_enough"),
        (WrongWidth, "vectors_fit"),
        (NoMasks, "tokens_have_masks"),
        (SharedDraw, "evaluation_has_no_chance"),
        (Mute, "says_what_it_reads"),
    ],
)
def test_encoder_faults(fault, check_name):
    torch.manual_seed(0)
    assert check_name in broken(check_encoder, fault(), fresh=fault())


def test_batch_norm_in_evaluation_is_allowed():
    class Normed(Pool):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(DIM)

        def encode(self, clips):
            parts = [self.norm(part.transpose(1, 2)) for part in super().encode(clips)]
            mask = clips.mask[..., None]
            return [part.transpose(1, 2).masked_fill(~mask, 0) for part in parts]

    torch.manual_seed(0)
    check_encoder(Normed(), fresh=Normed())


class SwapsOffsets(Words):
    def tokenize(self, texts):
        found = super().tokenize(texts)
        return replace(found, offsets=found.offsets.flip(-1))


class ReadsPaddedWords(Words):
    def forward(self, inputs):
        found = super().forward(inputs)
        mean = found.tokens["words"].mean(1, keepdim=True)
        return replace(found, vectors={n: v + mean for n, v in found.vectors.items()})


class NoSum(Words):
    def forward(self, inputs):
        found = super().forward(inputs)
        return replace(found, weights={n: 2 * w for n, w in found.weights.items()})


@pytest.mark.parametrize(
    ("fault", "check_name"),
    [
        (SwapsOffsets, "tokens_point_at_text"),
        (ReadsPaddedWords, "padding_changes_nothing"),
        (NoSum, "vectors_fit"),
    ],
)
def test_text_encoder_faults(fault, check_name):
    assert check_name in broken(check_encoder, fault())


# ---------------------------------------------------------------- alignments


class WrongFactors(Cosine):
    def similarity(self, video, query):
        return super().similarity(video, query) + 0.1


class HalfFactors(Cosine):
    def factors(self, representation, side):
        return None if side == "query" else super().factors(representation, side)

    def similarity(self, video, query):
        return super().factors(video, "video") @ super().factors(query, "query").T


class Transposed(Cosine):
    def similarity(self, video, query):
        return super().similarity(video, query).T


class Standardised(Cosine):
    def similarity(self, video, query):
        return super().similarity(video, query).softmax(dim=0)


class ReadsPaddedTokens(Cosine):
    def factors(self, representation, side):
        means = [part.mean(1) for part in representation.tokens.values()]
        return torch.stack(means).mean(0)


class Detached(Cosine):
    def factors(self, representation, side):
        found = super().factors(representation, side)
        return found.detach() if side == "video" else found


@pytest.mark.parametrize(
    ("fault", "check_name"),
    [
        (WrongFactors, "factors_multiply_to_similarity"),
        (HalfFactors, "factors_multiply_to_similarity"),
        (Transposed, "similarity_is_a_matrix"),
        (Standardised, "pairs_are_independent"),
        (ReadsPaddedTokens, "padding_changes_nothing"),
        (Detached, "gradients_flow"),
    ],
)
def test_alignment_faults(fault, check_name):
    assert check_name in broken(check_alignment, fault())


class Maxima(Cosine):
    """Obeys, but for the name of its vectors."""

    def __init__(self, vectors="max"):
        self.vectors = vectors

    def factors(self, representation, side):
        return nn.functional.normalize(representation.vectors[self.vectors].flatten(1), dim=1)


def test_a_name_that_the_kit_does_not_have_gets_those_that_it_has():
    with pytest.raises(ConformanceError) as caught:
        check_alignment(Maxima())
    faults = {result.fault for result in caught.value.results if result.fault is not None}
    assert faults == {
        "raised KeyError: 'max'; the kit's videos have vectors cls, avg and tokens object, motion; "
        "its queries have vectors cls, avg and tokens words, sentence"
    }
    assert check_alignment(Maxima("avg"))
    with pytest.raises(ConformanceError, match=r"raised KeyError: 'max'; the kit's videos have"):
        check_pretext(NoSuchVectors())
    with pytest.raises(ConformanceError, match=r"raised KeyError: 'max'(?!;)"):
        check_objective(NoSuchKey())


class NoSuchVectors(nn.Module):
    def forward(self, video, query, batch):
        return video.vectors["max"].sum()


class NoSuchKey(Softmax):
    def dense(self, similarity, pairs):
        return {}["max"]


# ---------------------------------------------------------------- objectives and pretexts


class HalfFactored(Softmax):
    def factored(self, video, query, pairs):
        return super().factored(video, query, pairs) / 2


class NanAlone(Softmax):
    def dense(self, similarity, pairs):
        return super().dense(similarity, pairs) + 0 * similarity.std()


class Positional(Softmax):
    def dense(self, similarity, pairs):
        place = torch.linspace(0, 1, len(pairs))
        return super().dense(similarity * place, pairs)


class Backwards(Softmax):
    def dense(self, similarity, pairs):
        return super().dense(-similarity, pairs)


class SquareRoot(Softmax):
    def dense(self, similarity, pairs):
        return super().dense(similarity, pairs) + similarity.abs().sqrt().sum()


class HalfOverRanks(Softmax):
    def over_ranks(self, video, query, pairs):
        return self.factored(video, query, pairs) / 2


class OneSideOverRanks(Softmax):
    def over_ranks(self, video, query, pairs):
        return self.factored(video, query.detach() + 0 * query, pairs)


@pytest.mark.filterwarnings("ignore:std")
@pytest.mark.parametrize(
    ("fault", "check_name"),
    [
        (HalfOverRanks, "over_ranks_equals_factored"),
        (OneSideOverRanks, "over_ranks_equals_factored"),
        (HalfFactored, "factored_equals_dense"),
        (NanAlone, "one_pair_is_enough"),
        (Positional, "order_changes_nothing"),
        (Backwards, "diagonal_is_positive"),
        (SquareRoot, "gradients_flow"),
    ],
)
def test_objective_faults(fault, check_name):
    assert check_name in broken(check_objective, fault())


class Gathers(Softmax):
    def over_ranks(self, video, query, pairs):
        importlib.import_module("torch.distributed.nn.functional")
        return super().factored(video, query, pairs)


def test_an_objective_that_gathers_by_torchs_own_functions_leaves_no_thread(monkeypatch):
    """They keep the group of the moment at which their module is imported."""
    monkeypatch.delitem(sys.modules, "torch.distributed.nn.functional", raising=False)
    assert check_objective(Gathers())
    expect_no_thread_of_gloo()


class Weighted(Agree):
    def forward(self, video, query, batch):
        return super().forward(video, query, batch) * query.tokens["words"].shape[1]


class GlobalMask(Agree):
    def forward(self, video, query, batch):
        return super().forward(video, query, batch) * torch.rand(())


class NoGradient(Agree):
    def forward(self, video, query, batch):
        return self.head(video.vectors["avg"].detach()).square().mean()


class FirstCounts(Agree):
    def forward(self, video, query, batch):
        return super().forward(video, query, batch) + video.vectors["avg"][0].sum()


class Supplied:
    """An honest pretext task that encodes both sides again with what the build supplies."""

    def __init__(self, video_encoder, query_encoder, alignments):
        self.video, self.query, self.alignments = video_encoder, query_encoder, alignments

    def __call__(self, video, query, batch):
        again = self.video(batch.video), self.query(batch.query)
        given = (again[0], query), (video, again[1])
        scores = [a.similarity(*sides) for a in self.alignments.values() for sides in given]
        return torch.stack(scores).square().mean()


def test_a_pretext_task_is_supplied_with_encoders_and_alignments():
    assert check("pretext", Supplied)


def test_a_pretext_task_is_checked_on_sounds_where_the_queries_are_no_captions():
    def heard(video, query, batch):
        sound = masked_mean(batch.query.streams["audio"], batch.query.mask).sum(1)
        return (query.vectors["avg"].sum((1, 2)) - sound).square().mean()

    def heard_with_padding(video, query, batch):
        return heard(video, query, batch) + batch.query.streams["audio"].mean()

    sounds = Means(DIM, ("audio",), {"audio": 16})
    assert check_pretext(heard, query_encoder=sounds)
    faults = broken(check_pretext, heard_with_padding, query_encoder=sounds)
    assert faults == {"padding_changes_nothing"}


@pytest.mark.parametrize(
    ("fault", "check_name"),
    [
        (Weighted, "padding_changes_nothing"),
        (GlobalMask, "chance_is_in_draws"),
        (NoGradient, "gradients_flow"),
        (FirstCounts, "order_changes_nothing"),
    ],
)
def test_pretext_faults(fault, check_name):
    assert check_name in broken(check_pretext, fault())


# ---------------------------------------------------------------- data sets


class Leaky(Toy):
    def split(self, name):
        return [replace(item, video=item.video.split("-")[1]) for item in super().split(name)]


class AnySplit(Toy):
    def split(self, name):
        return super().split("train" if name == "no_such_split" else name)


class Wide(Toy):
    widths: ClassVar = {"object": 4}


class Broken(Toy):
    """A data set with a fault in its readers."""

    def __init__(self, fault):
        self.fault = fault

    def open(self, video):
        reader = super().open(video)
        vars(reader).update(self.fault(reader))
        return reader


def pieces_of(change):
    def fault(reader):
        read = reader.pieces
        return {"pieces": lambda stream, crop=0: iter([change(*read(stream, crop))])}

    return fault


def means_of(change):
    def fault(reader):
        read = reader.means
        return {"means": lambda count, crop=0: change(read(99), read(count))}

    return fault


def spent(reader):
    pieces = reader.pieces("object")
    return {"pieces": lambda stream, crop=0: pieces}


def first_clips(whole, means):
    return replace(means, streams={n: x[: len(means)] for n, x in whole.streams.items()})


class ShortTruth(Toy):
    def truth(self, video):
        return np.zeros(3, dtype=bool)


class EmptyCaption(Toy):
    def query(self, query):
        return " "


class Restless(Toy):
    def fingerprint(self):
        return str(id(self))


@pytest.mark.parametrize(
    ("fault", "check_name"),
    [
        (Leaky, "splits_are_disjoint"),
        (AnySplit, "unknown_split_is_refused"),
        (Wide, "clips_can_be_read"),
        (ShortTruth, "truth_fits_the_clips"),
        (EmptyCaption, "queries_can_be_read"),
        (Restless, "fingerprint_is_stable"),
    ],
)
def test_dataset_faults(fault, check_name):
    assert check_name in broken(check_dataset, fault(), fresh=fault())


@pytest.mark.parametrize(
    ("fault", "checks"),
    [
        (pieces_of(lambda clips: clips * np.float32(np.nan)), {"clips_can_be_read"}),
        (pieces_of(lambda clips: clips.astype(np.float64)), {"clips_can_be_read"}),
        (pieces_of(lambda clips: clips[:3]), {"lengths_agree"}),
        (lambda reader: {"crops": 0}, {"clips_can_be_read"}),
        (lambda reader: {"length": 5}, {"lengths_agree", "truth_fits_the_clips"}),
        (lambda reader: {"times": reader.times[::-1]}, {"lengths_agree"}),
        (lambda reader: {"times": reader.times[:3]}, {"lengths_agree"}),
        (means_of(first_clips), {"means_are_those_of_the_pieces"}),
        (means_of(lambda whole, means: whole), {"means_are_those_of_the_pieces"}),
        (
            means_of(lambda whole, means: replace(means, times=whole.times[: len(means)])),
            {"means_are_those_of_the_pieces"},
        ),
        (spent, {"reading_twice_is_the_same"}),
    ],
)
def test_faults_of_a_video_reader(fault, checks):
    assert checks <= broken(check_dataset, Broken(fault))


@pytest.mark.parametrize(("by", "right"), [(-2, False), (-1, True), (1, True), (2, False)])
def test_a_crop_may_be_one_clip_longer_or_shorter_and_no_more(by, right):
    def crop(reader):
        length = reader.length + by
        starts = np.arange(length, dtype=np.float32)
        times = np.stack([starts, starts + 1], 1)
        other = Sequences({"object": np.ones((length, 3), np.float32)}, times)
        return vars(InMemory(reader.means(99), other))

    if right:
        assert check_dataset(Broken(crop))
    else:
        assert broken(check_dataset, Broken(crop)) == {"lengths_agree"}


def test_sounds_are_read_as_videos_are():
    class Sounds(Toy):
        query_kind, query_widths = "clips", {"object": 3}

        def query(self, query):
            return self.open(query)

    class Deaf(Sounds):
        query_widths = {"object": 2}  # noqa: RUF012

    class Captions(Sounds):
        def query(self, query):
            return "a caption"

    assert check_dataset(Sounds(), fresh=Sounds())
    assert "clips_can_be_read" in broken(check_dataset, Deaf())
    assert "queries_can_be_read" in broken(check_dataset, Captions())


# ---------------------------------------------------------------- by kind and class


class Every:
    """A sampler with an option that has no default."""

    def __init__(self, *, count: int) -> None:
        self.inner = Spread(count=count)

    def __call__(self, scores, mask, draws, *, training):
        return self.inner(scores, mask, draws, training=training)


def test_check_builds_from_options():
    assert check("sampler", Every, {"count": 3})


def test_what_cannot_be_built_is_a_finding():
    with pytest.raises(ConformanceError, match=r"can_be_built(.|\n)*count"):
        check("sampler", Every)


def test_example_gives_options_and_supplies(tmp_path):
    seen = {}

    class Exemplary(Every):
        @staticmethod
        def example(folder):
            seen["empty"] = not any(folder.iterdir())
            return {"count": 2}

    assert check("sampler", Exemplary)
    assert seen == {"empty": True}


def test_missing_is_said_not_judged():
    class Absent(Every):
        @staticmethod
        def missing(**options):
            return [f"a file for count {options['count']}: download it"]

    with pytest.raises(MissingError, match="a file for count 2: download it"):
        check("sampler", Absent, {"count": 2})


def test_the_kit_leaves_the_global_random_state_alone():
    torch.manual_seed(4)
    before = torch.get_rng_state()
    check("sampler", Every, {"count": 3})
    assert torch.equal(before, torch.get_rng_state())
