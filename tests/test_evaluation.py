"""Evaluation of a small real model: exact figures, any batching, several crops and seeds."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from tests.reference import retrieval_metrics as reference
from varkit.detection import detection
from varkit.errors import DataError, VarkitError
from varkit.evaluation import evaluate
from varkit.examples import examples
from varkit.interfaces import Item, Sequences
from varkit.metrics import DIRECTIONS, FIGURES, figure
from varkit.model import RetrievalModel, Weighted
from varkit.options import EvalOptions
from varkit.types import Captions, Representation

WORDS = ("dog", "fire", "man", "runs", "falls", "car", "burns", "sits")


class Tiny:
    """Videos of 3 to 9 clips with two captions each, drawn from a seed; clip 1 is anomalous."""

    name = "Tiny"
    simulated = True
    query_kind = "captions"
    widths = {"object": 4}  # noqa: RUF012
    query_widths = {}  # noqa: RUF012

    def __init__(self, videos=9, crops=1, bad=None, truth=True):
        self.names = [f"v{i}" for i in range(videos)]
        self.crop_count, self.bad, self.known = crops, bad, truth

    def items(self):
        return [Item(v, (f"{v}#0", f"{v}#1"), int(i % 3 > 0)) for i, v in enumerate(self.names)]

    def video(self, video, crop=0):
        generator = np.random.default_rng([int(video[1:]), crop])
        clips = 3 + int(video[1:]) % 7
        features = generator.normal(size=(clips, 4)).astype(np.float32)
        if video == self.bad:
            features[0, 0] = np.nan
        start = np.arange(clips, dtype=np.float32)
        return Sequences({"object": features}, np.stack([start, start + 1], axis=1))

    def crops(self, video):
        return self.crop_count

    def query(self, query):
        generator = np.random.default_rng([int(query[1:-2]), int(query[-1]), 7])
        return " ".join(generator.choice(WORDS, size=2 + int(query[-1])))

    def truth(self, video):
        if not self.known:
            return None
        inside = np.zeros(len(self.video(video)), dtype=bool)
        inside[1] = int(video[1:]) % 3 > 0
        return inside


class Pool(nn.Module):
    """Mean of the clips and of two picked at random; the confidence is the first channel's."""

    consumes = "clips"
    detector = None

    def __init__(self):
        super().__init__()
        self.project = nn.Linear(4, 5)
        self.dropout = nn.Dropout(0.5)

    def forward(self, clips):
        features, mask = clips.streams["object"], clips.mask
        lengths = mask.sum(1)
        drawn = clips.draws.named("random").uniform(2) * lengths[:, None]
        picks = drawn.long().sort(1).values
        picked = features.gather(1, picks[..., None].expand(-1, -1, 4)).mean(1)
        mean = (features * mask[..., None]).sum(1) / lengths[:, None]
        vector = self.dropout(self.project(mean + picked))
        scores = features[..., 0].sigmoid() * mask
        return Representation(
            vectors={"all": nn.functional.normalize(vector, dim=1)[:, None]},
            scores=scores,
            picks={"random": picks},
        )


class Bag(nn.Module):
    """Mean of word embeddings."""

    consumes = "captions"
    detector = None

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(len(WORDS), 5)

    def tokenize(self, texts):
        cut = [[WORDS.index(word) for word in text.split()] for text in texts]
        ids = torch.zeros(len(cut), max(map(len, cut)), dtype=torch.int64)
        mask = torch.zeros_like(ids, dtype=torch.bool)
        for b, row in enumerate(cut):
            ids[b, : len(row)], mask[b, : len(row)] = torch.tensor(row), True
        return Captions(tuple(texts), ids, mask, mask, torch.zeros(*ids.shape, 2).long())

    def forward(self, captions):
        mean = (self.words(captions.ids) * captions.mask[..., None]).sum(1)
        return Representation(vectors={"all": nn.functional.normalize(mean, dim=1)[:, None]})


