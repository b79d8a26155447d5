"""The kit passes what obeys and names what does not: every planted fault is caught by its check."""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.support.ranks import expect_no_thread_of_gloo
from varkit.blocks.pooling import masked_mean
from varkit.data.in_memory import InMemory, hash_questions
from varkit.errors import DataError
from varkit.interfaces import CaptionFacts, Item, Representation, Sequences
from varkit.testing import ConformanceError, MissingError, check
from varkit.testing.alignments import check_alignment
from varkit.testing.datasets import check_dataset
from varkit.testing.detectors import check_detector
from varkit.testing.encoders import check_encoder
from varkit.testing.objectives import check_objective
from varkit.testing.pretexts import check_pretext
from varkit.testing.samplers import check_sampler
from varkit.testing.stand_ins import (
    DIM,
    EXPERTS,
    WIDTHS,
    Cosine,
    Drawn,
    Linear,
    Means,
    Spread,
    Words,
)


def broken(check_kind, component, *args, **kwargs):
    """Return the names of the checks that a component fails, and the message."""
    with pytest.raises(ConformanceError) as caught:
        check_kind(component, *args, **kwargs)
    failed = {result.check for result in caught.value.results if result.fault is not None}
    for name in failed:
        assert name in str(caught.value)
    return failed


def planted(base, **faults):
    """Return a subclass with other attributes; a function gets the base's method first."""

    def method(name):
        def faulty(self, *args, **kwargs):
            return faults[name](getattr(super(cls, self), name, None), *args, **kwargs)

        return faulty

    parts = {name: method(name) if callable(part) else part for name, part in faults.items()}
    cls = type(base.__name__, (base,), parts)
    return cls


def then(change):
    """Return a fault that changes what the honest method returns."""
    return lambda base, *args, **kwargs: change(base(*args, **kwargs))


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
        parts = [p(clips.features(e)) for p, e in zip(self.project, self.experts, strict=True)]
        return [part.masked_fill(~clips.mask[..., None], 0) for part in parts]

    def forward(self, clips):
        mask, parts = clips.mask, self.encode(clips)
        whole = torch.cat([clips.features(e) for e in self.experts], dim=-1)
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


class Softmax(nn.Module):
    """An honest objective."""

    def factored(self, video, query, pairs):
        return self.dense(video @ query.T, pairs)

    def dense(self, similarity, pairs):
        target = torch.arange(len(pairs))
        both = (similarity, similarity.T)
        return sum(F.cross_entropy(side, target) for side in both)


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


def picks_beyond_the_mean(_, scores, mask, draws, training):
    above = scores > scores.mean()
    return above.long().argmax(1, keepdim=True).minimum(mask.sum(1, keepdim=True) - 1)


def draws_from_padding(_, scores, mask, draws, training):
    places = draws.uniform(4) * mask.shape[1]
    return places.long().minimum(mask.sum(1, keepdim=True) - 1).sort(1).values


def draws_from_torch(_, scores, mask, draws, training):
    places = torch.rand(len(mask), 4) * mask.sum(1, keepdim=True)
    return places.long().sort(1).values


def spoils_scores(base, scores, *given, **mode):
    if scores is not None:
        scores.mul_(0.5)
    return base(scores, *given, **mode)


def picks_padding(_, scores, mask, *given, **mode):
    return torch.arange(4).repeat(len(mask), 1)


def picks_fewer_of_the_short(base, scores, mask, *given, **mode):
    return base(scores, mask, *given, **mode)[:, : mask.shape[1]]


@pytest.mark.parametrize(
    ("check_name", "fault"),
    [
        ("picks_are_real_clips", picks_padding),
        ("chance_is_in_draws", draws_from_torch),
        ("chance_is_in_draws", then(lambda picks: picks.clamp(max=np.random.randint(0, 2)))),
        ("picks_ascend", then(lambda picks: picks.flip(1))),
        ("picks_are_positions", then(torch.Tensor.float)),
        ("count_is_fixed", picks_fewer_of_the_short),
        ("videos_are_independent", picks_beyond_the_mean),
        ("padding_changes_nothing", draws_from_padding),
        ("inputs_stay", spoils_scores),
        ("scores_may_be_absent", lambda base, scores, *x, **mode: base(scores * 1, *x, **mode)),
    ],
)
def test_sampler_faults(check_name, fault):
    assert check_name in broken(check_sampler, planted(Spread, __call__=fault)())


