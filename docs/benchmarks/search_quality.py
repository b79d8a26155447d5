"""How well search finds things: the tables of the section "Search" of ``docs/results.md``.

``docs/benchmarks/search_quality.py DATA --work FOLDER [--run RUN] [--out FILE]``. DATA has the
folders ``videos`` (the public videos that ``search_queries.py`` names), ``scfd`` (clips of the
Surveillance Camera Fight Dataset, 60 in ``fight`` and 60 in ``noFight``) and ``esc10`` (the sounds
of ESC-10, a folder for each class). Streams are kept in FOLDER. RUN is a trained run on the
simulated benchmark. The tables go to FILE as JSON; ``docs/results.py`` reads
``docs/results/search/quality.json``.

Intervals hold 95 % of 2,000 bootstrap samples of the queries, or of the clips or sounds if these
are what is counted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import comb
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from search_queries import ELSEWHERE, FIGHT, QUERIES, SOUNDS, Query

import varkit
from varkit.cli.search import RELIABLE
from varkit.errors import DataError
from varkit.evaluation.detection import auc, average_precision
from varkit.media.chunks import SOUND_RATE, Sound
from varkit.media.decode import Decoder
from varkit.media.extract_folder import Request, extract_folder
from varkit.media.extractors import read_wanted
from varkit.media.store import Store, stream_file
from varkit.search.make import delete_videos, make_index
from varkit.system.machine import arithmetic

Index, Hit = varkit.Index, varkit.Hit
COMMAND = "docs/benchmarks/search_quality.py DATA --work FOLDER --run RUN --out FILE"
COLUMNS = ("", "value", "95 %", "n", "by chance")
SENSES = {"image + sound": {"space.action": "none"}, "with --actions": {}}
"""What is indexed -> changes of an index whose store has all streams."""
SECONDS = 3.0
"""Length of a sound that is a query."""
NEAR = 1.0
"""Seconds by which a moment may be wrong and still be near."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    streams = args.work / "streams"
    videos = extracted(args.data / "videos", streams / "videos", "image,yamnet,i3d")
    clips = extracted(args.data / "scfd", streams / "scfd", "image,yamnet,i3d")
    sounds = extracted(args.data / "esc10", streams / "esc10", "yamnet")
    both = joined([videos, clips], streams / "videos+scfd")
    made = args.work / "indexes"
    shutil.rmtree(made, ignore_errors=True)
    tables = [
        sentences(videos, both, made),
        moments(videos, made),
        fights(clips, made),
        heard(sounds, made),
        examples(videos, args.data / "videos", made),
        calibration(videos, made),
    ]
    if args.run is not None:
        tables.append(simulated(args.run, made))
    version, _, processor, _, threads = arithmetic(torch.device("cpu"))
    machine = f"{processor}, {threads} thread{'s' * (threads != 1)}, torch {version}"
    for table in tables:
        print(f"\n{table['title']}\n{table['caption']}")
        widths = [max(map(len, column)) for column in zip(COLUMNS, *table["rows"], strict=True)]
        for row in (COLUMNS, *table["rows"]):
            print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)))
    print(f"\n{machine}")
    if args.out is not None:
        shown = {"command": COMMAND, "machine": machine, "columns": COLUMNS, "tables": tables}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(shown, indent=1, ensure_ascii=False) + "\n", "utf-8")


def extracted(media: Path, store: Path, use: str) -> Path:
    """Extract the streams of a folder, as far as they are not there; return the store."""
    wanted = read_wanted([use], ["i3d.stride=64"] if "i3d" in use else [])
    extract_folder(Request(media, store, wanted, device="cpu", threads=1))
    return store


def joined(stores: Sequence[Path], out: Path) -> Path:
    """Make a store of all videos of stores that were extracted alike."""
    with Store(out, writing=True) as whole:
        for root in stores:
            with Store(root) as store:
                for name, (_, record) in store.catalogue.extractors().items():
                    whole.catalogue.register(name, record, {})
                for video in store.catalogue.videos():
                    target = stream_file(out, video)
                    target.parent.mkdir(exist_ok=True)
                    shutil.copy(stream_file(root, video), target)
                    whole.put(video)
    return out


