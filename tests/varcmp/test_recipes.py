"""The recipes over features of CLIP, on tiny simulated ones: they fit together, and they learn."""

from pathlib import Path

import pytest
import torch

from varkit.data.batches import query_batches, training_batches, video_batches
from varkit.model.build import build_dataset, build_model
from varkit.recipe.load import load_recipe
from varkit.training.optimiser import make_optimizer

RECIPES = Path(__file__).parents[2] / "recipes"
SMALL = ("size=small", "videos=24", "median_clips=12", "longest=30", "width=16", "root=sim")


@pytest.fixture
def build(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def build(name, *more):
        overrides = [*(f"data.{option}" for option in SMALL), "model.dim=16", *more]
        recipe, plugins = load_recipe(RECIPES / f"{name}.yaml", overrides)
        dataset = build_dataset(recipe, plugins)
        torch.manual_seed(0)
        return recipe, dataset, build_model(recipe, plugins, dataset)

    return build


def train(recipe, dataset, model, epochs=8):
    """Yield the losses of every step."""
    optimizer = make_optimizer(model, recipe.train)
    options = {"tokenize": None, "batch_size": 64, "max_clips": 48, "seed": 0}
    for epoch in range(epochs):
        for batch in training_batches(dataset, dataset.split("train"), **options, epoch=epoch):
            loss = model(batch, epoch)
            optimizer.zero_grad()
            loss["total"].backward()
            optimizer.step()
            yield {name: x.detach() for name, x in loss.items()}


def scores(model, dataset):
    """Return the test split's (V, Q) similarity."""
    items = dataset.split("test")
    names = {"seed": 0, "max_clips": 64, "clips_per_batch": 10_000}
    ((v, clips),) = video_batches(dataset, [i.video for i in items], **names)
    ((q, asked),) = query_batches(dataset, [i.queries[0] for i in items], tokenize=None, **names)
    model.eval()
    with torch.no_grad():
        found = model.similarity(model.video(clips), model.query(asked))
    model.train()
    return found[torch.tensor(v).argsort()][:, torch.tensor(q).argsort()]


@pytest.mark.parametrize("task", ["ucf", "xd"])
@pytest.mark.parametrize("name", ["varcmp", "alan_clip", "zero_shot_clip"])
def test_a_recipe_learns_and_zero_shot_stays_as_it_is(build, name, task):
    recipe, dataset, model = build(f"{name}_{task}")
    before = scores(model, dataset)
    first, *_, last = train(recipe, dataset, model)
    assert last["total"] < first["total"]
    assert torch.equal(scores(model, dataset), before) == (name == "zero_shot_clip")
    names = {name for name, p in model.named_parameters() if p.requires_grad}
    if name == "zero_shot_clip":
        assert names == {"objective.log_scale"}
    if name == "varcmp":
        without = [n for n, p in model.named_parameters() if p.grad is None]
        assert without == []


@pytest.mark.parametrize("task", ["ucf", "xd"])
def test_before_training_the_detector_does_not_matter(build, task):
    _, dataset, model = build(f"varcmp_{task}")
    before = scores(model, dataset)
    with torch.no_grad():
        for parameter in model.video.detector.parameters():
            parameter.add_(1)
        assert torch.equal(scores(model, dataset), before)
        model.alignments["all"].beta.fill_(2.0)
    assert not torch.equal(scores(model, dataset), before)


@pytest.mark.parametrize("task", ["ucf", "xd"])
def test_further_losses_change_neither_the_first_scores_nor_what_a_search_needs(build, task):
    _, dataset, plain = build(f"varcmp_{task}")
    recipe, _, model = build(
        f"varcmp_{task}",
        "pretexts.levels={use: level_losses, weight: 0.25}",
        "pretexts.zero_shot={use: distillation, weight: 0.1}",
    )
    assert torch.equal(scores(model, dataset), scores(plain, dataset))
    assert plain.state_dict().keys() == model.state_dict().keys()
    found = list(train(recipe, dataset, model))
    parts = {"detector": 0.1, "align": 1.0, "levels": 0.25, "zero_shot": 0.1}
    for loss in found:
        assert loss.keys() == {*parts, "total"}
        torch.testing.assert_close(loss["total"], sum(w * loss[n] for n, w in parts.items()))
    assert abs(found[0]["zero_shot"]) < 1e-5
    assert found[-1]["zero_shot"] > 1e-4
    assert found[-1]["levels"] < found[0]["levels"]
