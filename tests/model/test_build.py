"""From a recipe to a model: what does not fit together is said before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from varkit.blocks.tiny_language import write_tiny_language
from varkit.errors import RecipeError, VarkitError
from varkit.model.build import build_dataset, build_model
from varkit.recipe.load import load_recipe

RECIPE = """\
version: 1
data: {{use: simulated, task: audio, videos: 8, median_clips: 8, longest: 40, root: {root}}}
model: {{dim: 8, experts: [object, motion]}}
samplers: {{fixed: {{use: fixed_frame, count: 4}}, anomaly: {{use: anomaly_led, count: 4}}}}
detector: {{use: temporal_convolution, hidden: [6, 4], weight: 0.2}}
video: {{use: two_stream, heads: 2}}
query: {{use: audio, heads: 2}}
alignments: {{cls: {{use: cls, weight: 0.3}}, avg: {{use: avg, weight: 0.7}}}}
objective: {{use: margin_ranking}}
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    (folder / "tiny.yaml").write_text(RECIPE.format(root=folder))
    return folder / "tiny.yaml"


def build(path, *overrides):
    recipe, plugins = load_recipe(path, overrides)
    dataset = build_dataset(recipe, plugins)
    return build_model(recipe, plugins, dataset)


def test_everything_that_the_recipe_says_arrives(path):
    model = build(path)
    assert model.detector_settings.weight == 0.2
    assert [w.weight for w in model._alignments.values()] == [0.3, 0.7]
    assert set(model.video.samplers) == {"fixed", "anomaly"}
    assert model.video.detector is not model.query.detector


def test_the_seed_decides_the_weights(path):
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(build(path).state_dict())
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])
    assert not all(torch.equal(found[0][key], found[2][key]) for key in found[0])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["query={use: bert, model: nowhere}"], "missing here"),
        (["detector.freeze=true"], "never trained"),
        (["model.experts=[object, sound]"], "'sound' has no stream"),
        (["video.heads=3"], "8"),
        (["alignments.cls.weight=0", "alignments.avg.weight=0"], "every weight is 0"),
    ],
)
def test_what_does_not_fit_is_refused(path, overrides, message):
    with pytest.raises(VarkitError, match=message):
        build(path, *overrides)


def test_an_encoder_of_the_wrong_input_is_refused(path, tmp_path):
    folder = write_tiny_language(tmp_path)
    for side in ("query", "video"):
        with pytest.raises(RecipeError, match=f"reads captions, but {side} inputs of"):
            build(path, f"{side}={{use: bert, model: {folder}}}")


ASKS = """
import torch
from varkit import hookimpl


class Asks:
    # the cosine of one vector

    def __init__(self, *, part: str) -> None:
        self.part = part

    def similarity(self, video, query):
        return self.factors(video, "video") @ self.factors(query, "query").T

    def factors(self, representation, side):
        return representation.vectors[self.part].flatten(1)


class Counts:
    # adds up tokens

    def __call__(self, video, query, batch):
        return video.tokens["faces"].sum()


@hookimpl
def register_alignments(register):
    register("asks", Asks, summary="s")


@hookimpl
def register_pretexts(register):
    register("counts", Counts, summary="s")
"""


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["alignments.mine={use: asks, part: max, weight: 1}"],
            "alignments.mine: there is no part 'max': the video encoder gives vectors (cls, avg), "
            "weights (cls, avg), tokens (object, motion)",
        ),
        (
            ["pretexts.mine={use: counts, weight: 1}"],
            "pretexts.mine: there is no part 'faces': the video encoder gives vectors (cls, avg), "
            "weights (cls, avg), tokens (object, motion); the query encoder gives vectors "
            "(cls, avg), weights (cls, avg)",
        ),
    ],
)
def test_a_part_that_no_encoder_gives_is_told_with_those_there_are(path, overrides, said):
    (path.parent / "asks.py").write_text(ASKS)
    recipe = path.parent / "asks.yaml"
    recipe.write_text(f"plugins: [asks.py]\n{path.read_text()}")
    with pytest.raises(RecipeError) as caught:
        build(recipe, *overrides)
    assert caught.value.problems[0].startswith(said)


def test_the_check_of_parts_changes_neither_modes_nor_the_random_state(path, monkeypatch):
    torch.manual_seed(0)
    model = build(path)
    after = torch.rand(1)
    monkeypatch.setattr("varkit.model.build._check_parts", lambda model, dataset: None)
    torch.manual_seed(0)
    unchecked = build(path)
    assert torch.equal(torch.rand(1), after)
    for checked, plain in zip(model.modules(), unchecked.modules(), strict=True):
        assert checked.training == plain.training
    assert all(
        torch.equal(tensor, unchecked.state_dict()[name])
        for name, tensor in model.state_dict().items()
    )