def test_all_faults_are_listed_with_what_came_back():
    with pytest.raises(ConformanceError) as caught:
        check_sampler(planted(Spread, __call__=picks_padding)(), subject="sampler picks_padding")
    message = str(caught.value)
    assert message.startswith("sampler picks_padding breaks ")
    assert "has clips 0 to 0, but [1, 2, 3] were picked" in message
    assert "Every pick is a real clip, never padding" in message


def test_a_sampler_that_raises_is_a_finding():
    raises = planted(Spread, __call__=lambda *_, **__: 1 / 0)
    with pytest.raises(ConformanceError, match="raised ZeroDivisionError: division by zero"):
        check_sampler(raises())


# ---------------------------------------------------------------- detectors


class Unused(Linear):
    def __init__(self, channels):
        super().__init__(channels)
        self.idle = nn.Parameter(torch.zeros(1))


def loss_of_nothing(_, scores, mask, label):
    return (scores.mean(1) - label)[~label.isnan()].square().mean()


@pytest.mark.parametrize(
    ("check_name", "method", "fault"),
    [
        ("padding_scores_zero", "forward", lambda base, x, mask: base(x, mask | True)),
        (
            "padding_changes_nothing",
            "forward",
            lambda base, x, mask: base(x + x.mean(1, True), mask),
        ),
        ("videos_are_independent", "forward", lambda base, x, mask: base(x - x.mean(0), mask)),
        ("scores_are_confidences", "forward", then(lambda scores: 4 * scores)),
        ("unknown_labels_do_not_count", "loss", lambda base, *x: base(*x[:2], x[2].nan_to_num())),
        ("loss_is_finite", "loss", loss_of_nothing),
        ("loss_prefers_the_truth", "loss", lambda base, *x: base(*x[:2], 1 - x[2])),
        ("evaluation_has_no_chance", "forward", lambda base, x, mask: base(F.dropout(x), mask)),
        ("gradients_flow", "idle", None),
    ],
)
def test_detector_faults(check_name, method, fault):
    detector = Unused if fault is None else planted(Linear, **{method: fault})
    assert check_name in broken(check_detector, detector(5), width=5)


# ---------------------------------------------------------------- encoders


class HiddenState(Pool):
    def __init__(self):
        super().__init__()
        self.offset = torch.rand(1)

    def encode(self, clips):
        return [part + self.offset for part in super().encode(clips)]


def mutates(base, clips):
    clips.streams["object"].add_(1)
    return base(clips)


def ignores_mask(base, clips):
    return base(replace(clips, mask=torch.ones_like(clips.mask)))


def ignores_absence(base, clips):
    return base(replace(clips, present={}))


def draws_from_torch_for_all(base, clips):
    return replace(base(clips), picks={"noise": torch.randint(0, 1, (len(clips), 1))})


def reads_padded_words(made):
    mean = made.tokens["words"].mean(1, keepdim=True)
    return replace(made, vectors={name: x + mean for name, x in made.vectors.items()})


@pytest.mark.parametrize(
    ("check_name", "base", "fault"),
    [
        ("padding_changes_nothing", Pool, {"encode": ignores_mask}),
        ("absent_streams_change_nothing", Pool, {"encode": ignores_absence}),
        ("items_are_independent", Pool, {"encode": then(lambda xs: [x - x.mean(0) for x in xs])}),
        ("inputs_stay", Pool, {"encode": mutates}),
        ("gradients_flow", Pool, {"encode": then(lambda xs: [xs[0], xs[1].detach()])}),
        ("state_is_complete", HiddenState, {}),
        (
            "one_clip_is_enough",
            Pool,
            {"encode": then(lambda xs: [x / x.std(1, keepdim=True) for x in xs])},
        ),
        (
            "vectors_fit",
            Pool,
            {
                "forward": then(
                    lambda made: replace(made, vectors={"avg": made.vectors["avg"][..., 1:]})
                )
            },
        ),
        ("tokens_have_masks", Pool, {"forward": then(lambda made: replace(made, masks={}))}),
        ("evaluation_has_no_chance", Pool, {"forward": draws_from_torch_for_all}),
        ("says_what_it_reads", Pool, {"consumes": "sounds"}),
        (
            "tokens_point_at_text",
            Words,
            {"tokenize": then(lambda made: replace(made, offsets=made.offsets.flip(-1)))},
        ),
        (
            "caption_facts_add_up",
            Words,
            {"caption_facts": lambda _, texts: CaptionFacts(len(texts), 9, 0, 0, 0)},
        ),
        ("padding_changes_nothing", Words, {"forward": then(reads_padded_words)}),
        (
            "vectors_fit",
            Words,
            {
                "forward": then(
                    lambda made: replace(made, weights={n: 2 * w for n, w in made.weights.items()})
                )
            },
        ),
    ],
)
def test_encoder_faults(check_name, base, fault):
    torch.manual_seed(0)
    faulty = planted(base, **fault)
    assert check_name in broken(check_encoder, faulty(), fresh=faulty())


