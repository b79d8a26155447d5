"""Masked phrase modelling against its float64 reference; what it touches and what it must not."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn
from varkit_alan.alignment import Avg, Cls
from varkit_alan.bert import Bert
from varkit_alan.margin_ranking import MarginRanking
from varkit_alan.phrases import find_pipeline
from varkit_alan.tiny_language import write_tiny_language
from varkit_alan.vpmpm import Vpmpm

from tests.reference import alan_text
from varkit.draws import Draws
from varkit.errors import VarkitError
from varkit.model import RetrievalModel, Weighted
from varkit.options import DetectorSettings
from varkit.testing.component import check
from varkit.testing.stand_ins import Words, make_clips
from varkit.types import Batch, Representation

EXPERTS = ("object", "motion")
TEXTS = (
    "a man quickly smashes the window of a parked car",
    "fire",
    "",
    "two people are fighting in the street",
)
RANDOM = {"mask": "random_words"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(write_tiny_language(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def spacy():
    try:
        find_pipeline()
    except VarkitError as error:
        pytest.skip(str(error))


@dataclass
class Case:
    bert: Bert
    task: Vpmpm
    video: Representation
    batch: Batch

    def loss(self):
        return self.task(self.video, self.bert(self.batch.query), self.batch)


@pytest.fixture
def build(tiny):
    def make(dim=12, texts=TEXTS, clips=5, query=None, seed=0, **options):
        torch.manual_seed(0)
        bert = Bert(dim, EXPERTS, model=tiny, gate_norm="layer", **(query or {})).double().eval()
        task = Vpmpm(dim, EXPERTS, bert, **{"heads": 2, **options}).double().eval()
        with torch.no_grad():
            for parameter in task.parameters():
                parameter += 0.3 * torch.randn_like(parameter)
        size = len(texts)
        tokens = {n: torch.randn(size, clips, dim, dtype=torch.float64) for n in EXPERTS}
        masks = {
            n: torch.arange(clips) < torch.tensor([[clips]] + [[3]] * (size - 1)) for n in EXPERTS
        }
        captions = bert.tokenize(texts)
        items = tuple(f"{b}|{text}" for b, text in enumerate(texts))
        batch = Batch(
            make_clips(dict.fromkeys(EXPERTS, 4), [3] * size),
            captions,
            torch.zeros(size),
            torch.arange(size),
            Draws(seed, items),
        )
        return Case(bert, task, Representation(tokens=tokens, masks=masks), batch)

    return make


def reference(case, hidden, seen=EXPERTS):
    captions, states = case.batch.query, case.bert(case.batch.query).tokens["words"]
    masked, words, ids, clips = [], [], [], []
    for b in range(len(captions)):
        real = captions.words[b]
        masked.append(hidden[b][real].nonzero()[:, 0].tolist())
        words.append(states[b][real].detach().numpy())
        ids.append(captions.ids[b][real].tolist())
        clips.append(
            np.concatenate([case.video.tokens[n][b][case.video.masks[n][b]].numpy() for n in seen])
        )
    parameters = {n: x.detach().numpy() for n, x in case.task.state_dict().items()}
    embeddings = (
        parameters["head.weight"]
        if "head.weight" in parameters
        else case.bert.language.word_embeddings.detach().numpy()
    )
    return alan_text.masked_phrase_loss(
        words, ids, clips, masked, parameters, heads=2, embeddings=embeddings
    )


def positions(case, rows):
    hidden = torch.zeros_like(case.batch.query.words)
    for b, chosen in enumerate(rows):
        hidden[b, chosen] = True
    return hidden


@pytest.mark.parametrize("dim", [12, 32], ids=["projected", "same width"])
@pytest.mark.parametrize("head", ["tied", "untied"])
@pytest.mark.parametrize(
    "rows", [[[2, 3], [1], [], [4]], [[], [1], [], []], [[1, 2, 7]] + [[]] * 3]
)
def test_agrees_with_the_reference(build, dim, head, rows):
    case = build(dim=dim, head=head, **RANDOM)
    hidden = positions(case, rows)
    query = case.bert(case.batch.query)
    found = case.task.loss(hidden, EXPERTS, case.video, query, case.batch.query)
    assert found.item() == pytest.approx(reference(case, hidden), rel=1e-10)


def test_nothing_hidden_is_zero_with_a_graph(build):
    case = build(texts=("", " "), **RANDOM)
    loss = case.loss()
    loss.backward()
    assert loss.item() == 0
    assert not any(p.grad is None or p.grad.any() for p in case.task.parameters())


def test_one_noun_and_one_verb_phrase_are_predicted(build, spacy, monkeypatch):
    case = build()
    passes = []
    loss = Vpmpm.loss

    def watched(self, hidden, seen, *rest):
        passes.append((hidden, tuple(seen), loss(self, hidden, seen, *rest)))
        return passes[-1][2]

    monkeypatch.setattr(Vpmpm, "loss", watched)
    total = case.loss()
    (nouns, seen, noun_loss), (verbs, _, verb_loss) = passes
    captions = case.batch.query
    texts = [
        [
            {
                TEXTS[b][int(x[:, 0].min()) : int(x[:, 1].max())]
                for x in [captions.offsets[b][hidden[b]]]
                if len(x)
            }
            for b in range(4)
        ]
        for hidden in (nouns, verbs)
    ]
    assert texts[0][0] < {"a man", "the window", "a parked car"}
    assert texts[0][1:] == [{"fire"}, set(), texts[0][3]]
    assert texts[0][3] < {"two people", "the street"}
    assert texts[1][0] < {"quickly smashes", "parked"}
    assert texts[1][1:] == [set(), set(), {"are fighting"}]
    assert seen == EXPERTS
    assert total.item() == pytest.approx((noun_loss.item() + verb_loss.item()) / 2)
    assert noun_loss.item() == pytest.approx(reference(case, nouns))
    assert verb_loss.item() == pytest.approx(reference(case, verbs))


def test_matched_prompts_show_nouns_the_first_and_verbs_the_last_expert(build, spacy):
    case = build(prompt="matched")
    tokens = {name: x.clone().requires_grad_() for name, x in case.video.tokens.items()}
    case.video = Representation(tokens=tokens, masks=case.video.masks)
    case.loss().backward()
    # Caption 1 has a noun only.
    assert tokens["object"].grad[1].any()
    assert not tokens["motion"].grad[1].any()
    assert tokens["motion"].grad[0].any()


def test_the_choice_follows_the_draws(build, spacy):
    losses = [build(seed=seed).loss().item() for seed in (0, 0, 1, 2, 3)]
    assert losses[0] == losses[1]
    assert len(set(losses)) > 2


def test_words_hide_single_words(build, spacy):
    assert build(mask="words").loss() > 0


@pytest.mark.parametrize("where", ["after", "input"])
def test_padding_changes_nothing(build, where):
    case = build(where=where, **RANDOM)
    alone = build(texts=TEXTS[:2], clips=5, where=where, **RANDOM)
    longer = build(texts=(*TEXTS[:2], ""), clips=5, where=where, **RANDOM)
    tokens = {
        n: torch.cat([x[:2], 9 * torch.ones(2, 4, 12)], 1) for n, x in case.video.tokens.items()
    }
    masks = {n: nn.functional.pad(x[:2], (0, 4)) for n, x in case.video.masks.items()}
    alone.video = Representation(
        tokens={n: x[:2] for n, x in case.video.tokens.items()},
        masks={n: x[:2] for n, x in case.video.masks.items()},
    )
    before = alone.loss()
    alone.video = Representation(tokens=tokens, masks=masks)
    torch.testing.assert_close(alone.loss(), before, rtol=1e-12, atol=0)
    # A caption without words is no part of the mean.
    longer.video = Representation(
        tokens={n: x[:3] for n, x in case.video.tokens.items()},
        masks={n: x[:3] for n, x in case.video.masks.items()},
    )
    torch.testing.assert_close(longer.loss(), before, rtol=1e-12, atol=0)


def test_hidden_words_are_not_seen_if_masked_in_the_input(build):
    case = build(where="input", **RANDOM)
    other = build(
        where="input", texts=("a man quickly smashes the street of a parked car",), **RANDOM
    )
    hidden = positions(case, [[6], [], [], []])
    y, z = (
        c.task._hide(hidden[: len(c.batch.query)], c.bert(c.batch.query), c.batch.query)[0, :12]
        for c in (case, other)
    )
    assert not torch.equal(case.batch.query.ids[0, :12], other.batch.query.ids[0, :12])
    torch.testing.assert_close(y[:12], z)
    assert not hasattr(case.task, "mask_vector")


def test_positions_tell_the_pieces_of_a_phrase_apart(build):
    for positions_, alike in ((False, True), (True, False)):
        case = build(positions=positions_, **RANDOM)
        hidden = positions(case, [[2, 3], [], [], []])
        x = case.task._hide(hidden, case.bert(case.batch.query), case.batch.query)
        assert torch.equal(x[0, 2], x[0, 3]) == alike


def test_its_parameters_are_its_own(build):
    case = build(**RANDOM)
    shared = {id(p) for p in case.bert.parameters()} & {id(p) for p in case.task.parameters()}
    assert not shared
    assert not [name for name in case.task.state_dict() if "language" in name]


@pytest.mark.parametrize("where", ["after", "input"])
@pytest.mark.parametrize("finetune", [True, False])
def test_gradients_reach_the_language_model_only_if_it_is_trained(build, where, finetune):
    case = build(where=where, query={"finetune": finetune}, **RANDOM)
    case.task.train()
    case.loss().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in case.task.parameters())
    gradients = [p.grad for p in case.bert.language.parameters()]
    assert all(g is not None for g in gradients)
    assert bool(gradients) == finetune


def test_one_caption_and_duplicates_are_finite(build):
    for texts in (TEXTS[:1], (TEXTS[0],) * 3):
        case = build(texts=texts, **RANDOM)
        loss = case.loss()
        loss.backward()
        assert torch.isfinite(loss)
        assert all(torch.isfinite(p.grad).all() for p in case.task.parameters())


class Video(nn.Module):
    """Features, chosen by a detector's scores, projected: as ALAN's, without its Transformer."""

    consumes = "clips"

    def __init__(self, dim):
        super().__init__()
        self.detector = Detector()
        self.project = nn.Linear(4, dim)

    def forward(self, clips):
        scores = self.detector(clips.streams["object"], clips.mask)
        picks = scores.topk(2, dim=1).indices
        tokens = {
            name: self.project(x.gather(1, picks[..., None].expand(-1, -1, 4)))
            for name, x in clips.streams.items()
        }
        mean = torch.stack([x.mean(1) for x in tokens.values()], 1)
        masks = {name: torch.ones(x.shape[:2], dtype=torch.bool) for name, x in tokens.items()}
        return Representation({"cls": mean, "avg": mean}, tokens=tokens, masks=masks, scores=scores)


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 1)

    def forward(self, features, mask):
        return self.linear(features)[..., 0].sigmoid() * mask

    def loss(self, scores, mask, label):
        return nn.functional.binary_cross_entropy(scores.mean(1), label)


def compose(case, pretexts):
    return RetrievalModel(
        video=Video(12).double(),
        query=case.bert,
        alignments={"cls": Weighted(Cls(), 0.5), "avg": Weighted(Avg(), 0.5)},
        objective=MarginRanking(),
        pretexts=pretexts,
        detector=DetectorSettings(),
    )


def double_batch(batch):
    streams = {name: x.double() for name, x in batch.video.streams.items()}
    video = make_clips(dict.fromkeys(EXPERTS, 4), [3] * len(batch))
    video = type(video)(streams, video.mask, video.times, video.draws)
    return Batch(video, batch.query, batch.label.double(), batch.group, batch.draws)


def test_no_gradient_of_retrieval_or_masking_reaches_the_detector(build):
    case = build(**RANDOM)
    model = compose(case, {"mpm": Weighted(case.task, 0.01)}).train()
    losses = model(double_batch(case.batch))
    for name in ("align", "mpm"):
        model.zero_grad()
        losses[name].backward(retain_graph=True)
        assert model.video.project.weight.grad.any()
        assert all(p.grad is None for p in model.video.detector.parameters())
    model.zero_grad()
    losses["detector"].backward()
    assert model.video.detector.linear.weight.grad is not None
    assert all(p.grad is None for name, p in model.named_parameters() if "detector" not in name)


def test_without_the_task_there_are_no_decoder_parameters(build):
    case = build(**RANDOM)
    with_task = compose(case, {"mpm": Weighted(case.task, 0.01)})
    without = compose(case, {})
    assert any("decoder" in name for name in with_task.state_dict())
    assert not any("decoder" in name or "pretext" in name for name in without.state_dict())
    search = {n for n in with_task.state_dict() if not n.startswith("pretexts.")}
    assert search == set(without.state_dict())


def test_inference_never_touches_the_task(build):
    case = build(**RANDOM)
    model = compose(case, {"mpm": Weighted(case.task, 0.01)}).eval()

    def forbidden(*_):
        raise AssertionError("the pretext task ran")

    for module in case.task.modules():
        module.register_forward_pre_hook(forbidden)
    batch = double_batch(case.batch)
    video, query = model.video(batch.video), model.query(batch.query)
    assert model.similarity(video, query).shape == (4, 4)
    assert model.factors(query, "query").shape == (4, 2 * 2 * 12)
    with pytest.raises(AssertionError, match="the pretext task ran"):
        model(batch)


def test_options_that_do_not_fit(build):
    with pytest.raises(VarkitError, match="matched needs nouns and verbs"):
        build(prompt="matched", **RANDOM)
    with pytest.raises(VarkitError, match="does not divide"):
        build(heads=5, **RANDOM)
    with pytest.raises(VarkitError, match="Words has no language model"):
        Vpmpm(12, EXPERTS, Words(12, EXPERTS), heads=2, mask="random_words")


def test_inputs_that_do_not_fit(build):
    case = build(**RANDOM)
    query = case.bert(case.batch.query)
    with pytest.raises(VarkitError, match="no tokens named object, motion; it gives none"):
        case.task(Representation(), query, case.batch)
    sounds = Batch(case.batch.video, case.batch.video, *[None] * 2, case.batch.draws)
    with pytest.raises(VarkitError, match="queries are sounds"):
        case.task(case.video, query, sounds)


def test_missing_spacy_is_told_only_if_needed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert Vpmpm.missing(mask="random_words") == []
    (line,) = Vpmpm.missing()
    assert line.startswith("spaCy is not installed; pip install")


@pytest.mark.parametrize(
    "options", [{}, {"where": "input", "head": "untied", "positions": True, "layers": 2}]
)
def test_keeps_the_promises_of_a_pretext(options):
    check("pretext", Vpmpm, options)


@pytest.mark.parametrize("where", ["after", "input"])
def test_mixed_precision_sums_in_fp32(build, where):
    case = build(where=where, **RANDOM)
    exact = case.loss()
    case.task.float()
    case.bert.float()
    tokens = {name: x.float() for name, x in case.video.tokens.items()}
    case.video = Representation(tokens=tokens, masks=case.video.masks)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = case.loss()
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=0.02)
    assert all(torch.isfinite(p.grad).all() for p in case.task.parameters())
