"""Masked phrase modelling against its float64 reference; what it touches and what it must not."""

from dataclasses import dataclass, replace

import pytest
import torch
from varkit_alan.bert import Bert
from varkit_alan.vpmpm import Vpmpm

from tests.support.reference import alan_text
from varkit.blocks.english import find_english
from varkit.errors import VarkitError
from varkit.interfaces import Batch, Draws, Representation
from varkit.testing.component import check
from varkit.testing.probes import pad_tokens, select
from varkit.testing.stand_ins import Words, make_clips

EXPERTS = ("object", "motion")
TEXTS = (
    "a man quickly smashes the window of a parked car",
    "fire",
    "",
    "two people are fighting in the street",
)
RANDOM = {"mask": "random_words"}


@pytest.fixture(scope="module")
def spacy():
    try:
        find_english()
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
    def make(dim=12, texts=TEXTS, query=None, **options):
        torch.manual_seed(0)
        given = {"model": str(tiny), "gate_norm": "layer", **(query or {})}
        bert = Bert(dim, EXPERTS, **given).double().eval()
        task = Vpmpm(dim, EXPERTS, bert, **{"heads": 2, **options}).double().eval()
        with torch.no_grad():
            for parameter in task.parameters():
                parameter += 0.3 * torch.randn_like(parameter)
        size = len(texts)
        tokens = {n: torch.randn(size, 5, dim, dtype=torch.float64) for n in EXPERTS}
        mask = torch.arange(5) < torch.tensor([[5]] + [[3]] * (size - 1))
        masks = dict.fromkeys(EXPERTS, mask)
        captions = bert.tokenize(texts)
        draws = Draws(0, tuple(f"{b}|{text}" for b, text in enumerate(texts)))
        clips = make_clips(dict.fromkeys(EXPERTS, 4), [3] * size)
        batch = Batch(clips, captions, torch.zeros(size), torch.arange(size), draws)
        return Case(bert, task, Representation(tokens=tokens, masks=masks), batch)

    return make


def reference(case, hidden, *, positions=False):
    captions, states = case.batch.query, case.bert(case.batch.query).tokens["words"]
    masked, words, ids, clips = [], [], [], []
    for b, real in enumerate(captions.words):
        masked.append(hidden[b][real].nonzero()[:, 0].tolist())
        words.append(states[b][real].detach().numpy())
        ids.append(captions.ids[b][real].tolist())
        seen = [case.video.tokens[n][b][case.video.masks[n][b]] for n in EXPERTS]
        clips.append(torch.cat(seen).numpy())
    parameters = {n: x.detach().numpy() for n, x in case.task.state_dict().items()}
    tied = case.bert.language.word_embeddings.detach().numpy()
    embeddings = parameters.get("head.weight", tied)
    return alan_text.masked_phrase_loss(
        words, ids, clips, masked, parameters, heads=2, embeddings=embeddings, positions=positions
    )


def positions(case, rows):
    hidden = torch.zeros_like(case.batch.query.words)
    for b, chosen in enumerate(rows):
        hidden[b, chosen] = True
    return hidden


@pytest.mark.parametrize("dim", [12, 32], ids=["projected", "same width"])
@pytest.mark.parametrize("options", [{}, {"head": "untied"}, {"positions": True, "layers": 2}])
@pytest.mark.parametrize(
    "rows", [[[2, 3], [1], [], [4]], [[], [1], [], []], [[1, 2, 7]] + [[]] * 3]
)
def test_agrees_with_the_reference(build, dim, options, rows):
    case = build(dim=dim, **options, **RANDOM)
    hidden = positions(case, rows)
    query = case.bert(case.batch.query)
    found = case.task.loss(hidden, EXPERTS, case.video, query, case.batch.query)
    expected = reference(case, hidden, positions=options.get("positions", False))
    assert found.item() == pytest.approx(expected, rel=1e-7)


def test_a_video_without_a_clip_to_look_at_does_not_count(build):
    case = build(**RANDOM)
    hidden, query = positions(case, [[2, 3], [1], [], [4]]), case.bert(case.batch.query)
    masks = {"object": case.video.masks["object"].clone(), "motion": case.video.masks["motion"]}
    masks["object"][1] = False
    lacking = replace(case.video, masks=masks)

    def loss(hidden, video, seen):
        return case.task.loss(hidden, seen, video, query, case.batch.query)

    rest = positions(case, [[2, 3], [], [], [4]])
    expected = loss(rest, case.video, ("object",))
    torch.testing.assert_close(loss(hidden, lacking, ("object",)), expected)
    assert loss(hidden, lacking, EXPERTS).isfinite()
    assert not torch.equal(loss(hidden, lacking, EXPERTS), expected)