def indexed(store: Path, out: Path, **changes: Any) -> Index:
    """Index a store by the recipe ``labels`` with all of its extractors."""
    with Store(store) as opened:
        there = set(opened.records())
    lacking = {f"extract.{name}": None for name in ("image", "yamnet") if name not in there}
    actions = {"extract.i3d": {"stride": 64}} if "i3d" in there else {}
    return varkit.index(store, out=out, recipe="labels", **lacking, **actions, **changes)


def sentences(videos: Path, both: Path, made: Path) -> dict[str, Any]:
    rows = []
    for store, among in ((videos, "videos"), (both, "videos + scfd")):
        for senses, changes in SENSES.items():
            with indexed(store, made / f"{among}, {senses}", **changes) as index:
                answers = asked(index, [query.text for query in QUERIES])
                count = len(index.videos)
            for k in (1, 3):
                right = [
                    any(stem(hit.video) in query.videos for hit in hits[:k])
                    for query, hits in zip(QUERIES, answers, strict=True)
                ]
                by_chance = [
                    1 - comb(count - len(query.videos), k) / comb(count, k) for query in QUERIES
                ]
                name = f"{count} videos, {senses}: R@{k}"
                rows.append(row(name, np.mean, np.array(right, float), mean(by_chance)))
    return table(
        "Videos that a sentence finds",
        f"{len(QUERIES)} plain sentences about 11 public videos, written before the first search. "
        "R@K: a right video is among the first K. The further videos are 120 short clips of "
        "surveillance cameras.",
        rows,
    )


def moments(videos: Path, made: Path) -> dict[str, Any]:
    queries = [query for query in QUERIES if query.moments]
    rows = []
    for senses, changes in SENSES.items():
        with indexed(videos, made / f"videos, {senses}", **changes) as index:
            answers = asked(index, [query.text for query in queries])
            ends = lengths(index)
        best = [moment_in(hits, query) for query, hits in zip(queries, answers, strict=True)]
        for within, name in ((0.0, "inside"), (NEAR, "at most 1 s off")):
            right = [
                any(a - within <= time <= b + within for a, b in query.moments)
                for query, time in zip(queries, best, strict=True)
            ]
            by_chance = [covered(query, within, ends) for query in queries]
            rows.append(row(f"{senses}: {name}", np.mean, np.array(right, float), mean(by_chance)))
    return table(
        "Moments that a sentence finds",
        "The sentences that describe only a part of a video. The middle of the best moment in the "
        "right video lies inside that part; by chance: of a random time in the right video.",
        rows,
    )


def moment_in(hits: Sequence[Hit], query: Query) -> float:
    """Return the middle of the best moment of the right video."""
    return middle(next(hit for hit in hits if stem(hit.video) in query.videos))


def covered(query: Query, within: float, ends: Mapping[str, float]) -> float:
    """Return which share of the right video is a right answer."""
    times = np.linspace(0, ends[query.videos[0]], 10_000)
    inside = [(times >= a - within) & (times <= b + within) for a, b in query.moments]
    return float(np.any(inside, axis=0).mean())


def fights(clips: Path, made: Path) -> dict[str, Any]:
    with indexed(clips, made / "scfd") as index:
        (hits,) = asked(index, [FIGHT])
    with indexed(clips, made / "scfd, one concept", concepts=[FIGHT]) as index:
        alone = {hit.video: hit.anomaly for hit in asked(index, [FIGHT])[0]}
    truth = np.array([PurePosixPath(hit.video).parts[0] == "fight" for hit in hits])
    scores = {
        "image": [hit.parts["image"] for hit in hits],
        "I3D": [hit.parts["action"] for hit in hits],
        "sound": [hit.parts["sound"] for hit in hits],
        "all three, as ranked": [hit.score for hit in hits],
        "anomaly, 14 concepts": [hit.anomaly for hit in hits],
        "anomaly, this concept alone": [alone[hit.video] for hit in hits],
    }
    alike = np.unique(scores["sound"], return_counts=True)[1].max()
    rows = [
        row(f"{name}: AUC", area, np.array([values, truth], float).T, 0.5)
        for name, values in scores.items()
    ]
    return table(
        "Fights among calm clips",
        f'"{FIGHT}" on 60 clips with a fight and 60 without, of surveillance cameras. Of '
        f"{len(hits)} clips, {alike} are silent; they count "
        "as the mean of the sounds. Anomaly: the largest of a clip's curve.",
        rows,
    )


