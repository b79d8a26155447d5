"""The training loop: resumable at any step, the same for one process and for W ranks.

Nothing depends on how the program got to a step. Order, crops and captions are functions of
(seed, epoch, item), dropout of (seed, epoch, step), and the learning rate of epoch and step. So a
checkpoint needs only weights, Adam's state and a position, and a resumed run ends with the same
bits as an uninterrupted one (on the same machine, with as many threads and ranks).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from varkit.data.batches import steps_per_epoch, training_batches
from varkit.errors import CheckpointError, RecipeError, RunError
from varkit.evaluation.evaluate import evaluate
from varkit.interfaces import Batch, Dataset, Item, derive_seed
from varkit.interfaces.settings import EvalOptions, TrainOptions
from varkit.model.retrieval import RetrievalModel
from varkit.system import distributed
from varkit.system.files import sweep
from varkit.system.signals import StopRequest
from varkit.system.tensors import save
from varkit.training import checkpoint
from varkit.training.checkpoint import PositionState
from varkit.training.log import Listener, MetricsLog
from varkit.training.optimiser import (
    learning_rate,
    load_optimizer,
    make_optimizer,
    optimizer_tensors,
    set_learning_rate,
    trainable,
)

PRECISION = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class Position:
    """Where a training is.

    Attributes:
        epoch: the current epoch, or the number of epochs at the end.
        step: micro-batches done in that epoch.
        updates: optimiser steps done.
        best_epoch: epochs done when the best model was measured; None = none yet.
        best: its figure on the selection part.
        log_bytes: length of ``metrics.jsonl`` at this position.
    """

    epoch: int = 0
    step: int = 0
    updates: int = 0
    best_epoch: int | None = None
    best: float = float("-inf")
    log_bytes: int = 0


class Trainer:
    """Trains one model with one seed in one folder.

    The folder gets ``metrics.jsonl``, ``checkpoints/`` to resume from, and ``models/`` with the
    weights of the best and the last model that search needs.

    Args:
        model: on its device, initialised from the seed.
        dataset: where the batches come from.
        train_items: the videos to train on.
        select_items: the videos on which the best epoch is chosen; empty = choose none.
        train: the recipe's ``train`` section.
        evaluation: options of the evaluation that chooses the best epoch.
        seed: of this training.
        folder: ``runs/.../seed-<s>``.
        identity: values that a checkpoint must share to be resumed, such as the recipe's digest.
        listener: called with every record of the log.
        stop: checked after every optimiser step.
    """

    def __init__(
        self,
        model: RetrievalModel,
        dataset: Dataset,
        train_items: Sequence[Item],
        select_items: Sequence[Item],
        *,
        train: TrainOptions,
        evaluation: EvalOptions,
        seed: int,
        folder: Path,
        identity: dict[str, str],
        listener: Listener | None = None,
        stop: StopRequest | None = None,
    ) -> None:
        self.model = model
        self.dataset = dataset
        self.train_items = train_items
        self.select_items = select_items
        self.options = train
        self.evaluation = evaluation
        self.seed = seed
        self.folder = folder
        self.identity = identity
        self.stop = StopRequest() if stop is None else stop
        self.device = next(model.parameters()).device
        self.micro_batch = train.batch_size // train.accumulate
        self.updates = updates_per_epoch(train, train_items)
        self.steps = self.updates * train.accumulate
        self.optimizer = make_optimizer(model, train)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=train.precision == "fp16")
        self.position = Position()
        self._restore()
        first = distributed.rank() == 0
        if first:
            sweep(folder)
        self.log = MetricsLog(
            folder / "metrics.jsonl" if first else None,
            length=self.position.log_bytes,
            listener=listener,
            events=folder / "tensorboard" if train.tensorboard else None,
        )
        self._parallel: nn.Module = model
        if distributed.world_size() > 1:
            distributed.globalise_batch_norm(model)
            with distributed.waiting_for("the weights of rank 0"):
                self._parallel = DistributedDataParallel(model, find_unused_parameters=True)

    def run(self) -> None:
        """Train to the end, from wherever the newest checkpoint is.

        Raises:
            RunError: the loss or a gradient is not finite, the disk is full, or another rank ended
                or did not answer in ``train.timeout`` seconds.
            StoppedError: a signal requested a stop; a checkpoint was written.
        """
        while self.position.epoch < self.options.epochs:
            self._epoch()
            self._select()
            self.position.epoch += 1
            self.position.step = 0
            self._save()
        self._save_model("last", self.options.epochs)

    def _epoch(self) -> None:
        where = self.position
        self._parallel.train()
        self.optimizer.zero_grad()
        batches = training_batches(
            self.dataset,
            self.train_items,
            tokenize=getattr(self.model.query, "tokenize", None),
            batch_size=self.micro_batch,
            max_clips=self.options.max_clips,
            seed=self.seed,
            epoch=where.epoch,
            start=where.step,
            rank=distributed.rank(),
            world_size=distributed.world_size(),
            workers=self.options.workers,
        )
        started = time.perf_counter()
        waited = 0.0
        for batch in batches:
            if where.step >= self.steps:  # the rest is too little for an optimiser step
                break
            waited += time.perf_counter() - started
            step = f"epoch {where.epoch}, step {where.step}"
            with distributed.waiting_for(f"the losses and gradients of {step}"):
                losses = self._backward(batch)
            where.step += 1
            if where.step % self.options.accumulate == 0:
                rate, norm = self._update(batch)
                seconds = time.perf_counter() - started
                self.log.write(
                    {
                        "kind": "step",
                        "epoch": where.epoch,
                        "step": where.updates,
                        "of": self.updates * self.options.epochs,
                        "losses": losses,
                        "lr": rate,
                        "gradient_norm": norm if _finite(norm) else None,  # possible in fp16 only
                        "seconds": seconds,
                        "seconds_data": waited,
                    }
                )
                waited = 0.0
                self._pause()
                started = time.perf_counter()

    def _backward(self, batch: Batch) -> dict[str, float]:
        """Add one micro-batch's gradients; return its losses, averaged over ranks."""
        where, options = self.position, self.options
        # Dropout uses torch's global random state: make it a function of the position.
        torch.manual_seed(
            derive_seed(self.seed, "step", where.epoch, where.step, distributed.rank())
        )
        batch = batch.to(self.device)
        last = (where.step + 1) % options.accumulate == 0
        waiting = isinstance(self._parallel, DistributedDataParallel) and not last
        precision = PRECISION[options.precision]
        with self._parallel.no_sync() if waiting else nullcontext():  # type: ignore[operator]  # DDP has it
            with torch.autocast(self.device.type, dtype=precision, enabled=precision is not None):
                losses: dict[str, Tensor] = self._parallel(batch, epoch=where.epoch)
            values = distributed.mean_over_ranks(losses)
            if not all(_finite(value) for value in values.values()):
                listed = ", ".join(f"{name} {value:g}" for name, value in values.items())
                raise self._not_finite("the loss", batch, f": {listed}")
            self.scaler.scale(losses["total"] / options.accumulate).backward()  # type: ignore[no-untyped-call]  # torch's
        return values

    def _update(self, batch: Batch) -> tuple[float, float]:
        """Take one optimiser step; return the learning rate and the gradient's norm."""
        where, options = self.position, self.options
        rate = learning_rate(options, where.epoch, where.step / self.steps)
        set_learning_rate(self.optimizer, rate)
        self.scaler.unscale_(self.optimizer)
        limit = options.clip_norm if options.clip_norm is not None else float("inf")
        norm = float(nn.utils.clip_grad_norm_(trainable(self.model).values(), limit))
        # Infinite gradients are normal for fp16's scaler: it skips the step and scales down.
        if not _finite(norm) and not self.scaler.is_enabled():
            raise self._not_finite("a gradient", batch)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        where.updates += 1
        return rate, norm

    def _not_finite(self, what: str, batch: Batch, values: str = "") -> RunError:
        return RunError(
            f"{what} is not finite in epoch {self.position.epoch}, step {self.position.step}"
            f"{values}; videos of the batch: {', '.join(batch.video.draws.items[:8])} ...",
            hint="lower train.lr, or set train.clip_norm=1; the newest checkpoint is valid",
        )

    def _pause(self) -> None:
        """Between two optimiser steps: save a checkpoint if it is due, stop if requested."""
        every = self.options.checkpoint_steps
        with distributed.waiting_for(f"the end of optimiser step {self.position.updates}"):
            stopping = distributed.any_rank(bool(self.stop), self.device)
        if stopping or (every and self.position.updates % every == 0):
            self._save()
        if stopping:
            raise self.stop.error(
                f"stopped in epoch {self.position.epoch}; everything so far is saved",
                self.folder.parent,
            )

    def _select(self) -> None:
        """Evaluate the model on the selection part; save it if it is the best so far."""
        where = self.position
        done = where.epoch + 1
        due = done % self.evaluation.every == 0 or done == self.options.epochs
        if not self.select_items or not due:
            return
        if distributed.rank() == 0:
            report = evaluate(
                self.model,
                self.dataset,
                self.select_items,
                options=self.evaluation,
                device=self.device,
            ).report
            if report["SumR"] > where.best:
                where.best, where.best_epoch = report["SumR"], done
                self._save_model("best", done)
            part = "test" if self.options.select == "test" else "val"
            self.log.write({"kind": "validation", "epoch": done, "part": part, **report})
        distributed.barrier("rank 0, which measures the validation part")

    def _save(self) -> None:
        if distributed.rank() == 0:
            self.position.log_bytes = self.log.sync()
            tensors = {f"model/{k}": v for k, v in self.model.state_dict().items()}
            optimizer = optimizer_tensors(self.model, self.optimizer)
            tensors |= {f"optimizer/{name}": tensor for name, tensor in optimizer.items()}
            state = {
                "position": _position_state(self.position),
                "scaler": self.scaler.state_dict(),
                "optimised": sorted({name.rpartition("/")[0] for name in optimizer}),
                "seed": self.seed,
                **self.identity,
            }
            folder = self.folder / "checkpoints"
            # By update, then by epoch: an epoch's end sorts after its last step.
            name = f"{self.position.updates:09d}-{self.position.epoch:05d}.safetensors"
            save(folder / name, tensors, state)
            checkpoint.prune(folder, self.options.keep or checkpoint.KEPT)
        distributed.barrier("rank 0, which writes a checkpoint")

    def _restore(self) -> None:
        newest = checkpoint.load_newest(self.folder / "checkpoints")
        if newest is None:
            return
        path, tensors, state = newest
        checkpoint.check_identity(state, {**self.identity, "seed": self.seed}, path)
        try:
            self._load(path, tensors, state)
        except CheckpointError as error:
            error.hint = checkpoint.without(path)
            raise

    def _load(self, path: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        known = checkpoint.check_state(state, checkpoint.TrainingState, path)
        self.position = self._position(known["position"], path)
        scaler = self.scaler.state_dict().keys()
        if known["scaler"].keys() != scaler:
            raise CheckpointError(
                f"{path} is damaged: its scaler has {sorted(known['scaler'])}, not {sorted(scaler)}"
            )
        checkpoint.load_weights(self.model, _below("model/", tensors), str(path))
        optimizer = _below("optimizer/", tensors)
        load_optimizer(self.model, self.optimizer, optimizer, known["optimised"], str(path))
        self.scaler.load_state_dict(known["scaler"])

    def _position(self, state: PositionState, path: Path) -> Position:
        position = Position(
            epoch=state["epoch"],
            step=state["step"],
            updates=state["updates"],
            best_epoch=state["best_epoch"],
            best=float("-inf") if state["best"] is None else state["best"],
            log_bytes=state["log_bytes"],
        )
        done = position.epoch * self.updates + position.step // self.options.accumulate
        possible = position.epoch <= self.options.epochs and position.step <= self.steps
        if not possible or position.updates != done:
            raise CheckpointError(
                f"{path} is damaged: there is no position {state} in {self.options.epochs} epochs "
                f"of {self.steps} steps"
            )
        return position

    def _save_model(self, name: str, epoch: int) -> None:
        """Write the weights that search needs, without pretext tasks and optimiser."""
        if distributed.rank() == 0:
            tensors = {
                key: value
                for key, value in self.model.state_dict().items()
                if not key.startswith("pretexts.")
            }
            state = {"epoch": epoch, "seed": self.seed, **self.identity}
            save(self.folder / "models" / f"{name}.safetensors", tensors, state)


def updates_per_epoch(train: TrainOptions, items: Sequence[Item]) -> int:
    """Return how many optimiser steps an epoch has.

    Raises:
        RecipeError: the batch cannot be shared by ranks and micro-batches, or there are too few
            videos for one step.
    """
    world = distributed.world_size()
    if train.batch_size % (train.accumulate * world):
        raise RecipeError(
            [
                f"train.batch_size: {train.batch_size} is not a multiple of train.accumulate "
                f"({train.accumulate}) times the number of ranks ({world})"
            ]
        )
    micro_batch = train.batch_size // train.accumulate
    updates = steps_per_epoch(items, micro_batch) // train.accumulate
    if updates == 0:
        raise RecipeError(
            [
                f"train.accumulate: {len(items)} training videos make fewer than "
                f"{train.accumulate} micro-batches of {micro_batch}"
            ]
        )
    return updates


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _position_state(position: Position) -> dict[str, Any]:
    # JSON has no infinity.
    best = None if position.best == float("-inf") else position.best
    return {**vars(position), "best": best}


def _finite(value: float) -> bool:
    return value - value == 0
