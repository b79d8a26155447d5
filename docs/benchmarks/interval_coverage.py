"""Do 95 % intervals hold? ``python docs/benchmarks/interval_coverage.py``.

Draws test sets again and again from simulated populations of videos and captions, ranks each with
two methods, and counts how often the intervals of ``varkit compare`` hold the truth: the mean
difference over all test sets of that size, each ranked within itself. Docs: compare.md.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from varkit_studies.comparison.resampling import (
    FIGURES,
    bootstrap,
    figures,
    interval,
    interval_with_trainings,
    randomisation_test,
)

from varkit.evaluation.rank import hit_chances

SHOWN = tuple(FIGURES.index(name) for name in ("query_to_video.R@1", "SumR"))


@dataclass(frozen=True)
class Population:
    """Videos and captions as two methods see them: a common content, and noise.

    Attributes:
        width: of the embeddings.
        shared: noise that both methods have on a video or caption.
        own: noise that each has for itself, half of its variance new in each training.
        strength: of each method's noise.
        spread: how much (log) the strength differs from training to training.
        unit: whether embeddings are normalised.
        clusters: how far contents lie around 14 centres instead of one.
        hubs: videos that score high with every caption, in units of the scores' deviation.
        captions: a video has 1 to so many.
        sharing: 1 to so many videos have the same content and the same one caption.
        rule: which answers are right where captions are equal.
        together: whether videos with equal captions are drawn together, as ``varkit compare``
            does under the rules ``duplicates`` and ``unique``.
    """

    width: int = 16
    shared: float = 1.0
    own: float = 0.7
    strength: tuple[float, float] = (1.0, 1.0)
    spread: float = 0.0
    unit: bool = True
    clusters: float = 0.0
    hubs: float = 0.0
    captions: int = 1
    sharing: int = 1
    rule: Literal["own", "duplicates", "unique"] = "own"
    together: bool = False

    @property
    def equal(self) -> bool:
        """Whether the methods are equally good."""
        return self.strength[0] == self.strength[1]

    def draw(
        self, videos: int, trainings: int, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (C, 2) counts and (2, S, C, 6) hits of both methods on a new test set.

        C is V, or the number of different captions if ``together``.
        """
        owner = np.repeat(np.arange(videos), random.integers(1, self.captions + 1, videos))
        centres = self.clusters * np.random.default_rng(14).standard_normal((14, self.width))
        content = random.standard_normal((videos, self.width))
        content += centres[random.integers(0, 14, videos)]
        first, caption = np.arange(videos), np.arange(len(owner))
        if self.sharing > 1:
            sizes = random.integers(1, self.sharing + 1, videos)
            first = caption = np.repeat(np.cumsum(sizes) - sizes, sizes)[:videos]
            content = content[first]
        if self.rule == "unique":
            owner = caption = np.unique(first)
        own = self.rule == "own"
        right = np.nonzero(
            np.arange(videos)[:, None] == owner if own else first[:, None] == caption
        )
        place = np.unique(first, return_inverse=True)[1] if self.together else np.arange(videos)
        counts = np.stack([np.bincount(c, minlength=max(place) + 1) for c in (place[owner], place)])
        sides = (content, content[owner])
        rows = (np.arange(videos), caption)  # equal captions have one vector, so one noise

        def noise() -> list[np.ndarray]:
            return [random.standard_normal((max(row) + 1, self.width))[row] for row in rows]

        common = noise()
        hits = np.empty((2, trainings, counts.shape[1], 6))
        for method, strength in enumerate(self.strength):
            lasting = noise()
            popular = self.hubs * random.standard_normal((videos, 1))
            for training in range(trainings):
                scale = strength * np.exp(self.spread * random.standard_normal())
                video, query = (
                    side
                    + scale * self.shared * everybody
                    + scale * self.own * np.sqrt(0.5) * (own + new)
                    for side, everybody, own, new in zip(
                        sides, common, lasting, noise(), strict=True
                    )
                )
                if self.unit:
                    video /= np.linalg.norm(video, axis=1, keepdims=True)
                    query /= np.linalg.norm(query, axis=1, keepdims=True)
                scores = video @ query.T
                scores += popular * scores.std()
                scores = scores.astype(np.float32)  # so that equal captions tie
                hits[method, training] = count_hits(scores, right, place, owner)
        return counts.T.astype(float), hits


def count_hits(
    scores: np.ndarray,
    right: tuple[np.ndarray, np.ndarray],
    place: np.ndarray,
    owner: np.ndarray,
) -> np.ndarray:
    """Return (C, 6) how many rows of a cluster are right at K.

    Args:
        scores: (V, Q).
        right: (P,) videos and (P,) queries of the right pairs.
        place: (V,) each video's cluster, from 0 to C - 1.
        owner: (Q,) each query's video.
    """
    known = scores[right]
    found = np.zeros((2, max(place) + 1, 3))
    for way, (seeker, cluster) in enumerate(zip(right[::-1], (place[owner], place), strict=True)):
        best = np.full(len(cluster), -np.inf, scores.dtype)
        np.maximum.at(best, seeker, known)
        tied = np.bincount(seeker, known == best[seeker]).astype(int)
        best = np.expand_dims(best, way)
        above = np.count_nonzero(scores > best, axis=way)
        equal = np.count_nonzero(scores >= best, axis=way) - above
        np.add.at(found[way], cluster, hit_chances(above, equal - tied, tied))
    return np.concatenate(found, axis=1)


