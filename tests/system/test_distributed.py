"""Two ranks with gloo give the gradients, statistics and weights of one big batch, or end."""

from __future__ import annotations

import math
import multiprocessing
import os
import re
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from varkit_alan.alignment import Avg, Cls
from varkit_alan.anomaly_led import AnomalyLed
from varkit_alan.audio import Audio
from varkit_alan.fixed_frame import FixedFrame
from varkit_alan.margin_ranking import MarginRanking
from varkit_alan.temporal_convolution import TemporalConvolution
from varkit_alan.two_stream import TwoStream

from tests.support.ranks import on_ranks, start
from tests.support.toys import Toy
from varkit.errors import RunError
from varkit.interfaces.settings import DetectorSettings, EvalOptions, TrainOptions
from varkit.model.retrieval import RetrievalModel, Weighted
from varkit.system import distributed
from varkit.training import checkpoint
from varkit.training.loop import Trainer

pytestmark = pytest.mark.slow


class OverRanks(MarginRanking):
    """Several ranks must use the kernels' own exchange: nothing gathers all factors."""

    def factored(self, video, query, pairs):
        assert distributed.world_size() == 1
        return super().factored(video, query, pairs)


class Gathered:
    """The same loss, without the method for several ranks."""

    def __init__(self, objective: MarginRanking) -> None:
        self.factored, self.dense = objective.factored, objective.dense


OBJECTIVES = {
    "over ranks": OverRanks(),
    "identical queries": OverRanks(mask_identical=True, reduction="mean"),
    "gathered": Gathered(MarginRanking()),
    "no fused backend": MarginRanking(backend="eager"),
}


def train(folder: str, objective: str, dtype: torch.dtype) -> None:
    make_trainer(folder, objective, dtype).run()


def make_trainer(folder: str, objective: str, dtype: torch.dtype) -> Trainer:
    """Of the audio model without dropout: all that is left of chance belongs to items."""
    torch.manual_seed(0)
    dataset, experts = Toy(query="audio"), ("object", "motion")
    samplers = {"fixed": FixedFrame(count=3), "anomaly": AnomalyLed(count=3)}
    detector = partial(TemporalConvolution, hidden=(6, 4), dropout=0.0)
    model = RetrievalModel(
        video=TwoStream(8, experts, dataset.widths, samplers, detector, heads=2, dropout=0.0),
        query=Audio(8, experts, dataset.query_widths, samplers, detector, heads=2, dropout=0.0),
        alignments={"cls": Weighted(Cls(), 0.5), "avg": Weighted(Avg(), 0.5)},
        objective=OBJECTIVES[objective],
        detector=DetectorSettings(),
    )
    return Trainer(
        model if dtype == torch.float32 else widened(model),
        dataset,
        dataset.split("train"),
        dataset.split("test"),
        train=TrainOptions(epochs=3, batch_size=6, lr=1e-2),
        evaluation=EvalOptions(),
        seed=0,
        folder=Path(folder),
        identity={},
    )


def widened(model: RetrievalModel) -> RetrievalModel:
    """Feed float64, so that only mistakes are larger than rounding."""

    def widen(_: nn.Module, inputs: tuple) -> tuple:
        clips = inputs[0]
        return (replace(clips, streams={k: v.double() for k, v in clips.streams.items()}),)

    model.double()
    model.video.register_forward_pre_hook(widen)
    model.query.register_forward_pre_hook(widen)
    return model


@pytest.mark.parametrize(
    ("objective", "dtype", "tolerance"),
    [
        *((name, torch.float64, 1e-12) for name in OBJECTIVES),
        ("over ranks", torch.float32, 1e-6),
    ],
)
def test_two_ranks_train_like_one(tmp_path, objective, dtype, tolerance):
    on_ranks(1, train, str(tmp_path / "one"), objective, dtype)
    on_ranks(2, train, str(tmp_path / "two"), objective, dtype)
    (_, one, _), (_, two, _) = (
        checkpoint.load_newest(tmp_path / name / "checkpoints") for name in ("one", "two")
    )
    assert one.keys() == two.keys()
    errors, sizes = {}, {}
    for key in one:
        # The bias of keys before a softmax and of a gate before batch normalisation change
        # nothing, so their gradient is rounding noise, which Adam scales up to a full step; the
        # running mean holds the gate's bias. In float32 Adam's moments of gradients that nearly
        # cancel are a few 1e-6 apart, the weights are not.
        noise = any(n in key for n in ("in_proj_bias", "gate.bias", "norm.running_mean"))
        if noise or (dtype == torch.float32 and not key.startswith("model/")):
            continue
        expected, actual = (torch.as_tensor(x[key]).double() for x in (one, two))
        errors[key] = (actual - expected).norm().item()
        sizes[key] = expected.norm().item()
    if dtype == torch.float32:
        # Rounding of one tensor hangs on the processor's instructions and says nothing where the
        # tensor ends near zero; that of all together does not. float64 holds every tensor.
        assert math.hypot(*errors.values()) <= tolerance * math.hypot(*sizes.values())
    else:
        assert [key for key in errors if errors[key] > tolerance * sizes[key]] == []


