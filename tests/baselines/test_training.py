"""Every baseline through the model: one trap a test, whatever the method."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from varkit_baselines.mmt import MmtSimilarity
from varkit_baselines.t2vlad import T2Vlad
from varkit_baselines.xml import XmlAlignment

from tests.support.alan import make_clips, single, take
from tests.support.baselines import with_missing
from tests.support.methods import ADDITIVE, DIM, EXPERTS, METHODS, make_method
from tests.support.ranks import on_ranks
from tests.support.toys import Toy
from varkit.errors import VarkitError
from varkit.interfaces import Batch, Draws
from varkit.interfaces.settings import EvalOptions, TrainOptions
from varkit.recipe.shipped import shipped_recipes
from varkit.system import distributed
from varkit.system.tensors import load
from varkit.testing.probes import select
from varkit.testing.stand_ins import make_representation
from varkit.training.checkpoint import load_weights
from varkit.training.loop import Trainer

WIDTHS = {"object": 5, "motion": 3}


def make_batch(lengths=(5, 1, 17, 9), widths=WIDTHS):
    video, query = (single(make_clips(lengths, w)) for w in (widths, {"audio": 4}))
    label, group = torch.zeros(len(lengths)), torch.arange(len(lengths))
    return Batch(video, query, label, group, Draws(0, video.draws.items))


def method(name):
    return make_method(name, WIDTHS, {"audio": 4})


@pytest.mark.parametrize("name", METHODS)
def test_mixed_precision_trains_and_is_close(name):
    losses = {}
    for mixed in (False, True):
        model = method(name)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
            losses[mixed] = model(make_batch())["total"]
        losses[mixed].backward()
        for key, parameter in model.named_parameters():
            if parameter.grad is not None:
                assert parameter.grad.isfinite().all(), key
    assert losses[True].dtype == torch.float32
    # 8 bits are a relative 2^-8 a cosine; the scale of InfoNCE makes 14 times as much of it.
    torch.testing.assert_close(losses[True], losses[False], rtol=0.05, atol=0.05)


def test_half_precision_words_are_read_without_autocast():
    """As the model's loss computes a similarity: outside autocast, of what came from within."""
    model = XmlAlignment(DIM, EXPERTS, heads=2, normalize=False).eval()
    video = make_representation("video", 3, dim=DIM, experts=EXPERTS)
    query = make_representation("query", 3, dim=DIM, experts=EXPERTS)
    tokens = {name: x.bfloat16() for name, x in query.tokens.items()}
    found = model.similarity(video, replace(query, tokens=tokens))
    widened = {name: x.float() for name, x in tokens.items()}
    assert torch.equal(found, model.similarity(video, replace(query, tokens=widened)))


@pytest.mark.parametrize("name", METHODS)
def test_missing_experts_and_silence_have_numbers_and_gradients(name):
    model, batch = method(name), make_batch()
    batch = replace(batch, video=with_missing(batch.video))
    batch.query.streams["audio"][0] = 0
    loss = model(batch)["total"]
    loss.backward()
    assert loss.isfinite()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


@pytest.mark.parametrize("name", ADDITIVE)
def test_zero_vectors_are_similar_to_nothing(name):
    alignment = method(name).eval().alignments[name]
    video = make_representation("video", 4, dim=DIM, experts=EXPERTS)
    query = make_representation("query", 3, dim=DIM, experts=EXPERTS)
    for parts in (video.vectors, video.tokens):
        for x in parts.values():
            x[1] = 0
    found = alignment.similarity(video, query)
    assert found.isfinite().all()
    if name != "t2vlad":  # whose clusters are left over even by clips of zeros
        assert not found[1].any()


@pytest.mark.parametrize("name", ADDITIVE)
def test_a_batch_of_one_cannot_train_batch_statistics(name):
    batch = make_batch((5,))
    model = method(name)
    with pytest.raises(VarkitError, match="cannot train on a batch of 1") as caught:
        model.factors(model.query(batch.query), "query")
    assert "train.batch_size to at least 2" in caught.value.hint
    model.eval()
    assert model(batch)["total"].isfinite()


@pytest.mark.parametrize("name", ["x_clip", "xml"])
def test_a_batch_of_one_trains_where_there_are_no_batch_statistics(name):
    assert method(name)(make_batch((5,)))["total"].isfinite()


def test_the_hint_names_the_option_of_the_method():
    batch, model = make_batch((5,)), method("mmt")
    with pytest.raises(VarkitError) as caught:
        model.factors(model.query(batch.query), "query")
    assert "alignments.NAME.gate_norm=layer" in caught.value.hint
    query = make_representation("query", 1, dim=DIM, experts=EXPERTS)
    assert MmtSimilarity(DIM, EXPERTS, gate_norm="layer").factors(query, "query").isfinite().all()


@pytest.mark.parametrize("name", METHODS)
def test_a_missing_stream_or_sampler_is_named(name):
    with pytest.raises(VarkitError, match=r"'motion' has no stream .* Did you mean 'motions'"):
        make_method(name, {"object": 5, "motions": 3}, {"audio": 4})
    if name != "ce":  # which reads all clips
        with pytest.raises(VarkitError, match="no sampler"):
            make_method(name, WIDTHS, {"audio": 4}, samplers={})