def test_nothing_hidden_is_zero_with_a_graph(build):
    case = build(texts=("", " "), **RANDOM)
    loss = case.loss()
    loss.backward()
    assert loss.item() == 0
    assert not any(p.grad is None or p.grad.any() for p in case.task.parameters())


@pytest.fixture
def passes(monkeypatch):
    """What every pass hides and shows, and its loss."""
    found, loss = [], Vpmpm.loss

    def watched(self, hidden, seen, *rest):
        found.append((hidden, tuple(seen), loss(self, hidden, seen, *rest)))
        return found[-1][2]

    monkeypatch.setattr(Vpmpm, "loss", watched)
    return found


def hidden_texts(case, hidden):
    """Every caption from the first to the last character that is hidden."""
    spans = [x[h] for x, h in zip(case.batch.query.offsets, hidden, strict=True)]
    pairs = zip(case.batch.query.texts, spans, strict=True)
    return [text[int(x.min()) : int(x.max())] if len(x) else "" for text, x in pairs]


def test_one_noun_and_one_verb_phrase_are_predicted(build, spacy, passes):
    case = build()
    total = case.loss()
    (nouns, seen, noun_loss), (verbs, also_seen, verb_loss) = passes
    first, *others, last = hidden_texts(case, nouns)
    assert first in ("a man", "the window", "a parked car")
    assert others == ["fire", ""]
    assert last in ("two people", "the street")
    first, *others = hidden_texts(case, verbs)
    assert first in ("quickly smashes", "parked")
    assert others == ["", "", "are fighting"]
    assert seen == also_seen == EXPERTS
    assert total.item() == pytest.approx((noun_loss.item() + verb_loss.item()) / 2)
    assert noun_loss.item() == pytest.approx(reference(case, nouns))
    assert verb_loss.item() == pytest.approx(reference(case, verbs))


def test_one_noun_and_one_verb_are_predicted(build, spacy, passes):
    case = build(mask="words")
    case.loss()
    (nouns, *_), (verbs, *_) = passes
    first, *others, last = hidden_texts(case, nouns)
    assert first in ("man", "window", "car")
    assert others == ["fire", ""]
    assert last in ("people", "street")
    assert hidden_texts(case, verbs)[1:] == ["", "", "fighting"]


def test_matched_prompts_show_nouns_the_first_and_verbs_the_last_expert(build, spacy):
    case = build(prompt="matched")
    tokens = {name: x.clone().requires_grad_() for name, x in case.video.tokens.items()}
    case.video = Representation(tokens=tokens, masks=case.video.masks)
    case.loss().backward()
    # Caption 1 has a noun only.
    reached = {name: x.grad.flatten(1).any(1).tolist()[:2] for name, x in tokens.items()}
    assert reached == {"object": [True, True], "motion": [True, False]}


def test_each_pass_chooses_by_draws_of_its_own(build, spacy, passes):
    case = build(texts=TEXTS[:1] * 60)
    case.loss()
    nouns, verbs = (hidden_texts(case, hidden) for hidden, *_ in passes)
    assert len(set(zip(nouns, verbs, strict=True))) == 3 * 2
    case.loss()
    case.batch = replace(case.batch, draws=Draws(1, case.batch.draws.items))
    case.loss()
    assert torch.equal(passes[2][0], passes[0][0])
    assert not torch.equal(passes[4][0], passes[0][0])


@pytest.mark.parametrize("where", ["after", "input"])
def test_padding_changes_nothing(build, where):
    case = build(texts=TEXTS[:2], where=where, **RANDOM)
    before, video = case.loss(), case.video
    case.video = pad_tokens(video, 4)
    torch.testing.assert_close(case.loss(), before, rtol=1e-12, atol=0)
    # A caption without words is no part of the mean.
    longer = build(texts=(*TEXTS[:2], ""), where=where, **RANDOM)
    longer.video = select(video, [0, 1, 0])
    torch.testing.assert_close(longer.loss(), before, rtol=1e-12, atol=0)


def test_hidden_words_are_not_seen_if_masked_in_the_input(build):
    text = TEXTS[0].replace("window", "street")
    case, other = (build(where="input", texts=t, **RANDOM) for t in (TEXTS, (text,)))
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
    assert not {*case.bert.parameters()} & {*case.task.parameters()}
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


def test_keeps_the_promises_of_a_pretext():
    options = {"where": "input", "head": "untied", "positions": True, "layers": 2}
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
