"""ALAN in a few numbers on a folder of one's own, run through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from click.testing import Result

from tests.support.calls import call
from varkit.evaluation.rank_files import read_ranks

RECIPE = """\
# ALAN in a few numbers, on a folder of one's own.
version: 1
plugins: [parts.py]
data: {{use: folder, root: {root}, query: audio, streams: {{object: rgb}}}}
model: {{dim: 8, experts: [object]}}
samplers:
  fixed: {{use: fixed_frame, count: 4}}
  anomaly: {{use: anomaly_led, count: 4}}
detector: {{use: temporal_convolution, hidden: [6, 4]}}
video: {{use: two_stream, heads: 2}}
query: {{use: audio, heads: 2, gate_norm: layer}}
alignments:
  cls: {{use: cls, weight: 0.5}}
  avg: {{use: avg, weight: 0.5}}
objective: {{use: margin_ranking}}
train: {{epochs: 2, batch_size: 4, lr: 1.0e-2, checkpoint_steps: 1}}
"""
PARTS = """\
import torch
from torch import nn

from varkit import hookimpl
from varkit.interfaces import Item, Sequences


class Early:
    def __init__(self, *, fault: str = ""):
        self.fault = fault

    def __call__(self, scores, mask, draws, *, training):
        picks = torch.zeros(len(mask), 3, dtype=torch.int64)
        if self.fault == "flat":
            return picks[:, 0]
        if self.fault == "behind":
            return picks + 1000
        return picks[:1] if self.fault == "measured" and not training else picks


class Steep(nn.Module):
    def __init__(self, width: int, *, fault: str = ""):
        super().__init__()
        self.linear = nn.Linear(width, 1)
        self.fault = fault

    def forward(self, features, mask):
        scores = self.linear(features).sigmoid().squeeze(-1) * mask
        return scores[..., None] if self.fault == "deep" else scores

    def loss(self, scores, mask, label):
        return scores.mean(1) if self.fault == "loss" else scores.mean()


class Near:
    def __init__(self, *, fault: str = ""):
        self.fault = fault

    def similarity(self, video, query):
        return (video.vectors["cls"].flatten(1) @ query.vectors["cls"].flatten(1).T)[
            : 1 if self.fault == "row" else None
        ]

    def factors(self, representation, side):
        found = representation.vectors["cls"]
        if self.fault == "row":
            return None
        if self.fault == "deep":
            return found
        return found.flatten(1)[:, : 3 if (side, self.fault) == ("query", "short") else None]


class Half:
    def similarity(self, video, query):
        return None


@hookimpl
def register_samplers(register):
    register("early", Early, summary="the first clip")


@hookimpl
def register_detectors(register):
    register("steep", Steep, summary="a linear function")


@hookimpl
def register_alignments(register):
    register("near", Near, summary="an inner product")
    register("half", Half, summary="half of an alignment")
    register("leaves", "leaves_at_once:Class", summary="its module ends the program")
"""


def make_data(
    folder: Path, *, train: tuple[int, ...] = (5, 9, 20, 3, 7, 16), test: tuple[int, ...] = (5, 30)
) -> Path:
    """Write videos of these lengths, a sound each, a manifest and a recipe; return the recipe."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    rows = ["video,split,audio,label,rgb"]
    for split, lengths in (("train", train), ("test", test)):
        for i, length in enumerate(lengths):
            video = f"{split}{i}"
            for name, shape in ((video, (length, 6)), (f"{video}-sound", (2 + i, 3))):
                np.save(folder / f"{name}.npy", random.standard_normal(shape).astype(np.float32))
            rows.append(f"{video},{split},{video}-sound.npy,{i % 2},{video}.npy")
    (folder / "manifest.csv").write_text("\n".join(rows))
    (folder / "parts.py").write_text(PARTS)
    recipe = folder / "tiny.yaml"
    recipe.write_text(RECIPE.format(root=folder))
    return recipe


def recipe_of(**sections: object) -> str:
    """Return the text of the recipe with these sections in place of its own."""
    return yaml.safe_dump(yaml.safe_load(RECIPE.format(root=".")) | {"plugins": []} | sections)


def run(recipe: Path, *arguments: object, out: Path | None = None) -> Result:
    out = recipe.parent.parent / "runs" if out is None else out
    return call("run", recipe, *arguments, "--out", out, "--threads", 1)


def read(file: Path) -> Any:
    """Return what a JSON file holds."""
    return json.loads(file.read_text())


def run_in(out: Path) -> Path:
    """Return the only run below a folder."""
    (file,) = out.glob("*/*/run.json")
    return file.parent


def only_run(recipe: Path) -> Path:
    return run_in(recipe.parent.parent / "runs")


def ranks_of(run: Path, which: str = "last", seed: int = 0) -> dict[tuple[str, str], float]:
    """Return the ranks that a measurement saved, by direction and identifier."""
    rows = read_ranks(run / f"seed-{seed}" / "ranks" / f"{which}.jsonl")
    return {(row.direction, row.id): row.rank for row in rows}


def log_of(run: Path, seed: int = 0) -> list[dict[str, Any]]:
    """Return the records of a training's log."""
    lines = (run / f"seed-{seed}" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]
