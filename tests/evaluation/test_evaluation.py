"""Evaluation of a small real model: exact figures, any batching, several crops and seeds."""

import json

import numpy as np
import pytest
import torch

from tests.support.reference import retrieval_metrics as reference
from tests.support.tiny_retrieval import WORDS, Pool, Tiny, make_model
from tests.support.toys import clips_of
from varkit.data.in_memory import InMemory
from varkit.errors import DataError, VarkitError
from varkit.evaluation.detection import DETECTION, Curve, detection
from varkit.evaluation.evaluate import evaluate
from varkit.evaluation.examples import examples
from varkit.evaluation.metrics import DIRECTIONS, FIGURES, figure
from varkit.interfaces import Representation
from varkit.interfaces.settings import EvalOptions


def run(dataset, model=None, *, seed=None, progress=None, **options):
    how = {"options": EvalOptions(**options), "seed": seed, "progress": progress}
    return evaluate(model or make_model(), dataset, dataset.items(), device="cpu", **how)


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
    ranks = [one.ranks[0].query_to_video.rank.tolist() for one in (whole, pieces)]
    assert ranks[0] == ranks[1]
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


def test_an_embedding_that_is_no_number_names_its_video_and_the_modes_are_restored():
    model = make_model()
    with pytest.raises(DataError, match="embedding of video 'v4' is not finite"):
        run(Tiny(bad="v4"), model)
    assert model.video.dropout.training
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    with pytest.raises(DataError, match=r"similarity of video 'v4' and query 'v\d#\d' is nan"):
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
        view.open = lambda video, crop=crop: InMemory(clips_of(dataset, video, crop))
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
    abnormal = [v for v in dataset.names if dataset.truth(v).any()]
    detector = dict(found.report["detector"])
    within = detector.pop("abnormal")
    for part, names in ((within, abnormal), (detector, dataset.names)):
        scores = np.concatenate([found.curves[v].scores for v in names])
        truth = np.concatenate([dataset.truth(v) for v in names])
        expected = {
            "auc": reference.auc(scores, truth),
            "ap": reference.average_precision(scores, truth),
            "clips": len(truth),
        }
        assert {key: part[key] for key in expected} == pytest.approx(expected)
    assert detector.keys() == {*expected, "anomalous"}
    assert detector["anomalous"] == pytest.approx(truth.mean())
    inside = [dataset.truth(v)[pick] for v in abnormal for pick in found.curves[v].picks["random"]]
    assert found.report["sampling"] == {"random": pytest.approx(np.mean(inside))}
    # One clip of T is anomalous, and two different ones are picked.
    uniform = np.mean([dataset.truth(video).mean() for video in abnormal])
    assert found.report["sampling_uniform"] == pytest.approx(uniform)
    assert found.report["sampling_oracle"] == {"random": 0.5}
    assert not set(DETECTION) & set(run(Tiny(truth=False)).report)


def test_an_encoder_without_samplers_and_detector_leaves_no_pictures():
    class Plain(Pool):
        def forward(self, clips):
            return Representation(vectors=super().forward(clips).vectors)

    model = make_model()
    model.video = Plain()
    found = run(Tiny(), model)
    assert not set(DETECTION) & set(found.report)
    assert examples(found, Tiny())["sampling"] == []


def test_ground_truth_of_another_length_and_a_confidence_that_is_no_number_are_errors():
    dataset = Tiny()
    curves = run(dataset).curves
    dataset.truth = lambda video: np.ones(99, dtype=bool)
    with pytest.raises(DataError, match="but ground truth for 99"):
        detection(dataset, curves)
    picked = {"v1": Curve(None, {"random": np.array([0, 3])})}
    dataset.truth = lambda video: np.ones(3, dtype=bool)
    with pytest.raises(DataError, match="clip 3 was picked, but there is ground truth for 3 clips"):
        detection(dataset, picked)
    curves = {"v1": Curve(np.full(4, np.nan, dtype=np.float32), {})}
    with pytest.raises(DataError, match="video 'v1': the detector's confidence is not finite"):
        detection(Tiny(), curves)


def test_a_curve_over_segments_is_laid_over_the_clips():
    scores = np.array([0.1, 0.2, 0.3], np.float32)
    curve = Curve(scores, {"s": np.array([0, 2, 2])}).over(8, 3)
    owners = [i for i in range(3) for _ in range(i * 8 // 3, (i + 1) * 8 // 3)]
    assert curve.scores.tolist() == scores[owners].tolist()
    assert [owners[clip] for clip in curve.picks["s"]] == [0, 2, 2]


def test_long_videos_are_measured_over_segments():
    whole, short = run(Tiny()), run(Tiny(), max_clips=4)
    assert {v: len(c.scores) for v, c in short.curves.items()} == {
        v: len(c.scores) for v, c in whole.curves.items()
    }
    assert short.report["detector"]["clips"] == whole.report["detector"]["clips"]
    same = [v for v, c in whole.curves.items() if len(c.scores) <= 4]
    assert 0 < len(same) < len(whole.curves)
    for video in same:
        assert short.curves[video].scores.tolist() == whole.curves[video].scores.tolist()


@pytest.mark.parametrize(
    ("truth", "picks", "share", "uniform", "oracle"),
    [
        ([0, 1, 0, 0], [0, 1], 0.5, 0.25, 0.5),
        ([0, 1, 1, 1], [1, 2], 1.0, 0.75, 1.0),
        ([0, 1], [0, 1, 1, 1], 0.75, 0.5, 0.5),  # more picks than clips: both are taken
    ],
)
def test_a_share_of_picks_can_be_read(truth, picks, share, uniform, oracle):
    dataset = Tiny()
    dataset.truth = lambda video: np.array(truth, dtype=bool)
    report = detection(dataset, {"v0": Curve(None, {"s": np.array(picks)})})
    assert report == {
        "sampling": {"s": share},
        "sampling_uniform": uniform,
        "sampling_oracle": {"s": oracle},
    }


def test_progress_reaches_its_total():
    heard = []
    options = {"repeats": 2, "crops": "mean", "clips_per_batch": 20}
    run(Tiny(crops=2), progress=lambda *now: heard.append(now), **options)
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
        found.ranks[0].query_to_video.rank.min(),
        found.ranks[0].query_to_video.rank.max(),
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
