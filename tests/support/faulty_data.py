"""Small data sets in files, and ways to spoil them."""

from __future__ import annotations

import csv
import string

import numpy as np

LENGTH = 20
LETTERS = string.ascii_lowercase + "αβγδεζηθ"


def make(root, *, videos=6, **columns):
    """A healthy folder of videos with two streams and three crops; return its rows."""
    random = np.random.default_rng(0)
    rows = []
    for i in range(videos):
        for column, width in (("rgb", 4), ("flow", 3)):
            clips = random.standard_normal((3, LENGTH + i, width)).astype(np.float32)
            np.save(root / f"{i}.{column}.npy", clips)
        rows.append(
            {
                "video": f"v{i}",
                "split": "train" if i < videos - 2 else "test",
                "caption": f"{i} men at {LETTERS[i] * 5} run from {i} {LETTERS[i + 1] * 4}",
                "label": i % 2,
                "class": "Fighting" if i % 2 else "Normal",
                "anomaly": "1-3" if i % 2 else "",
                "rgb": f"{i}.rgb.npy",
                "flow": f"{i}.flow.npy",
            }
        )
    write(root, rows)
    return rows


def write(root, rows):
    with (root / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(c for row in rows for c in row)))
        writer.writeheader()
        writer.writerows(rows)


def change(file, edit):
    array = np.load(file)
    np.save(file, edit(array))


def spoil(clip, value=np.nan, crop=0):
    def edit(array):
        array[crop, clip, 1] = value
        return array

    return edit
