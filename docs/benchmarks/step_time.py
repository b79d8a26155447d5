"""Where a training step's time goes: ``python docs/benchmarks/step_time.py RECIPE [KEY=VALUE]...``.

Prints the median time of each part's forward pass, of the backward pass and of the update, over
some steps after as many that are not counted, and the share of each in a step.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import defaultdict

import torch
from torch import nn

from varkit.data.batches import training_batches
from varkit.interfaces import derive_seed
from varkit.model.build import build_dataset, build_model
from varkit.recipe.load import load_recipe
from varkit.system.machine import usable_cores
from varkit.training.optimiser import make_optimizer

STEPS = 8


def main() -> None:
    recipe, plugins = load_recipe(sys.argv[1], sys.argv[2:])
    torch.set_num_threads(usable_cores())
    torch.manual_seed(0)
    dataset = build_dataset(recipe, plugins)
    model = build_model(recipe, plugins, dataset)
    optimizer = make_optimizer(model, recipe.train)
    clock: dict[str, list[float]] = defaultdict(list)
    parts: dict[str, float] = defaultdict(float)
    parents = {"detector": "video"}
    watched = {"video": model.video, "query": model.query, **dict(model.pretexts.items())}
    if model.video.detector is not None:
        watched["detector"] = model.video.detector
    for name, module in watched.items():
        watch(module, name, parts)
    # The uncounted steps read the same batches, so that frozen captions are encoded by then.
    for step in range(-STEPS, STEPS):
        batches = training_batches(
            dataset,
            dataset.split("train"),
            tokenize=getattr(model.query, "tokenize", None),
            batch_size=recipe.train.batch_size,
            max_clips=recipe.train.max_clips,
            seed=0,
            epoch=0,
            start=step % STEPS,
        )
        parts.clear()
        began = time.perf_counter()
        batch = next(batches)
        parts["data"] = time.perf_counter() - began
        torch.manual_seed(derive_seed(step))
        forward = time.perf_counter()
        loss = model(batch)["total"]
        backward = time.perf_counter()
        loss.backward()
        update = time.perf_counter()
        optimizer.step()
        optimizer.zero_grad()
        end = time.perf_counter()
        for child, parent in parents.items():
            parts[parent] -= parts.get(child, 0.0)
        known = sum(parts[name] for name in watched)
        parts["similarity and losses"] = backward - forward - known
        parts["backward"] = update - backward
        parts["optimiser"] = end - update
        parts["step"] = end - began
        if step >= 0:
            for name, seconds in parts.items():
                clock[name].append(seconds)
    whole = statistics.median(clock["step"])
    simulated = " (simulated data)" if dataset.simulated else ""
    print(
        f"{recipe.name} on {dataset.name}{simulated}, B = {recipe.train.batch_size}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, median of {STEPS} steps"
    )
    for name, seconds in clock.items():
        middle = statistics.median(seconds)
        print(f"{name:24s} {middle * 1e3:9.1f} ms {100 * middle / whole:6.1f} %")


def watch(module: nn.Module, name: str, parts: dict[str, float]) -> None:
    """Add the time of a module's forward passes to a part."""

    def before(*_: object) -> None:
        parts[name] -= time.perf_counter()

    def after(*_: object) -> None:
        parts[name] += time.perf_counter()

    module.register_forward_pre_hook(before)
    module.register_forward_hook(after)


if __name__ == "__main__":
    main()