@pytest.mark.parametrize("name", ADDITIVE)
def test_what_is_measured_depends_on_running_statistics_and_on_no_neighbour(name):
    model, batch = method(name), make_batch()
    alone = replace(batch, query=take(batch.query, [2])).query
    found = []
    for _ in range(2):
        model.eval()
        together = model.factors(model.query(batch.query), "query")
        torch.testing.assert_close(model.factors(model.query(alone), "query"), together[2:3])
        found.append(together)
        with torch.no_grad():
            model.train()(batch)  # moves the statistics, and nothing else
    assert not torch.allclose(*found, atol=1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_a_saved_model_has_all_that_search_needs(name, tmp_path):
    model = train(name, tmp_path, epochs=2)
    fresh = make_method(name, Toy(query="audio").widths, {"audio": 4})
    start = {key: value.clone() for key, value in fresh.state_dict().items()}
    path = tmp_path / "models" / "last.safetensors"
    tensors, state = load(path)
    load_weights(fresh, tensors, str(path))
    assert (state["epoch"], state["seed"]) == (2, 0)
    for key, parameter in model.named_parameters():
        assert torch.equal(fresh.state_dict()[key], parameter), key
        # What adds the same to all scores before a softmax or a normalisation has no gradient.
        if not any(end in key for end in ("bias", "tokens")):
            assert not torch.equal(start[key], parameter), f"{key} was not trained"
    batch = make_batch(widths=Toy().widths)
    first, second = (
        m.eval().similarity(m.video(batch.video), m.query(batch.query)) for m in (model, fresh)
    )
    assert torch.equal(first, second)


def train(name, folder, *, epochs=1, precision="fp32", dtype=torch.float32):
    """Train two steps an epoch, on as many ranks as there are."""
    dataset = Toy(query="audio")
    model = make_method(name, dataset.widths, dataset.query_widths).to(dtype)
    if dtype == torch.float64:
        for encoder in (model.video, model.query):
            encoder.register_forward_pre_hook(widen)
    Trainer(
        model,
        dataset,
        dataset.split("train"),
        [],
        train=TrainOptions(epochs=epochs, batch_size=6, lr=1e-2, precision=precision),
        evaluation=EvalOptions(),
        seed=0,
        folder=Path(folder),
        identity={},
    ).run()
    return model


def widen(_, inputs):
    streams = {name: x.double() for name, x in inputs[0].streams.items()}
    return (replace(inputs[0], streams=streams),)


def train_all(folder):
    for name in ADDITIVE:
        train(name, f"{folder}/{name}", dtype=torch.float64)
    train("t2vlad", f"{folder}/mixed", precision="bf16")
    alone = make_method("mmt", WIDTHS, {"audio": 4})
    one = select(make_batch((5, 9)), [distributed.rank() % 2])
    if distributed.world_size() == 2:  # one row a rank is two rows for the statistics
        distributed.globalise_batch_norm(alone)
        assert alone(one)["total"].isfinite()


@pytest.mark.slow
def test_two_ranks_train_every_method_like_one(tmp_path):
    train_all(str(tmp_path / "one"))
    on_ranks(2, train_all, str(tmp_path / "two"))
    for name in (*ADDITIVE, "mixed"):
        (one, _), (two, _) = (
            load(tmp_path / world / name / "models" / "last.safetensors")
            for world in ("one", "two")
        )
        for key in one:
            # Without a gradient but rounding noise, which Adam scales up to a full step: biases
            # before a softmax or a batch normalisation, which the running mean then holds.
            if name == "mixed" or key.endswith("bias") or "running_mean" in key:
                assert two[key].isfinite().all(), f"{name}: {key}"
                continue
            torch.testing.assert_close(two[key], one[key], rtol=1e-9, atol=1e-9, msg=key)


def test_no_clip_has_the_position_of_an_unknown_time():
    model = method("mmt")
    clips = make_batch().video
    model.video(clips).vectors["cls"].sum().backward()
    rows = model.video.position.grad.abs().sum(dim=1) > 0
    assert rows[0]  # the aggregation tokens
    assert rows[2]  # these clips, all at 0 s
    assert not rows[1]
    assert not rows[3:].any()


def test_no_method_is_chosen_on_the_split_that_it_is_measured_on():
    assert TrainOptions().select == "val"
    recipes = shipped_recipes()
    assert len(recipes) > 20
    for name, path in recipes.items():
        chosen = re.findall(r"select: (\w+)", path.read_text(encoding="utf-8"))
        assert set(chosen) <= {"last"}, name


@pytest.mark.parametrize("missing", ["keep", "renormalise"])
def test_factors_of_t2vlad_are_as_long_as_they_say(missing):
    model = T2Vlad(DIM, EXPERTS, clusters=3, missing=missing).eval()
    video = make_representation("video", 4, dim=DIM, experts=EXPERTS)
    sets = 3 if missing == "renormalise" else 1
    assert model.factors(video, "video").shape == (4, 3 * DIM + sets * 2 * DIM)