def zeroes(base, scores, mask, draws, *, training):
    picks = base(scores, mask, draws, training=training)
    if scores is not None:
        scores.zero_()  # the second time this changes nothing any more
    return picks


def zeroes_in_training(base, scores, mask, draws, *, training):
    return zeroes(base, scores if training else None, mask, draws, training=training)


def forgets_unknown_labels(base, scores, mask, label):
    label.nan_to_num_()
    return base(scores, mask, label)


def takes_a_stream_out(base, representation, side):
    made = base(representation, side)
    representation.tokens.popitem()
    return made


def normalises(base, video, query, pairs):
    pairs.uniform.zero_()
    return base(video, query, pairs)


@pytest.mark.parametrize(
    ("check_kind", "component", "given"),
    [
        (check_sampler, planted(Spread, __call__=zeroes), {}),
        (check_sampler, planted(Spread, __call__=zeroes_in_training), {}),
        (check_alignment, planted(Cosine, factors=takes_a_stream_out), {}),
        (check_objective, planted(Softmax, factored=normalises), {}),
    ],
)
def test_a_change_of_the_inputs_is_caught_however_often_it_is_made(check_kind, component, given):
    assert "inputs_stay" in broken(check_kind, component(), **given)


def test_a_label_that_was_unknown_is_an_input_too():
    detector = planted(Linear, loss=forgets_unknown_labels)
    assert "inputs_stay" in broken(check_detector, detector(5), width=5)


def test_an_error_says_where_and_the_first_difference_is_shown_alone():
    def fails(base, *given, **how):
        raise ZeroDivisionError("no clips")

    with pytest.raises(
        ConformanceError, match=r"ZeroDivisionError: no clips at \S+test_kit\.py:\d+"
    ):
        check_sampler(planted(Spread, __call__=fails)())
    random = then(lambda picks: torch.randint_like(picks, 9))
    with pytest.raises(
        ConformanceError, match=r"at \[\d, \d\] \d instead of \d \(\d+ of \d+ differ"
    ):
        check_sampler(planted(Spread, __call__=random)())
    scaled = {"similarity": then(lambda s: s + 0.5)}
    with pytest.raises(
        ConformanceError, match=r"at \[0, 0\] -?0\.\d+ instead of -?0\.\d+ \(15 of 15"
    ):
        check_alignment(planted(Cosine, **scaled)())


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


# ---------------------------------------------------------------- alignments


def half_factors(base, representation, side):
    return None if side == "query" else base(representation, side)


def reads_padded_tokens(_, representation, side):
    return torch.stack([part.mean(1) for part in representation.tokens.values()]).mean(0)


def detaches_videos(base, representation, side):
    made = base(representation, side)
    return made.detach() if side == "video" else made


@pytest.mark.parametrize(
    ("check_name", "fault"),
    [
        ("factors_multiply_to_similarity", {"similarity": then(lambda s: s + 0.1)}),
        (
            "factors_multiply_to_similarity",
            {"factors": half_factors, "similarity": lambda _, *sides: Cosine().similarity(*sides)},
        ),
        ("similarity_is_a_matrix", {"similarity": then(lambda s: s.T)}),
        ("pairs_are_independent", {"similarity": then(lambda s: s.softmax(dim=0))}),
        ("padding_changes_nothing", {"factors": reads_padded_tokens}),
        ("gradients_flow", {"factors": detaches_videos}),
    ],
)
def test_alignment_faults(check_name, fault):
    assert check_name in broken(check_alignment, planted(Cosine, **fault)())