def heard(sounds: Path, made: Path) -> dict[str, Any]:
    rows = []
    named = [folder.partition(" - ")[2] for folder in SOUNDS]
    with indexed(sounds, made / "esc10") as index:
        for name, texts in (("sentences", list(SOUNDS.values())), ("names of classes", named)):
            answers = asked(index, [f"sound: {text}" for text in texts])
            by_file = [{hit.video: hit.score for hit in hits} for hits in answers]
            files = sorted(by_file[0])
            scores = np.array([[scored[file] for scored in by_file] for file in files])
            truth = np.array([list(SOUNDS).index(file.split("/")[0]) for file in files])
            both = np.column_stack([scores, truth])
            rows += [
                row(f"{name}: mAP", mean_precision, both, 0.1),
                row(f"{name}: accuracy", accuracy, both, 0.1),
            ]
    return table(
        "Sounds that a sentence finds",
        'ESC-10: 24 sounds of each of ten classes, asked with "sound:" before sentences such as "a '
        'dog barking", and before the names of the classes. mAP: mean over the ten of the average '
        "precision of their ranking. Accuracy: the right one of the ten has the largest score.",
        rows,
    )


def mean_precision(both: NDArray[np.float64]) -> float:
    found = [average_precision(both[:, c], both[:, -1] == c) for c in range(len(SOUNDS))]
    return mean([value for value in found if value is not None])


def accuracy(both: NDArray[np.float64]) -> float:
    return float(np.mean(both[:, :-1].argmax(axis=1) == both[:, -1]))


def examples(videos: Path, media: Path, made: Path) -> dict[str, Any]:
    places: list[float] = []
    with (
        indexed(videos, made / "videos, image + sound", **SENSES["image + sound"]) as index,
        tempfile.TemporaryDirectory() as folder,
    ):
        count = len(index.videos)
        for number, (video, samples) in enumerate(soundtracks(index, media)):
            for part, first in enumerate(starts(len(samples))):
                file = Path(folder) / f"{number}-{part}.wav"
                write_wav(file, samples[first : first + int(SECONDS * SOUND_RATE)])
                try:
                    hits = index.search(audio=file, k=count)
                except DataError:  # it is silent
                    continue
                places.append([hit.video for hit in hits].index(video))
        alike = [index.search(like=video)[0].video == video for video in index.videos]
    rank = np.array(places)
    return table(
        "Sounds and videos as queries",
        "The first, middle and last 3 seconds of the sound of each video, unless they are silent; "
        "and whole videos of the index.",
        [
            *(
                row(f"sound: R@{k} of its video", np.mean, (rank < k).astype(float), k / count)
                for k in (1, 5)
            ),
            row("--like: the video itself is first", np.mean, np.array(alike, float), 1 / count),
        ],
    )


