"""A linear probe on extracted features: which folder is a file from?

``docs/benchmarks/probe.py STORE STREAM [--folds PATTERN]``: STORE was made by ``varkit extract`` of
a folder with one folder for each class; STREAM is such as ``i3d.features``. A file is the mean over
its clips. Ridge regression to the classes, whose weight is chosen inside each fold, gives every
file scores by a probe that has not seen its fold. PATTERN is a regular expression whose group names
a file's fold; without it each file is a fold. Prints the accuracy and, for two classes, the area
under the ROC curve, with 95 % intervals from 2,000 bootstrap samples of the files.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from varkit.media.store import Store

Numbers = NDArray[np.float64]
WEIGHTS = 10.0 ** np.arange(-3, 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("stream")
    parser.add_argument("--folds", metavar="PATTERN")
    args = parser.parse_args()
    features, classes, folds = [], [], []
    with Store(args.store) as store:
        for video in store.catalogue.videos():
            tensors = store.tensors(video) if video.status != "failed" else {}
            if args.stream in tensors:  # a video without sound has no stream of sound
                path = PurePosixPath(video.name)
                features.append(tensors[args.stream].mean(axis=-2, dtype=np.float64).ravel())
                classes.append(path.parts[0])
                found = re.search(args.folds, path.name) if args.folds else None
                folds.append(found[1] if found else video.name)
    names, labels = np.unique(classes, return_inverse=True)
    x, y = np.stack(features), np.where(np.eye(len(names))[labels] > 0, 1.0, -1.0)
    scores = held_out(x, y, np.array(folds))
    report("accuracy", lambda rows: np.mean(scores[rows].argmax(1) == labels[rows]), len(y))
    if len(names) == 2:
        report("AUC", lambda rows: auc(scores[rows, 0], y[rows, 0]), len(y))
    print(f"{len(y)} files, {len(names)} classes, {len(set(folds))} folds, {x.shape[1]} wide")


def held_out(x: Numbers, y: Numbers, folds: NDArray[np.str_]) -> Numbers:
    """Return the (N, classes) scores of each file by a probe that has not seen its fold."""
    scores = np.empty_like(y)
    for fold in np.unique(folds):
        kept = folds != fold
        mean, scale = x[kept].mean(0), x[kept].std()  # one scale: the columns share a unit
        inside, outside = (x[kept] - mean) / scale, (x[~kept] - mean) / scale
        offset = y[kept].mean(0)
        u, s, v = np.linalg.svd(inside, full_matrices=False)
        projected = u.T @ (y[kept] - offset)
        errors = []
        for weight in WEIGHTS:  # the leave-one-out error of ridge regression in closed form
            hat = (u * (s**2 / (s**2 + weight))) @ u.T
            residual = y[kept] - offset - hat @ (y[kept] - offset)
            own = np.diag(hat) + 1 / len(hat)  # a file's part in its own score, by the offset too
            errors.append(np.square(residual / (1 - own)[:, None]).mean())
        weight = WEIGHTS[int(np.argmin(errors))]
        scores[~kept] = outside @ (v.T @ ((s / (s**2 + weight))[:, None] * projected)) + offset
    return scores


def auc(scores: Numbers, y: Numbers) -> float:
    """Return how often a file of the class scores above another; equal scores count half."""
    differences = scores[y > 0][:, None] - scores[y < 0][None]
    return float(((differences > 0) + 0.5 * (differences == 0)).mean())


def report(name: str, measure: Callable[[NDArray[np.int64]], float], count: int) -> None:
    chance = np.random.default_rng(0)
    drawn = [measure(rows) for rows in chance.integers(0, count, (2000, count))]
    low, high = np.percentile(drawn, [2.5, 97.5])
    print(f"{name} {measure(np.arange(count)):.3f} [{low:.3f}, {high:.3f}]")


if __name__ == "__main__":
    main()
