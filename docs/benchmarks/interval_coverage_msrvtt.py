"""Do 95 % intervals hold on real data? Usage: ``interval_coverage_msrvtt.py FOLDER``.

FOLDER holds 1,000 videos of MSR-VTT: ``features_50x128_f32.npz`` and ``captions_video0-999.json``.
Linear models from pooled features to the captions' words are fitted on 400 videos; test sets of 100
are drawn from the other 600 and ranked within themselves. As 100 of 600 are no small part, all
intervals are shortened by the square root of 1 - 100 / 600, as the truth varies that much less.
"""

from __future__ import annotations

import json
import re
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
from interval_coverage import SHOWN, count_hits, coverage
from varkit_studies.comparison.resampling import bootstrap, figures, interval

TRAIN, VIDEOS, TESTS, RIDGE = 400, 100, 1000, 300.0


def similarities(folder: Path) -> dict[str, np.ndarray]:
    """Return the (600, 600) scores of four models, a caption each video."""
    random = np.random.default_rng(0)
    with np.load(folder / "features_50x128_f32.npz", allow_pickle=False) as archive:
        place = {str(name): i for i, name in enumerate(archive["ids"])}
        clips = archive["feats"]
    captions: dict[str, list[list[str]]] = {}
    for row in json.loads((folder / "captions_video0-999.json").read_text())["sentences"]:
        words = re.findall("[a-z]+", row["caption"].lower())
        captions.setdefault(row["video_id"], []).append(words)
    names = [f"video{i}" for i in random.permutation(1000)]
    counted: dict[str, int] = {}
    for name in names[:TRAIN]:
        for word in {word for words in captions[name] for word in words}:
            counted[word] = counted.get(word, 0) + 1
    column = {word: i for i, word in enumerate(w for w, n in counted.items() if n >= 5)}
    rarity = np.log(TRAIN / np.array([counted[word] for word in column]))

    def bag(sentences: list[list[str]]) -> np.ndarray:
        found = np.zeros(len(column))
        for word in (word for words in sentences for word in words if word in column):
            found[column[word]] += 1
        found = np.log1p(found) * rarity
        return found / max(np.linalg.norm(found), 1e-9)

    every = np.stack([bag(captions[name]) for name in names[:TRAIN]])
    queries = np.stack([bag(captions[name][:1]) for name in names[TRAIN:]])
    models = {}
    pooled = np.stack([clips[place[name]] for name in names])
    for pooling, features in (("mean", pooled.mean(1)), ("largest", pooled.max(1))):
        known = features[:TRAIN]
        features = (features - known.mean(0)) / (known.std(0) + 1e-6)
        known = features[:TRAIN]
        square = known.T @ known + RIDGE * np.eye(known.shape[1])
        found = features[TRAIN:] @ np.linalg.solve(square, known.T @ (every - every.mean(0)))
        models[f"{pooling}, product"] = found @ queries.T
        found = found / np.linalg.norm(found, axis=1, keepdims=True)
        models[f"{pooling}, cosine"] = found @ queries.T
    return models


def main() -> None:
    random = np.random.default_rng(1)
    models = similarities(Path(sys.argv[1]))
    videos = len(next(iter(models.values())))
    shorter = np.sqrt(1 - VIDEOS / videos)
    drawn = [random.choice(videos, VIDEOS, replace=False) for _ in range(TESTS)]
    counts, place = np.ones((VIDEOS, 2)), np.arange(VIDEOS)
    hits = {
        name: [count_hits(scores[np.ix_(own, own)], (place, place), place, place) for own in drawn]
        for name, scores in models.items()
    }
    for one, other in combinations(models, 2):
        limits, changes = [], []
        for pair in zip(hits[one], hits[other], strict=True):
            both = np.stack(pair)
            draws = bootstrap(counts, both, resamples=1000, random=random)
            exact = figures(counts.sum(axis=0), both.sum(axis=1))
            changes.append((exact[1] - exact[0])[..., SHOWN])
            around = interval(draws[:, 1] - draws[:, 0])[..., SHOWN] - changes[-1]
            limits.append(changes[-1] + shorter * around)
        truth = np.mean(changes, axis=0)
        share = 100 * coverage(np.array(limits), truth)
        print(f"{other} - {one}: R@1 {truth[0]:+.1f}, held in {share[0]:.1f} %;", end=" ")
        print(f"SumR {truth[1]:+.1f}, held in {share[1]:.1f} %")


if __name__ == "__main__":
    main()
