"""The training loop: it learns, resumes bit for bit, and loses nothing to faults."""

from __future__ import annotations

import json
import os
import shutil
import signal
from functools import partial
from pathlib import Path

import pytest
import torch
from varkit_alan.alignment import Avg, Cls
from varkit_alan.anomaly_led import AnomalyLed
from varkit_alan.fixed_frame import FixedFrame
from varkit_alan.margin_ranking import MarginRanking
from varkit_alan.temporal_convolution import TemporalConvolution
from varkit_alan.two_stream import TwoStream

from tests.support.toys import Toy
from varkit.data.batches import training_batches
from varkit.errors import CheckpointError, RecipeError, RunError, StoppedError
from varkit.interfaces.settings import DetectorSettings, EvalOptions, TrainOptions
from varkit.model.retrieval import RetrievalModel, Weighted
from varkit.system.signals import stop_request
from varkit.system.tensors import load, save
from varkit.testing.stand_ins import Words
from varkit.training import checkpoint
from varkit.training.loop import Trainer

OPTIONS = {"epochs": 3, "batch_size": 4, "lr": 1e-2, "checkpoint_steps": 1}


def make_model(seed: int = 0, backend: str = "auto", **settings: object) -> RetrievalModel:
    torch.manual_seed(seed)
    experts = ("object", "motion")
    samplers = {"fixed": FixedFrame(count=3), "anomaly": AnomalyLed(count=3)}
    detector = partial(TemporalConvolution, hidden=(6, 4))
    return RetrievalModel(
        video=TwoStream(8, experts, Toy().widths, samplers, detector, heads=2),
        query=Words(8, experts),
        alignments={"cls": Weighted(Cls(), 0.5), "avg": Weighted(Avg(), 0.5)},
        objective=MarginRanking(backend=backend),
        detector=DetectorSettings(**settings),
    )


def make_trainer(
    folder: Path, *, seed=0, model=None, dataset=None, select=True, stop=None, **options
):
    dataset = dataset or Toy()
    return Trainer(
        model or make_model(seed),
        dataset,
        dataset.split("train"),
        dataset.split("test") if select else [],
        train=TrainOptions(**{**OPTIONS, **options}),
        evaluation=EvalOptions(),
        seed=seed,
        folder=folder,
        identity={"recipe": "toy", "data": dataset.fingerprint()},
        stop=stop,
    )