def test_a_name_that_the_kit_does_not_have_gets_those_that_it_has():
    with pytest.raises(ConformanceError) as caught:
        check_alignment(planted(Cosine, factors=lambda _, made, side: made.vectors["max"])())
    faults = {result.fault for result in caught.value.results if result.fault is not None}
    (fault,) = faults
    raised, _, known = fault.partition("; ")
    assert re.fullmatch(r"raised KeyError: 'max' at \S+test_kit\.py:\d+", raised)
    assert known == (
        "the kit's videos have vectors cls, avg and tokens object, motion; "
        "its queries have vectors cls, avg and tokens words, sentence"
    )
    with pytest.raises(ConformanceError, match=r"raised KeyError: 'max'; the kit's videos have"):
        check_pretext(lambda video, query, batch: video.vectors["max"].sum())
    with pytest.raises(ConformanceError, match=r"raised KeyError: 'max' at \S+:\d+(?!;)"):
        check_objective(planted(Softmax, dense=lambda *_: {}["max"])())


# ---------------------------------------------------------------- objectives and pretexts


def factored(video, query, pairs):
    return Softmax().factored(video, query, pairs)


@pytest.mark.filterwarnings("ignore:std")
@pytest.mark.parametrize(
    ("check_name", "method", "fault"),
    [
        ("over_ranks_equals_factored", "over_ranks", lambda _, *given: factored(*given) / 2),
        (
            "over_ranks_equals_factored",
            "over_ranks",
            lambda _, v, q, pairs: factored(v, q.detach() + 0 * q, pairs),
        ),
        ("factored_equals_dense", "factored", then(lambda loss: loss / 2)),
        ("one_pair_is_enough", "dense", lambda base, s, pairs: base(s, pairs) + 0 * s.std()),
        (
            "order_changes_nothing",
            "dense",
            lambda base, s, pairs: base(s * torch.linspace(0, 1, len(pairs)), pairs),
        ),
        ("diagonal_is_positive", "dense", lambda base, s, pairs: base(-s, pairs)),
        ("gradients_flow", "dense", lambda base, s, pairs: base(s, pairs) + s.abs().sqrt().sum()),
    ],
)
def test_objective_faults(check_name, method, fault):
    assert check_name in broken(check_objective, planted(Softmax, **{method: fault})())


def test_an_objective_that_gathers_by_torchs_own_functions_leaves_no_thread(monkeypatch):
    """They keep the group of the moment at which their module is imported."""

    def gathers(_, *given):
        importlib.import_module("torch.distributed.nn.functional")
        return factored(*given)

    monkeypatch.delitem(sys.modules, "torch.distributed.nn.functional", raising=False)
    assert check_objective(planted(Softmax, over_ranks=gathers)())
    expect_no_thread_of_gloo()


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


def no_gradient(base, video, query, batch):
    return base.__self__.head(video.vectors["avg"].detach()).square().mean()


def first_counts(base, video, query, batch):
    return base(video, query, batch) + video.vectors["avg"][0].sum()


def weighs_by_padding(base, video, query, batch):
    return base(video, query, batch) * query.tokens["words"].shape[1]


@pytest.mark.parametrize(
    ("check_name", "fault"),
    [
        ("padding_changes_nothing", weighs_by_padding),
        ("chance_is_in_draws", then(lambda loss: loss * torch.rand(()))),
        ("gradients_flow", no_gradient),
        ("order_changes_nothing", first_counts),
    ],
)
def test_pretext_faults(check_name, fault):
    assert check_name in broken(check_pretext, planted(Agree, forward=fault)())


# ---------------------------------------------------------------- data sets


def any_split(base, name):
    return base("train" if name == "no_such_split" else name)


def shared_videos(items):
    return [replace(item, video=item.video.split("-")[1]) for item in items]


def reading(fault):
    """Return a fault of the readers: what to change of each."""

    def opened(base, video):
        reader = base(video)
        vars(reader).update(fault(reader))
        return reader

    return {"open": opened}


