"""Folders of measured runs, written from ranks, without a model."""

import json

import numpy as np

from varkit.evaluation.rank import within
from varkit.evaluation.rank_files import RankRow, write_ranks

WAYS = ("query_to_video", "video_to_query")
MEASURED = {
    "run": "runs/tiny/a",
    "changes": [],
    "recipe_differs": False,
    "data_differs": False,
    "dataset": "Tiny",
    "weights": {},
    "seconds": 1.0,
}


def random_ranks(seed, videos=30, *, seeds=1, repeats=1, captions=None, strength=1.0):
    """Return (S, P, Q) and (S, P, V) ranks from 1 to 3 digits, some with a tie's half."""
    random = np.random.default_rng(seed)
    queries = videos if captions is None else sum(captions)
    ranks = [
        np.ceil(2 * np.exp(strength * random.normal(1, 1.2, (seeds, repeats, n)))) / 2 + 0.5
        for n in (queries, videos)
    ]
    return tuple(np.maximum(found, 1.0) for found in ranks)


def rank_rows(
    queries, videos, *, captions=None, classes=None, text="a man falls, {}", size=1, hits=None
):
    """Return the rows of (P, Q) and (P, V) ranks; every other video is abnormal.

    Args:
        queries: ranks of the queries, of each sampler seed.
        videos: ranks of the videos.
        captions: how many queries each video has; None = 1.
        classes: position of a video -> what happens in it.
        text: of the captions.
        size: how many videos in turn are one cluster.
        hits: of every row, if it ties; None = what its rank says.
    """
    captions = [1] * videos.shape[1] if captions is None else captions
    owner = np.repeat(np.arange(len(captions)), captions).tolist()
    if classes is None:
        classes = ([("Arson",), ("Riot", "Fighting")] * len(captions)).__getitem__
    rows = []
    for repeat in range(len(queries)):
        places = [("query_to_video", i, v) for i, v in enumerate(owner)]
        places += [("video_to_query", v, v) for v in range(len(captions))]
        for (way, i, v), rank in zip(places, [*queries[repeat], *videos[repeat]], strict=True):
            forth = way == "query_to_video"
            rows.append(
                RankRow(
                    direction=way,
                    repeat=repeat,
                    id=f"q{i}" if forth else f"v{i}",
                    answer=f"v{v}" if forth else f"q{owner.index(v) if v in owner else 0}",
                    rank=float(rank),
                    hits=tuple(within(rank[None])[0].tolist()) if hits is None else hits,
                    ties=0 if hits is None else 1,
                    video=f"v{v}",
                    cluster=f"v{v - v % size}",
                    label=v % 2,
                    classes=classes(v),
                    clips=10,
                    anomaly=None,
                    text=text.format(i) if forth else None,
                )
            )
    return rows


def write_runs(folder, *facts, **options):
    """Write runs a, b, ... with these facts and ranks of their own; return their folders."""
    return [
        write_run(folder / name, random_ranks(seed, **options), **own)
        for seed, (name, own) in enumerate(zip("abcd", facts, strict=False))
    ]


def write_run(folder, ranks, *, checkpoint="best", reports=None, split="test", rows=None, **facts):
    """Write run.json, results.json and the ranks of a run; return its folder.

    Args:
        folder: of the run.
        ranks: (S, P, Q) and (S, P, V).
        checkpoint: what was measured.
        reports: changes of every report in the results.
        split: in the results.
        rows: arguments of :func:`rank_rows`.
        facts: changes of ``run.json``.
    """
    folder.mkdir(parents=True)
    seeds = list(range(len(ranks[0])))
    about = {
        "schema": 1,
        "recipe": "tiny",
        "dataset": "Tiny",
        "simulated": False,
        "embedded": False,
        "missing": [],
        "seeds": seeds,
        "selection": "val",
        "fingerprint": "f00d",
        "questions": "f00d",
        "versions": {},
        "machine": "a machine",
        "command": "varkit run tiny.yaml",
        "started": "2026-01-02T03:04:05+00:00",
    }
    if "measured_from" in facts:
        facts["measured_from"] = MEASURED | facts["measured_from"]
    (folder / "run.json").write_text(json.dumps(about | facts))
    trainings = {}
    for seed, queries, videos in zip(seeds, *ranks, strict=True):
        own = rank_rows(queries, videos, **(rows or {}))
        write_ranks(folder / f"seed-{seed}" / "ranks" / f"{checkpoint}.jsonl", own)
        ways = ([row.hits for row in own if row.direction == way] for way in WAYS)
        total = sum(100 * float(np.mean(hits, axis=0).sum()) for hits in ways)
        report = {"SumR": total, "tie_rule": "average", "positives": "own", **(reports or {})}
        trainings[str(seed)] = {"best": None, "last": None, checkpoint: report}
    (folder / "results.json").write_text(json.dumps({"split": split, "seeds": trainings}))
    return folder
