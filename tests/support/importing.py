"""Captions and features in other projects' layouts, imported and trained on."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from varkit_datasets.folder import Folder
from varkit_datasets.importing.folder import Imported, import_folder
from varkit_datasets.importing.request import Request

import varkit
from varkit.blocks.tiny_language import write_tiny_language
from varkit.data.inspect.verify import verify

TRAIN, TEST = tuple(f"video{i}" for i in range(6)), ("video6", "video7")
VIDEOS = (*TRAIN, *TEST)
SENTENCES = ("a man runs away", "a red car hits the store", "people walk in the street")


def clips(video: str, length: int = 5, width: int = 4, seed: int = 0) -> np.ndarray:
    """Return the features of a video, the same for the same name."""
    random = np.random.default_rng([seed, zlib.crc32(video.encode())])
    return random.standard_normal((length, width)).astype(np.float32)


def said(video: str) -> list[str]:
    """Return two captions of a video, in words of its own."""
    letter = "abcdefghijklmnopqrstuvwxyz"[zlib.crc32(video.encode()) % 26]
    return [f"{letter} {SENTENCES[len(video) % 3]}", f"{letter} walks"]


def write_json(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_npz(path: Path, videos: Sequence[str] = VIDEOS) -> str:
    """Write an array for each video, and return the path."""
    np.savez(path, **{video: clips(video) for video in videos})
    return str(path)


def write_lists(folder: Path) -> list[tuple[str, Path]]:
    """Write a list of each split, as of :data:`VIDEOS`."""
    lists = [("train", folder / "train.txt"), ("test", folder / "test.txt")]
    for (_, path), names in zip(lists, (TRAIN, TEST), strict=True):
        path.write_text("\n".join(names))
    return lists


def write_table(folder: Path, videos: Sequence[str] = VIDEOS) -> Path:
    """Write captions as a table with columns ``video``, ``split`` and ``caption``."""
    rows = [
        {"video": v, "split": "test" if v in TEST else "train", "caption": text}
        for v in videos
        for text in said(v)
    ]
    return write_json(folder / "table.json", rows)


def imported(
    layout: str,
    captions: Sequence[Path | tuple[str, Path]],
    features: str | Mapping[str, str],
    out: Path,
    **options: Any,
) -> Imported:
    """Import; a bare path of features is the stream ``object``."""
    pairs = [pair if isinstance(pair, tuple) else (None, pair) for pair in captions]
    streams = {"object": features} if isinstance(features, str) else features
    return import_folder(
        Request(layout=layout, captions=pairs, features=streams, out=out, **options)
    )


def rows_of(out: Path) -> dict[str, dict[str, Any]]:
    """Return the lines of a manifest, by video."""
    lines = (out / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["video"]: row for row in map(json.loads, lines)}


def opened(result: Imported) -> Folder:
    """Open an imported folder as its printed ``data`` section says."""
    return Folder(**{key: value for key, value in result.data.items() if key != "use"})


def trained(result: Imported, folder: Path) -> None:
    """Verify an imported folder, and train on it for an epoch."""
    options = {key: value for key, value in result.data.items() if key != "use"}
    verification = verify(Folder.survey(**options))
    assert verification.faults == (), verification.faults
    if not (folder / "language").exists():
        write_tiny_language(folder / "language")
    recipe = folder / "tiny.yaml"
    sections = {
        "version": 1,
        "data": dict(result.data),
        "model": {"dim": 8, "experts": list(result.data["streams"])},
        "video": {"use": "mean_pool"},
        "query": {"use": "bert", "model": str(folder / "language"), "finetune": False},
        "alignments": {"avg": {"use": "avg", "weight": 1.0}},
        "objective": {"use": "margin_ranking"},
        "train": {"epochs": 1, "batch_size": 4, "validation": 0.25},
    }
    recipe.write_text(yaml.safe_dump(sections))
    run = varkit.train(recipe, out=folder / "runs")
    assert json.loads((run.folder / "results.json").read_text())["seeds"]
