"""A manifest of real surveillance clips, made by the example script."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "scfd_folder.py"


def test_the_script_splits_recordings_by_a_seed_and_captions_by_folder(real_data, tmp_path):
    source = real_data / "scfd"
    if not source.is_dir():
        pytest.skip(f"no surveillance clips in {source}")
    parts = []
    for seed in (0, 0, 1):
        subprocess.run([sys.executable, SCRIPT, source, tmp_path, "--seed", str(seed)], check=True)
        with (tmp_path / "manifest.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        parts.append({row["video"]: row["split"] for row in rows})
    assert parts[0] == parts[1] != parts[2]
    counts = Counter((video.split("/")[0], part) for video, part in parts[2].items())
    for folder in ("fight", "noFight"):
        assert counts[folder, "train"] + counts[folder, "test"] == 60
        assert 15 <= counts[folder, "test"] <= 20
    captions = {
        split: {r["caption"] for r in rows if r["split"] == split} for split in ("train", "test")
    }
    assert not captions["train"] & captions["test"]
    sides, seen, recording = {}, set(), ""
    for line in (source / "videos.txt").read_text(encoding="utf-8").splitlines():
        recording = line if line.startswith("http") else recording
        for folder in ("fight", "noFight"):
            video = f"{folder}/{line.partition(':')[0]}.mp4"
            if video in parts[2] and video not in seen:  # one is listed twice
                seen.add(video)
                sides.setdefault(recording, set()).add(parts[2][video])
    assert {len(side) for side in sides.values()} == {1}, "a recording is in one part"
