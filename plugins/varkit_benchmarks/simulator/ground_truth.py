"""What is known of a simulated video beyond what its benchmark says: everything that made it.

``ground_truth.json`` holds, by video::

    clips     T
    factors   of the captioned event, factor -> value
    events    class, segments [start, end) in clips, and whether the query is about it
    phrases   of the caption, in order: factor (empty = names nothing) and text

``ground_truth/VIDEO.npz`` holds, by clip::

    anomaly   (T,) bool, something anomalous happens
    events    (H, T) bool, which events happen
    phrases   (P, T) bool, the clips that show what a phrase names
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varkit_benchmarks.layout import SIMULATED
from varkit_benchmarks.simulator.parts import ALWAYS, outcome_begins
from varkit_benchmarks.simulator.population import Happening, SimulatedVideo

FOLDER = "ground_truth"


def write_ground_truth(videos: Sequence[SimulatedVideo], root: Path) -> None:
    """Write the truth about all videos below a benchmark's folder."""
    text = json.dumps({video.name: _facts(video) for video in videos}, indent=1)
    (root / SIMULATED).write_text(text, encoding="utf-8")
    (root / FOLDER).mkdir()
    for video in videos:
        np.savez_compressed(root / FOLDER / f"{video.name}.npz", **_masks(video))


def read_ground_truth(root: Path) -> dict[str, dict[str, Any]]:
    """Return video -> facts, without what is known by clip."""
    facts: dict[str, dict[str, Any]] = json.loads((root / SIMULATED).read_text(encoding="utf-8"))
    return facts


def read_masks(root: Path, video: str) -> dict[str, NDArray[np.bool_]]:
    """Return what is known of a video by clip, by the names above."""
    with np.load(root / FOLDER / f"{video}.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _facts(video: SimulatedVideo) -> dict[str, Any]:
    return {
        "clips": video.clips,
        "factors": video.happenings[0].scenario.factors(),
        "events": [
            {
                "class": happening.scenario.event.name,
                "segments": happening.segments,
                "captioned": number == 0 or happening.scenario.anomalous,
            }
            for number, happening in enumerate(video.happenings)
        ],
        "phrases": [{"factor": p.factor, "text": p.text} for p in video.phrases],
    }


def _masks(video: SimulatedVideo) -> dict[str, Any]:
    during = np.zeros((len(video.happenings), video.clips), bool)
    for row, happening in zip(during, video.happenings, strict=True):
        for start, end in happening.segments:
            row[start:end] = True
    anomalous = [happening.scenario.anomalous for happening in video.happenings]
    phrases = np.zeros((len(video.phrases), video.clips), bool)
    for row, phrase in zip(phrases, video.phrases, strict=True):
        row[:] = _clips_of(phrase.factor, video.happenings[0], during[0])
    return {"anomaly": during[anomalous].any(axis=0), "events": during, "phrases": phrases}


def _clips_of(factor: str, event: Happening, during: NDArray[np.bool_]) -> NDArray[np.bool_]:
    clips = np.arange(len(during))
    if factor == "":
        return clips < 0
    if factor in ALWAYS:
        return clips >= 0
    return during & (clips >= outcome_begins(event)) if factor == "outcome" else during
