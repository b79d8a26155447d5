"""What every shipped recipe computes, to the bit: ``python docs/benchmarks/fixed_figures.py OUT``.

For a change that must move no figure: run it before and after, and compare the two files
(``--against BEFORE`` does so). Every recipe trains one epoch at a tiny size, on one thread of the
CPU, in a process of its own. Kept are the losses of the first five steps, a hash of all tensors
of each checkpoint, the recalls, and a hash of every rank. Everything is read from the run's files,
so that the code may change in between. Bits hold for one machine and one version of torch only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

ROOT = Path(__file__).resolve().parents[2]
TINY = ("model.dim=24", "train.epochs=1", "train.batch_size=4", "train.seeds=[0]")
SIMULATED = ("data.size=small", "data.width=24")
STEPS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--against", type=Path, help="a file made earlier; any difference fails")
    parser.add_argument("--only", default="", help="recipes whose names hold this text")
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        for recipe in sorted((ROOT / "recipes").glob("*.yaml")):
            if options.only in recipe.stem:
                found[recipe.stem] = measured(recipe, Path(scratch))
                print(recipe.stem, json.dumps(found[recipe.stem]["recalls"]), flush=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if options.against is not None:
        before = json.loads(options.against.read_text(encoding="utf-8"))
        sys.exit(compare({name: before.get(name) for name in found}, found))


def measured(recipe: Path, scratch: Path) -> dict[str, Any]:
    """Train one recipe and return its figures."""
    embedded = "\nembedded:" in recipe.read_text(encoding="utf-8")
    data = SIMULATED if embedded else (f"data.root={folder(scratch / 'folder')}",)
    out = scratch / recipe.stem
    command = [sys.executable, "-m", "varkit", "run", str(recipe), *data, *TINY]
    command += ["--device", "cpu", "--threads", "1", "--out", str(out)]
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{recipe.stem}:\n{done.stderr}")
    (seed,) = out.glob("*/*/seed-0")
    log = [json.loads(line) for line in (seed / "metrics.jsonl").read_text().splitlines()]
    results = json.loads((seed / "results.json").read_text(encoding="utf-8"))
    return {
        "losses": [line["losses"] for line in log if line["kind"] == "step"][:STEPS],
        "tensors": {p.stem: tensors(p) for p in sorted((seed / "models").glob("*.safetensors"))},
        "recalls": {
            f"{which} {direction}": [results[which][direction][f"R@{k}"] for k in (1, 5, 10)]
            for which in ("best", "last")
            if results[which] is not None
            for direction in ("query_to_video", "video_to_query")
        },
        "ranks": {p.stem: ranks(p) for p in sorted((seed / "ranks").glob("*.jsonl"))},
    }


def ranks(path: Path) -> str:
    """Return a hash of every rank, whatever else a line says."""
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    kept = [[row[key] for key in ("direction", "repeat", "id", "rank")] for row in rows]
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()[:16]


def tensors(path: Path) -> str:
    """Return a hash of all names, types and numbers of a checkpoint."""
    digest = hashlib.sha256()
    with safe_open(path, "numpy") as file:
        for name in sorted(file.keys()):
            values = file.get_tensor(name)
            digest.update(f"{name} {values.dtype} {values.shape}".encode())
            digest.update(values.tobytes())
    return digest.hexdigest()[:16]


def folder(root: Path) -> Path:
    """Write a small folder of made-up features and captions, the same each time."""
    if root.is_dir():
        return root
    (root / "features").mkdir(parents=True)
    draw = np.random.default_rng(0)
    rows = ["video,split,caption,label,rgb"]
    for i in range(40):
        split = ("train", "train", "train", "test")[i % 4]
        clips = draw.normal(size=(8 + i % 7, 16)).astype("f4")
        np.save(root / "features" / f"v{i:02}.npy", clips)
        rows.append(
            f"v{i:02},{split},person {i % 5} runs past door {i},{i % 2},features/v{i:02}.npy"
        )
    (root / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root


def compare(before: dict[str, Any], after: dict[str, Any]) -> str | None:
    """Return what differs, None where nothing does."""
    different = [
        f"{name}: {part} differ"
        for name, figures in after.items()
        for part, value in figures.items()
        if before[name] is None or before[name][part] != value
    ]
    if not different:
        print(f"{len(after)} recipes equal to the bit")
    return "\n".join(different) or None


if __name__ == "__main__":
    main()