def weights(folder: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return load(folder / "models" / f"{name}.safetensors")[0]


def records(folder: Path, kind: str | None = None) -> list[dict]:
    """The log, or one kind of its records, without what a clock wrote."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line, parse_constant=pytest.fail) for line in lines]  # NaN is no JSON
    rows = [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in rows]
    return [row for row in rows if kind in (None, row["kind"])]


def copied(model) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def differing(one, other) -> set[str]:
    assert one.keys() == other.keys()
    return {key for key in one if not torch.equal(one[key], other[key])}


def assert_same(a: Path, b: Path) -> None:
    for name in ("best", "last"):
        assert differing(weights(a, name), weights(b, name)) == set()
    assert records(a) == records(b)


def test_it_learns(tmp_path):
    make_trainer(tmp_path, epochs=25).run()
    steps = records(tmp_path, "step")
    assert len(steps) == 25 * 3
    first = sum(r["losses"]["align"] for r in steps[:3])
    last = sum(r["losses"]["align"] for r in steps[-3:])
    assert last < 0.5 * first
    assert steps[-1]["lr"] == pytest.approx(1e-2 * 0.95**24)


def test_the_backend_of_the_loss_changes_no_metric(tmp_path):
    for backend in ("eager", "cpu"):
        make_trainer(tmp_path / backend, model=make_model(backend=backend)).run()
    for ours, theirs in zip(*(records(tmp_path / b) for b in ("eager", "cpu")), strict=True):
        assert ours["kind"] == theirs["kind"]
        if ours["kind"] == "step":
            assert ours["losses"] == pytest.approx(theirs["losses"], rel=1e-4)
        else:
            assert ours == theirs


def test_the_same_seed_gives_the_same_weights_and_another_does_not(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_trainer(tmp_path / name, seed=seed).run()
    assert_same(tmp_path / "a", tmp_path / "b")
    assert differing(weights(tmp_path / "a"), weights(tmp_path / "c"))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_stopped_anywhere_and_resumed_it_ends_the_same(tmp_path, after, workers):
    make_trainer(tmp_path / "whole").run()
    with stop_request() as stop:
        trainer = make_trainer(tmp_path / "cut", stop=stop, checkpoint_steps=0, workers=workers)
        trainer.log._listener = lambda record: (
            record.get("step") == after and os.kill(os.getpid(), signal.SIGTERM)
        )
        with pytest.raises(StoppedError, match="everything so far is saved") as caught:
            trainer.run()
    assert caught.value.exit_code == 128 + signal.SIGTERM
    assert "varkit resume" in str(caught.value.hint)
    # Another initialisation and another state of torch's generator must not show.
    make_trainer(tmp_path / "cut", model=make_model(99), workers=workers).run()
    assert_same(tmp_path / "whole", tmp_path / "cut")


def test_accumulation_takes_one_step_for_several_micro_batches(tmp_path):
    trainer = make_trainer(tmp_path, accumulate=2, batch_size=6, epochs=2)
    trainer.run()
    assert [r["step"] for r in records(tmp_path, "step")] == [1, 2, 3, 4]
    assert trainer.micro_batch == 3


def test_accumulated_gradients_are_the_mean_over_micro_batches(tmp_path):
    model = make_model()
    model.eval()  # no dropout: the two gradients are then functions of the batches alone
    trainer = make_trainer(tmp_path, model=model, accumulate=2, batch_size=6)
    how = {"batch_size": 3, "max_clips": 1024, "seed": 0, "epoch": 0}
    items, tokenize = trainer.train_items, model.query.tokenize
    batches = list(training_batches(trainer.dataset, items, tokenize=tokenize, **how))[:2]
    for batch in batches:
        trainer._backward(batch)
        trainer.position.step += 1
    ours = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    (sum(model(batch)["total"] for batch in batches) / 2).backward()
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, dict(model.named_parameters())[name].grad)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_trains_and_resumes(tmp_path, precision):
    make_trainer(tmp_path / "whole", precision=precision).run()
    make_trainer(tmp_path / "cut", precision=precision, epochs=1).run()
    make_trainer(tmp_path / "cut", precision=precision).run()
    ours = weights(tmp_path / "whole")
    assert differing(ours, weights(tmp_path / "cut")) == set()
    assert all(tensor.dtype != torch.float16 for tensor in ours.values())


def test_an_overflow_of_fp16_is_skipped_and_the_log_stays_json(tmp_path):
    trainer = make_trainer(tmp_path, precision="fp16", epochs=1)
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**100)
    before = copied(trainer.model)
    trainer.run()
    changed = differing(before, trainer.model.state_dict())
    assert changed.isdisjoint(dict(trainer.model.named_parameters()))

    assert [r["gradient_norm"] for r in records(tmp_path, "step")] == [None] * 3


def test_what_an_evaluation_made_can_serve_training(tmp_path):
    # An encoder may remember what it computed for a caption.
    remembered = []
    trainer = make_trainer(tmp_path, epochs=1)
    trainer.model.query.register_forward_hook(
        lambda module, _, found: None if module.training else remembered.append(found)
    )
    trainer.run()
    weight = torch.ones(1, requires_grad=True)
    (remembered[0].vectors["cls"] * weight).sum().backward()
    assert weight.grad is not None


def test_what_a_killed_process_left_half_written_is_swept(tmp_path):
    part = tmp_path / "models" / ".best.safetensors.0a1b2c3d.part"
    part.parent.mkdir()
    part.write_bytes(b"half")
    make_trainer(tmp_path, epochs=1).run()
    assert not part.exists()


def test_clipping_bounds_the_step(tmp_path):
    trainer = make_trainer(tmp_path, clip_norm=1e-3, epochs=1, lr=1.0)
    before = copied(trainer.model)
    norms = []
    trainer.log._listener = lambda r: norms.append(r.get("gradient_norm"))
    trainer.run()
    assert max(n for n in norms if n is not None) > 1e-3  # the norm before clipping is logged
    assert differing(before, trainer.model.state_dict())


def test_a_nan_stops_the_training_and_keeps_the_checkpoint(tmp_path):
    class Poisoned(Toy):
        def open(self, video):
            reader = super().open(video)
            if video == "v3":
                next(reader.pieces("object"))[:] = float("nan")
            return reader

    for batch_size, message in ((12, "not finite in epoch 0"), (4, "v3")):
        with pytest.raises(RunError, match=message):
            make_trainer(tmp_path, dataset=Poisoned(), batch_size=batch_size).run()


def test_a_full_disk_stops_the_training_and_it_resumes(tmp_path, monkeypatch):
    make_trainer(tmp_path / "whole").run()
    real = os.fsync
    calls = 0

    def fail(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 9:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunError, match="No space left"):
        make_trainer(tmp_path / "cut").run()
    monkeypatch.undo()
    make_trainer(tmp_path / "cut").run()
    assert_same(tmp_path / "whole", tmp_path / "cut")


def test_a_damaged_or_foreign_checkpoint_is_refused(tmp_path):
    make_trainer(tmp_path, epochs=1).run()
    newest = checkpoint.checkpoints(tmp_path / "checkpoints")[-1]
    data = bytearray(newest.read_bytes())
    data[-3] ^= 4
    newest.write_bytes(data)
    with pytest.raises(CheckpointError, match="SHA-256 differs"):
        make_trainer(tmp_path)
    newest.write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match="cannot be read"):
        make_trainer(tmp_path)
    newest.unlink()  # what the hint says: the one before it serves
    make_trainer(tmp_path).run()
    with pytest.raises(CheckpointError, match="another data"):
        make_trainer(tmp_path, dataset=Toy(videos=20))


def test_selection_keeps_the_best_epoch_and_the_last(tmp_path):
    make_trainer(tmp_path, epochs=6, lr=3e-2).run()
    found = records(tmp_path, "validation")
    assert [r["epoch"] for r in found] == [1, 2, 3, 4, 5, 6]
    best = max(found, key=lambda r: r["SumR"])  # the first of equals, as the trainer's
    state = load(tmp_path / "models" / "best.safetensors")[1]
    assert state["epoch"] == best["epoch"]
    assert load(tmp_path / "models" / "last.safetensors")[1]["epoch"] == 6


def test_without_selection_there_is_only_the_last(tmp_path):
    make_trainer(tmp_path, select=False).run()
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["last.safetensors"]


def test_pretext_weights_do_not_leave_the_training(tmp_path):
    class Extra(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(8, 1)

        def forward(self, video, query, batch):
            return self.head(video.vectors["cls"]).mean()

    model = make_model()
    model._pretexts["extra"] = Weighted(Extra(), 0.01)
    model.pretexts["extra"] = model._pretexts["extra"].component
    make_trainer(tmp_path, model=model).run()
    assert not any(key.startswith("pretexts") for key in weights(tmp_path))
    _, tensors, _ = checkpoint.load_newest(tmp_path / "checkpoints")
    assert "model/pretexts.extra.head.weight" in tensors


def test_detector_pretraining_then_frozen(tmp_path):
    model = make_model(pretrain_epochs=1, freeze=True)
    trainer = make_trainer(tmp_path, model=model, select=False)
    detector = model.video.detector
    own = {f"video.detector.{k}" for k in detector.state_dict()}
    start = copied(model)
    trainer._epoch()
    after = copied(model)
    assert differing(start, after) == own
    trainer.position.epoch, trainer.position.step = 1, 0
    trainer._epoch()
    changed = differing(after, model.state_dict())
    assert changed
    assert changed.isdisjoint(own)


def test_a_factor_that_fits_no_parameter_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="'qurey'"):
        make_trainer(tmp_path, lr_factors={"qurey": 0.1})


def test_a_factor_of_a_part_that_is_frozen_says_so(tmp_path):
    model = make_model()
    model.query.requires_grad_(False)
    with pytest.raises(RecipeError, match="all of 'query' is frozen") as caught:
        make_trainer(tmp_path, model=model, lr_factors={"query": 0.1})
    assert caught.value.hint == "leave it out: 'train.lr_factors={query: null}'"


def test_factors_scale_the_learning_rate_of_a_part(tmp_path):
    trainer = make_trainer(tmp_path, lr_factors={"query": 0.0}, select=False)
    before = copied(trainer.model)
    trainer.run()
    changed = differing(before, trainer.model.state_dict())
    assert not any(key.startswith("query.") for key in changed)
    assert any(key.startswith("video.") for key in changed)


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="not a multiple of"):
        make_trainer(tmp_path, batch_size=5, accumulate=2)
    with pytest.raises(RecipeError, match="fewer than 8 micro-batches"):
        make_trainer(tmp_path, batch_size=32, accumulate=8)


def put(name, tensor):
    def edit(tensors, state):
        tensors[name] = tensor

    return edit


def put_state(*keys, value):
    def edit(tensors, state):
        for key in keys[:-1]:
            state = state[key]
        state[keys[-1]] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda tensors, state: drop(tensors, "optimizer/"), "the optimiser's tensors.*missing: "),
        (lambda tensors, state: drop(tensors, "/exp_avg"), "missing: .*/exp_avg"),
        (lambda tensors, state: drop(tensors, "model/query"), "the weights.*missing: query"),
        (
            lambda tensors, state: cast(tensors, "/exp_avg_sq"),
            "type: .*/exp_avg_sq is torch.float64",
        ),
        (lambda tensors, state: cast(tensors, "model/query"), "type: query.* is torch.float64"),
        (lambda tensors, state: flatten(tensors, "/exp_avg"), "shape: .*/exp_avg"),
        (put("optimizer/nothing/step", torch.zeros(())), "not in the model: nothing/step"),
        (put_state("position", value=[]), "position: input should be a valid dictionary"),
        (put_state("position", "epoch", value="2"), "position.epoch: input should be a valid int"),
        (put_state("position", "epoch", value=-1), "position.epoch: input should be greater"),
        (put_state("position", "epoch", value=99), "there is no position"),
        (put_state("position", "updates", value=7), "there is no position"),
        (put_state("position", "best", value="high"), "position.best: input should be a valid num"),
        (
            lambda tensors, state: state["position"].pop("log_bytes"),
            "position.log_bytes: field req",
        ),
        (lambda tensors, state: state.pop("position"), "position: field required"),
        (put_state("scaler", value={"scale": 2.0}), r"its scaler has \['scale'\], not \[\]"),
        (put_state("scaler", value=3), "scaler: input should be a valid dictionary"),
        (put_state("optimised", value=[1]), "optimised.0: input should be a valid string"),
        (lambda tensors, state: state.pop("recipe"), "belongs to another recipe: None"),
    ],
)
def test_a_wrong_state_behind_a_right_checksum_is_named(tmp_path, trained, edit, said):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    newest = checkpoint.checkpoints(tmp_path / "checkpoints")[-1]
    tensors, state = load(newest)
    edit(tensors, state)
    save(newest, tensors, state)
    with pytest.raises(CheckpointError, match=said) as caught:
        make_trainer(tmp_path)
    assert str(newest) in caught.value.what
    assert caught.value.hint


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    make_trainer(folder, epochs=3).run()
    return folder


def drop(tensors, part):
    for name in [name for name in tensors if part in name]:
        del tensors[name]


def cast(tensors, part):
    tensors |= {name: t.double() for name, t in tensors.items() if part in name}


def flatten(tensors, part):
    tensors |= {name: t.flatten()[:1] for name, t in tensors.items() if name.endswith(part)}


@pytest.mark.parametrize("content", ["[]", "3", "", '{"a": '])
def test_a_state_that_is_not_a_dict_is_named(tmp_path, monkeypatch, content):
    monkeypatch.setattr("varkit.system.tensors.json.dumps", lambda *_, **__: content)
    save(tmp_path / "a.safetensors", {}, {})
    with pytest.raises(CheckpointError, match=r"a\.safetensors: its state is"):
        load(tmp_path / "a.safetensors")