def check_parts(folder: str) -> None:
    rank, world = distributed.rank(), distributed.world_size()
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    share = slice(rank * 5 // world, (rank + 1) * 5 // world)

    mine = rows[share].clone().requires_grad_()
    (distributed.gather(mine) ** 3).sum().backward()
    torch.testing.assert_close(mine.grad, world * 3 * rows[share] ** 2)

    norm = distributed.GlobalBatchNorm1d(3, dtype=torch.float64)
    plain = nn.BatchNorm1d(3, dtype=torch.float64)
    mine, whole = rows[share].clone().requires_grad_(), rows.clone().requires_grad_()
    out, expected = norm(mine), plain(whole)
    torch.testing.assert_close(out, expected[share])
    (out**3).sum().backward()
    (expected**3).sum().backward()
    torch.testing.assert_close(mine.grad, whole.grad[share])
    torch.testing.assert_close(norm.state_dict(), plain.state_dict())

    norm = distributed.GlobalBatchNorm1d(3, momentum=None, dtype=torch.float64)
    plain = nn.BatchNorm1d(3, momentum=None, dtype=torch.float64)
    for step in (1.0, 2.0):  # (B, D, T), and statistics that are plain means of the batches
        long = step * torch.randn(5, 3, 4, generator=generator, dtype=torch.float64)
        torch.testing.assert_close(norm(long[share]), plain(long)[share])
    torch.testing.assert_close(norm.state_dict(), plain.state_dict())

    # Half precision, as under autocast: sums and statistics are fp32, as torch's own.
    norm, plain = distributed.GlobalBatchNorm1d(3), nn.BatchNorm1d(3)
    half = (rows + 3).bfloat16()
    out, expected = norm(half[share]), plain(half)
    assert out.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(out, expected[share], rtol=2**-7, atol=2**-7)
    torch.testing.assert_close(norm.state_dict(), plain.state_dict())

    valid = torch.tensor([True, False, True, False, False])
    values = torch.arange(5.0)
    values[3] = float("nan")
    mean = distributed.global_mean(values[share], valid[share])
    assert distributed.mean_over_ranks({"x": mean})["x"] == pytest.approx(1.0)
    assert distributed.global_mean(values[share], torch.zeros_like(valid[share])) == 0

    assert distributed.any_rank(rank == world - 1, torch.device("cpu"))
    assert not distributed.any_rank(False, torch.device("cpu"))
    assert distributed.from_first_rank(f"päth {rank}", torch.device("cpu")) == "päth 0"
    (Path(folder) / str(rank)).touch()


@pytest.mark.parametrize("world", [1, 2, 3])
def test_the_parts_with_unequal_shares(tmp_path, world):
    on_ranks(world, check_parts, str(tmp_path))
    assert len(list(tmp_path.iterdir())) == world


def write_what_happens(folder: str, how: str, when: str) -> None:
    """Train; rank 1 stops or ends during a step, or rank 0 during the validation."""
    rank = distributed.rank()

    def lose(record: dict) -> None:
        if record["kind"] == when and rank == (when == "step"):
            os.kill(os.getpid(), getattr(signal, how))

    trainer = make_trainer(f"{folder}/run", "over ranks", torch.float32)
    trainer.log._listener = lose
    try:
        trainer.run()
    except RunError as error:
        (Path(folder) / "said").write_text(str(error))


@pytest.mark.parametrize(
    ("how", "when", "said"),
    [
        ("SIGSTOP", "step", r"rank 0 of 2 waited \d s for the end of optimiser step 1; another "),
        ("SIGKILL", "step", r"rank 0 of 2 waited for the end of .*, but another rank has ended"),
        ("SIGSTOP", "validation", r"rank 1 of 2 waited \d s for rank 0, which measures the val"),
    ],
)
def test_a_lost_rank_ends_the_rest_in_bounded_time(tmp_path, how, when, said):
    context = multiprocessing.get_context("spawn")
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    given = write_what_happens, (str(tmp_path), how, when), 3.0
    ranks = [context.Process(target=start, args=(r, 2, store.port, *given)) for r in range(2)]
    for rank in ranks:
        rank.start()
    lost = ranks[when == "step"]
    (left,) = (rank for rank in ranks if rank is not lost)
    left.join(120)
    lost.kill()
    assert left.exitcode == 0
    text = (tmp_path / "said").read_text()
    assert re.search(said, text), text
    assert "varkit resume goes on" in text


def test_errors_of_one_process_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shapes"), distributed.waiting_for("anything"):
        torch.zeros(2, 3) @ torch.zeros(2, 3)