@dataclass(frozen=True)
class Study:
    """What came of many test sets; the last axis is (R@1 from caption to video, SumR).

    Attributes:
        values: (M, 2) of the first method.
        differences: (M, 2) second method minus first.
        value_limits: (M, 2 limits, 2) over videos.
        limits: (M, 2 limits, 2) of the differences, over videos.
        wide_limits: (M, 2 limits, 2) over videos and trainings.
        p: (M, 2) of equal methods; (0, 2) of others.
    """

    values: np.ndarray
    differences: np.ndarray
    value_limits: np.ndarray
    limits: np.ndarray
    wide_limits: np.ndarray
    p: np.ndarray


def study(
    population: Population,
    *,
    tests: int,
    videos: int = 290,
    trainings: int = 1,
    resamples: int = 1000,
    seed: int = 0,
) -> Study:
    """Draw M test sets and compare the two methods on each."""
    random = np.random.default_rng(seed)
    found: dict[str, list[np.ndarray]] = {name: [] for name in Study.__dataclass_fields__}
    for _ in range(tests):
        counts, each = population.draw(videos, trainings, random)
        hits = each.mean(axis=1)
        exact = figures(counts.sum(axis=0), hits.sum(axis=1))
        draws = bootstrap(counts, hits, resamples=resamples, random=random)
        change = draws[:, 1] - draws[:, 0]
        narrow = wide = interval(change)
        if trainings > 1:
            seeds = [figures(counts.sum(axis=0), method.sum(axis=1)) for method in each]
            wide = interval_with_trainings(exact[1] - exact[0], change, seeds, random=random)
        found["values"].append(exact[0])
        found["differences"].append(exact[1] - exact[0])
        found["value_limits"].append(interval(draws[:, 0]))
        found["limits"].append(narrow)
        found["wide_limits"].append(wide)
        if population.equal:
            p = randomisation_test(counts, hits[1] - hits[0], resamples=resamples, random=random)
            found["p"].append(p)
    empty = np.empty((0, len(FIGURES)))
    return Study(**{name: np.array(parts or empty)[..., SHOWN] for name, parts in found.items()})


def coverage(limits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return (2,) how often (M, 2 limits, 2) hold the truth."""
    return ((limits[:, 0] <= truth) & (truth <= limits[:, 1])).mean(axis=0)


SHARED = Population(sharing=3, shared=0.7, own=0.5)
STUDIES: dict[str, tuple[Population, dict[str, int]]] = {
    "equal methods": (Population(), {}),
    "equal, much alike": (Population(shared=1.2, own=0.25), {}),
    "one better": (Population(strength=(1.1, 0.95)), {}),
    "clusters of contents": (Population(width=64, shared=2.1, own=1.6, clusters=1), {}),
    "100 videos": (Population(), {"videos": 100}),
    "1 to 5 captions a video": (Population(captions=5, shared=0.9, own=0.6), {"videos": 150}),
    "equal captions, own": (SHARED, {}),
    "equal captions, duplicates": (replace(SHARED, rule="duplicates", together=True), {}),
    "equal captions, unique": (replace(SHARED, rule="unique", together=True), {}),
    "duplicates, video by video": (replace(SHARED, rule="duplicates"), {}),
    "unique, video by video": (replace(SHARED, rule="unique"), {}),
    "not normalised": (Population(shared=0.95, own=0.65, unit=False), {}),
    "some hubs": (Population(shared=0.95, own=0.65, hubs=0.3), {}),
    "strong hubs": (Population(shared=0.75, own=0.55, hubs=0.6), {}),
    "overwhelming hubs": (Population(shared=0.5, own=0.45, hubs=1), {}),
    "2 trainings, much alike": (Population(spread=0.02), {"trainings": 2}),
    "3 trainings, much alike": (Population(spread=0.02), {"trainings": 3}),
    "5 trainings, much alike": (Population(spread=0.02), {"trainings": 5}),
    "2 trainings, unlike": (Population(spread=0.05), {"trainings": 2}),
    "3 trainings, unlike": (Population(spread=0.05), {"trainings": 3}),
    "5 trainings, unlike": (Population(spread=0.05), {"trainings": 5}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tests", type=int, default=2000, help="test sets a population")
    parser.add_argument("--only", default="", help="populations whose names hold this text")
    options = parser.parse_args()
    print(f"{options.tests} test sets each; one binomial standard error at 95 % is", end=" ")
    print(f"{100 * np.sqrt(0.95 * 0.05 / options.tests):.1f} points")
    print("| population | R@1 | SumR | value | difference | with trainings | p <= 0.05 |")
    print("| --- | --: | --: | --: | --: | --: | --: |")
    for name, (population, settings) in STUDIES.items():
        if options.only not in name:
            continue
        found = study(population, tests=options.tests, **settings)
        level = found.values.mean(axis=0)
        truth = found.differences.mean(axis=0)
        cells = [coverage(found.value_limits, level), coverage(found.limits, truth)]
        wide = coverage(found.wide_limits, truth) if settings.get("trainings", 1) > 1 else None
        rejected = (found.p <= 0.05).mean(axis=0) if population.equal else None
        shares = [
            "" if pair is None else f"{100 * pair[0]:.1f} / {100 * pair[1]:.1f}"
            for pair in (*cells, wide, rejected)
        ]
        print(f"| {name} | {level[0]:.1f} | {level[1]:.0f} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