class Cosine:
    """With factors, or without."""

    def __init__(self, factorises=True):
        self.factorises = factorises

    def similarity(self, video, query):
        return video.vectors["all"][:, 0] @ query.vectors["all"][:, 0].T

    def factors(self, representation, side):
        return representation.vectors["all"][:, 0] if self.factorises else None


def make_model(factorises=True):
    torch.manual_seed(0)
    return RetrievalModel(
        video=Pool(),
        query=Bag(),
        alignments={"all": Weighted(Cosine(factorises), 0.5)},
        objective=None,
    )


def run(dataset, model=None, *, seed=None, **options):
    return evaluate(
        model or make_model(),
        dataset,
        dataset.items(),
        options=EvalOptions(**options),
        device="cpu",
        seed=seed,
    )


def test_figures_are_those_of_the_full_matrix_of_the_stored_embeddings():
    found = run(Tiny())
    similarity = found.video_factors.double() @ found.query_factors.double().T
    assert found.owner.tolist() == [v for v in range(9) for _ in range(2)]
    assert found.queries[:2] == ("v0#0", "v0#1")
    for way, ranks in zip(
        DIRECTIONS, reference.ranks(similarity.float(), found.owner), strict=True
    ):
        figures = reference.figures(ranks)
        assert {key: found.report[way][key] for key in figures} == pytest.approx(figures)


def test_a_model_without_factors_ranks_the_same():
    with_factors, without = run(Tiny()), run(Tiny(), make_model(False), clips_per_batch=16)
    assert without.video_factors is None
    assert without.query_factors is None
    assert without.report == with_factors.report
    for query in (0, 7, 17):
        torch.testing.assert_close(without.scores(query), with_factors.scores(query))


def test_batches_do_not_change_a_result():
    whole, pieces = run(Tiny()), run(Tiny(), clips_per_batch=1)
    torch.testing.assert_close(whole.video_factors, pieces.video_factors)
    assert whole.ranks.query_to_video.tolist() == pieces.ranks.query_to_video.tolist()
    for video, curve in whole.curves.items():
        assert curve.scores.shape == (3 + int(video[1:]) % 7,)
        assert curve.picks["random"].tolist() == pieces.curves[video].picks["random"].tolist()


def test_every_module_keeps_its_mode_and_no_gradient_is_kept():
    model = make_model()
    model.train()
    model.query.eval()
    found = run(Tiny(), model)
    assert model.video.dropout.training
    assert not model.query.training
    assert not found.video_factors.requires_grad
    assert torch.equal(found.video_factors, run(Tiny(), model).video_factors)  # no dropout


def test_the_modes_are_restored_after_an_error():
    model = make_model()
    with pytest.raises(DataError):
        run(Tiny(bad="v4"), model)
    assert model.video.dropout.training
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_an_embedding_that_is_no_number_names_its_video():
    with pytest.raises(DataError, match="embedding of video 'v4' is not finite"):
        run(Tiny(bad="v4"))
    with pytest.raises(DataError, match=r"similarity of video 4 and query \d+ is not finite"):
        run(Tiny(bad="v4"), make_model(False))


def test_nothing_to_evaluate_is_an_error():
    with pytest.raises(DataError, match="no video"):
        run(Tiny(videos=0))


def test_mean_of_crops_is_the_mean_of_their_embeddings():
    dataset = Tiny(crops=3)
    found = run(dataset, crops="mean")
    mean = found.video_factors
    single = []
    for crop in range(3):
        view = Tiny(crops=1)
        view.video = lambda video, _=0, crop=crop: dataset.video(video, crop)
        single.append(run(view).video_factors)
    torch.testing.assert_close(mean, torch.stack(single).mean(0))
    centre = run(dataset)
    assert torch.equal(centre.video_factors, single[0])
    assert found.curves["v3"].scores.tolist() == centre.curves["v3"].scores.tolist()
    with pytest.raises(VarkitError, match="no factors") as caught:
        run(dataset, make_model(False), crops="mean")
    assert caught.value.hint == "set eval.crops=centre"