def pieces_of(change):
    def fault(reader):
        read = reader.pieces
        return {"pieces": lambda stream, crop=0: iter([change(*read(stream, crop))])}

    return reading(fault)


def means_of(change):
    def fault(reader):
        read = reader.means
        return {"means": lambda count, crop=0: change(read(99), read(count))}

    return reading(fault)


def spent(reader):
    pieces = reader.pieces("object")
    return {"pieces": lambda stream, crop=0: pieces}


def first_clips(whole, means):
    return replace(means, streams={n: x[: len(means)] for n, x in whole.streams.items()})


def first_times(whole, means):
    return replace(means, times=whole.times[: len(means)])


SOUNDS = {
    "query_kind": "clips",
    "query_widths": {"object": 3},
    "query": lambda _, query: Toy().open(query),
}


@pytest.mark.parametrize(
    ("checks", "fault"),
    [
        ({"splits_are_disjoint"}, {"split": then(shared_videos)}),
        ({"unknown_split_is_refused"}, {"split": any_split}),
        ({"clips_can_be_read"}, {"widths": {"object": 4}}),
        ({"truth_fits_the_clips"}, {"truth": lambda *_: np.zeros(3, dtype=bool)}),
        ({"queries_can_be_read"}, {"query": lambda *_: " "}),
        ({"fingerprint_is_stable"}, {"fingerprint": lambda base: str(id(base.__self__))}),
        ({"clips_can_be_read"}, pieces_of(lambda clips: clips * np.float32(np.nan))),
        ({"clips_can_be_read"}, pieces_of(lambda clips: clips.astype(np.float64))),
        ({"lengths_agree"}, pieces_of(lambda clips: clips[:3])),
        ({"clips_can_be_read"}, reading(lambda reader: {"crops": 0})),
        ({"lengths_agree", "truth_fits_the_clips"}, reading(lambda reader: {"length": 5})),
        ({"lengths_agree"}, reading(lambda reader: {"times": reader.times[::-1]})),
        ({"lengths_agree"}, reading(lambda reader: {"times": reader.times[:3]})),
        ({"means_are_those_of_the_pieces"}, means_of(first_clips)),
        ({"means_are_those_of_the_pieces"}, means_of(lambda whole, means: whole)),
        ({"means_are_those_of_the_pieces"}, means_of(first_times)),
        ({"reading_twice_is_the_same"}, reading(spent)),
        ({"clips_can_be_read"}, SOUNDS | {"query_widths": {"object": 2}}),
        ({"queries_can_be_read"}, SOUNDS | {"query": lambda *_: "a caption"}),
    ],
)
def test_dataset_faults(checks, fault):
    faulty = planted(Toy, **fault)
    assert checks <= broken(check_dataset, faulty(), fresh=faulty())


def test_sounds_are_read_as_videos_are():
    sounds = planted(Toy, **SOUNDS)
    assert check_dataset(sounds(), fresh=sounds())


@pytest.mark.parametrize(("by", "right"), [(-2, False), (-1, True), (1, True), (2, False)])
def test_a_crop_may_be_one_clip_longer_or_shorter_and_no_more(by, right):
    def crop(reader):
        length = reader.length + by
        starts = np.arange(length, dtype=np.float32)
        times = np.stack([starts, starts + 1], 1)
        other = Sequences({"object": np.ones((length, 3), np.float32)}, times)
        return vars(InMemory(reader.means(99), other))

    dataset = planted(Toy, **reading(crop))()
    if right:
        assert check_dataset(dataset)
    else:
        assert broken(check_dataset, dataset) == {"lengths_agree"}


# ---------------------------------------------------------------- by kind and class


class Every:
    """A sampler with an option that has no default."""

    def __init__(self, *, count: int) -> None:
        self.inner = Spread(count=count)

    def __call__(self, scores, mask, draws, *, training):
        return self.inner(scores, mask, draws, training=training)


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


def test_the_kit_builds_from_options_and_leaves_the_global_random_state_alone():
    torch.manual_seed(4)
    before = torch.get_rng_state()
    assert check("sampler", Every, {"count": 3})
    assert torch.equal(before, torch.get_rng_state())
