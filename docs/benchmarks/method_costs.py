"""What each method costs: ``python docs/benchmarks/method_costs.py RECIPE... [KEY=VALUE]...``.

Every recipe takes a few training steps in a process of its own. Prints the median step and the
steps of an epoch times it, in CPU seconds (user and system, all threads) and by the wall clock,
and the largest memory that the process held, reading and optimiser included.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time

STEPS = 5


def main() -> None:
    recipes = [word for word in sys.argv[1:] if "=" not in word]
    overrides = [word for word in sys.argv[1:] if "=" in word]
    print("| recipe | data | B | CPU s a step | s a step | CPU s an epoch | peak MiB |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for recipe in recipes:
        child = [sys.executable, __file__, "--one", recipe, *overrides]
        done = subprocess.run(child, capture_output=True, text=True)
        if done.returncode:
            print(f"| {recipe} | {done.stderr.strip().splitlines()[-1]} | | | | | |", flush=True)
            continue
        print("| {recipe} | {data} | {batch} | {cpu:.2f} | {wall:.2f} | {epoch:.0f} | {peak:.0f} |"
              .format(**json.loads(done.stdout)), flush=True)  # fmt: skip


def one(name: str, overrides: list[str]) -> None:
    """Train one recipe for some steps and print what it took as JSON."""
    import torch

    from varkit.data.batches import steps_per_epoch, training_batches
    from varkit.model.build import build_dataset, build_model
    from varkit.recipe.load import load_recipe
    from varkit.system.machine import usable_cores
    from varkit.training.optimiser import make_optimizer

    recipe, plugins = load_recipe(name, overrides)
    torch.set_num_threads(usable_cores())
    torch.manual_seed(0)
    dataset = build_dataset(recipe, plugins)
    model = build_model(recipe, plugins, dataset)
    optimizer = make_optimizer(model, recipe.train)
    items = dataset.split("train")
    cpu: list[float] = []
    wall: list[float] = []
    # Twice the same batches, the first time uncounted: by then frozen captions are encoded.
    for counted in (False, True):
        batches = training_batches(
            dataset,
            items,
            tokenize=getattr(model.query, "tokenize", None),
            batch_size=recipe.train.batch_size,
            max_clips=recipe.train.max_clips,
            seed=0,
            epoch=0,
        )
        for _ in range(STEPS):
            began = time.process_time(), time.perf_counter()
            model(next(batches))["total"].backward()
            optimizer.step()
            optimizer.zero_grad()
            if counted:
                cpu.append(time.process_time() - began[0])
                wall.append(time.perf_counter() - began[1])
    step = statistics.median(cpu)
    found = {
        "recipe": recipe.name,
        "data": dataset.name + (" (simulated data)" if dataset.simulated else ""),
        "batch": recipe.train.batch_size,
        "cpu": step,
        "wall": statistics.median(wall),
        "epoch": step * steps_per_epoch(items, recipe.train.batch_size),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2], sys.argv[3:])
    else:
        main()