def test_repeats_are_mean_and_deviation_over_sampler_seeds():
    together = run(Tiny(), seed=5, repeats=3)
    single = [run(Tiny(), seed=seed) for seed in (5, 6, 7)]
    for name in FIGURES:
        values = [figure(one.report, name) for one in single]
        assert figure(together.report, name) == pytest.approx(np.mean(values))
        deviation = together.report["repeats"][f"{name}_sd"]
        assert deviation == pytest.approx(np.std(values, ddof=1))
    assert together.report["repeats"]["n"] == 3
    assert together.report["repeats"]["SumR_sd"] > 0
    shares = [one.report["sampling"]["random"] for one in single]
    assert together.report["sampling"]["random"] == pytest.approx(np.mean(shares))
    assert torch.equal(together.video_factors, single[0].video_factors)


def test_detector_and_samplers_are_measured_where_the_truth_is_known():
    dataset = Tiny()
    found = run(dataset)
    scores = np.concatenate([found.curves[v].scores for v in dataset.names])
    truth = np.concatenate([dataset.truth(v) for v in dataset.names])
    expected = reference.auc(scores, truth)
    assert found.report["detector"] == {"auc": pytest.approx(expected), "clips": len(truth)}
    inside = [
        dataset.truth(video)[pick]
        for video in dataset.names
        if dataset.truth(video).any()
        for pick in found.curves[video].picks["random"]
    ]
    assert found.report["sampling"] == {"random": pytest.approx(np.mean(inside))}
    assert not {"detector", "sampling"} & set(run(Tiny(truth=False)).report)


def test_an_encoder_without_samplers_and_detector_leaves_no_pictures():
    class Plain(Pool):
        def forward(self, clips):
            return Representation(vectors=super().forward(clips).vectors)

    model = make_model()
    model.video = Plain()
    found = run(Tiny(), model)
    assert not {"detector", "sampling"} & set(found.report)
    assert examples(found, Tiny())["sampling"] == []


def test_ground_truth_of_another_length_is_an_error():
    dataset = Tiny()
    curves = run(dataset).curves
    dataset.truth = lambda video: np.ones(99, dtype=bool)
    with pytest.raises(DataError, match="but ground truth for 99"):
        detection(dataset, curves)


def test_progress_reaches_its_total():
    heard = []
    evaluate(
        make_model(),
        dataset := Tiny(crops=2),
        dataset.items(),
        options=EvalOptions(repeats=2, crops="mean", clips_per_batch=20),
        device="cpu",
        progress=lambda done, total: heard.append((done, total)),
    )
    assert heard == sorted(heard)
    assert heard[-1] == (2 * 2 * 9 + 18, 2 * 2 * 9 + 18)


@pytest.mark.parametrize("factorises", [True, False])
def test_examples_are_spread_and_marked_right(factorises):
    dataset = Tiny(videos=14)
    found = run(dataset, make_model(factorises))
    shown = examples(found, dataset, count=4)
    json.dumps(shown, allow_nan=False)
    ranks = [example["rank"] for example in shown["retrieval"]]
    assert ranks == sorted(ranks)
    assert (ranks[0], ranks[-1]) == (
        found.ranks.query_to_video.min(),
        found.ranks.query_to_video.max(),
    )
    for example in shown["retrieval"]:
        scores = [hit["score"] for hit in example["top"]]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) == 5
        right = [hit["video"] for hit in example["top"] if hit["correct"]]
        assert right == ([example["video"]] if example["rank"] <= 5 else [])
        assert set(example["query"].split()) <= set(WORDS)
    pictures = shown["sampling"]
    assert [any(picture["truth"]) for picture in pictures] == [True, True, True, False]
    for picture in pictures:
        assert len(picture["scores"]) == len(picture["truth"]) == len(picture["times"])
        assert picture["seconds"] == len(picture["times"])
        assert max(picture["picks"]["random"]) < len(picture["times"])
    assert examples(run(Tiny(truth=False)), Tiny(truth=False))["sampling"][0]["truth"] is None