def soundtracks(index: Index, media: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the videos with sound and their samples."""
    with Decoder() as decoder:
        for video in index.videos:
            pieces = [
                p.samples for p in decoder.decode(media / video, sound=True) if type(p) is Sound
            ]
            samples = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
            if len(samples) and np.abs(samples).max() > 1e-3:
                yield video, samples


def starts(length: int) -> list[int]:
    last = max(0, length - int(SECONDS * SOUND_RATE))
    return [0, last // 2, last]


def write_wav(file: Path, samples: NDArray[np.float32]) -> None:
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SOUND_RATE)
        out.writeframes((samples.clip(-1, 1) * 32767).astype("<i2").tobytes())


def calibration(videos: Path, made: Path) -> dict[str, Any]:
    rows: list[tuple[str, ...]] = []
    for senses, changes in SENSES.items():
        with indexed(videos, root := made / f"videos, {senses}", **changes) as index:
            there = chances(index, [query.text for query in QUERIES])
            elsewhere = chances(index, ELSEWHERE)
        gone = np.zeros(len(QUERIES))
        for names in dict.fromkeys(query.videos for query in QUERIES):
            chosen = [q for q, query in enumerate(QUERIES) if query.videos == names]
            copy = made / "without"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(root, copy)
            with varkit.open_index(copy) as index:
                removed = [video for video in index.videos if stem(video) in names]
            delete_videos(copy, removed)
            with varkit.open_index(copy) as index:
                gone[chosen] = chances(index, [QUERIES[q].text for q in chosen])
        for name, others in (("of elsewhere", elsewhere), ("with its video removed", gone)):
            both = (
                np.concatenate([-there, -others]),
                np.repeat([1.0, 0.0], [len(there), len(others)]),
            )
            rows.append(row(f"{senses}: AUC, true against {name}", area, np.array(both).T, 0.5))
        for name, values in (("true", there), ("of elsewhere", elsewhere), ("removed", gone)):
            for what, is_so in (
                ("confident", values <= 0.05),
                ("no good match", values > RELIABLE),
            ):
                usual = 0.05 if what == "confident" else 1 - RELIABLE
                rows.append(row(f"{senses}: {name}, {what}", np.mean, is_so.astype(float), usual))
    return table(
        "What a score says",
        "The best hit's chance: the share of unrelated sentences that find anything as good. True: "
        f"the {len(QUERIES)} sentences; of elsewhere: {len(ELSEWHERE)} sentences that describe "
        "nothing in the videos; removed: the true ones in an index without their videos. "
        "Confident: at most 5 %; no good match: more than half. By chance: what a sentence "
        "that has nothing to do with the videos should get.",
        rows,
    )


def chances(index: Index, texts: Sequence[str]) -> NDArray[np.float64]:
    return np.array([hits[0].chance for hits in index.search_many(texts, k=1)], float)


def simulated(run: Path, made: Path) -> dict[str, Any]:
    root = made / "simulated"
    make_index(None, root, with_=str(run), accept_code=True, device="cpu")
    right, by_chance = [], []
    with varkit.open_index(root) as index:
        data: Any = index.space.dataset  # type: ignore[attr-defined]
        for item in data.split("test"):
            truth, times = data.truth(item.video), data.open(item.video).times
            if truth is None or not truth.any():
                continue
            for query in item.queries:
                only = varkit.Filters(videos=[item.video])
                (hit,) = index.search(data.query(query), filters=only, k=1)
                right.append(bool(truth[np.abs(times.mean(axis=1) - middle(hit)).argmin()]))
                by_chance.append(float(truth.mean()))
    return table(
        "Moments in SIMULATED videos",
        "A run of the recipe alan_ucf on the simulated UCFCrime-AR, whose index has whole videos "
        "as rows: the captions of anomalous test videos, and whether the "
        "middle of the best moment of the caption's video lies inside the anomaly. A program made "
        "these videos.",
        [row("inside the anomaly", np.mean, np.array(right, float), mean(by_chance))],
    )


def asked(index: Index, texts: Sequence[str]) -> list[list[Hit]]:
    """Return all videos for each sentence, the best first."""
    return index.search_many(texts, k=len(index.videos))


def lengths(index: Index) -> dict[str, float]:
    """Return the length of each video in seconds."""
    hits = index.search("anything", k=len(index.videos))
    spans = {hit.video: [hit.end, *(end for _, end, _ in hit.more)] for hit in hits}
    return {stem(video): max(ends) for video, ends in spans.items()}


def middle(hit: Hit) -> float:
    """Return the middle of the best moment in seconds."""
    return (hit.moments[0].start + hit.moments[0].end) / 2


def stem(video: str) -> str:
    return PurePosixPath(video).stem


def mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def area(both: NDArray[np.float64]) -> float:
    """Return the AUC of (n, 2) scores and truth."""
    value = auc(both[:, 0].astype(np.float32), both[:, 1] > 0)
    return 0.5 if value is None else value


def row(
    name: str,
    measure: Callable[[NDArray[Any]], Any],
    values: NDArray[np.float64],
    by_chance: float,
) -> tuple[str, ...]:
    """Return a figure of (n, ...) values with its interval."""
    draw = np.random.default_rng(0)
    drawn = [measure(values[draw.integers(0, len(values), len(values))]) for _ in range(2000)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return (
        name,
        f"{measure(values):.2f}",
        f"[{low:.2f}, {high:.2f}]",
        f"{len(values)}",
        f"{by_chance:.2f}",
    )


def table(title: str, caption: str, rows: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    return {"title": title, "caption": caption, "rows": list(rows)}


if __name__ == "__main__":
    main()
