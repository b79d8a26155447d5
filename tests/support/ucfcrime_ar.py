"""UCFCrime-AR in small, as its authors lay it out."""

from __future__ import annotations

import shutil

import numpy as np
import openpyxl
from varkit_datasets.ucfcrime_ar import layout

HEADINGS = ("Video Name", "Chinese Text", "English Text")
TRAIN_NORMAL = "Training_Normal_Videos_Anomaly/Normal_Videos001_x264"
TEST_NORMAL = "Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264"
TRAIN = ("Abuse/Abuse001_x264", "Arson/Arson002_x264", TRAIN_NORMAL)
TEST = ("Arson/Arson009_x264", TEST_NORMAL)
ANNOTATION = "Arson009_x264.mp4  Arson  35  70  -1  -1  \n"


def write_book(path, rows, headings=HEADINGS):
    book = openpyxl.Workbook()
    for row in (headings, *rows):
        book.active.append(row)
    book.save(path)


def row(name, caption="A man runs.", chinese="一名男子在跑。"):
    return (f"{name}.mp4\n", chinese, caption)


def write_features(root, name, *, crops=(0,), length=6, streams=("rgb", "flow")):
    for stream in streams:
        for k in crops:
            suffix = "" if k is None else f"__{k}"
            file = root / stream / f"{name}{suffix}.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, np.full((length, 2), k or 0, np.float32))


def make(root, train=TRAIN, test=TEST, **features):
    for split, names in (("train", train), ("test", test)):
        write_book(root / f"ucf_crime_{split}.xlsx", [row(name) for name in names])
        for name in names:
            write_features(root, name, **features)
    (root / "Temporal_Anomaly_Annotation.txt").write_text(ANNOTATION, encoding="utf-8")


def make_real(root, real_data):
    """UCFCrime-AR with its real captions and lengths, and features of one number."""
    for split in ("train", "test"):
        shutil.copy(real_data / f"ucfcrime_ar/ucf_crime_{split}.xlsx", root)
        lines = (real_data / f"ucf_crime/{split.title()}_Annotation.txt").read_text()
        for line in lines.splitlines():
            name, frames, *_ = line.split()
            file = root / "rgb" / f"{name.removesuffix('.mp4')}__0.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, np.arange(max(1, int(frames) // 16), dtype=np.float16)[:, None])
    shutil.copy(real_data / "ucf_crime/Temporal_Anomaly_Annotation.txt", root)


def faults(root, **options):
    return layout(root=str(root), **options).faults


def remarks(root):
    return layout(root=str(root)).remarks
