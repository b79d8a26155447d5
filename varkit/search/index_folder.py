"""Indexes a folder of media files, or a store of their streams."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from safetensors.numpy import save

from varkit.errors import DataError
from varkit.interfaces.searching import Array, Space, Streamed, Track
from varkit.media.catalogue import Video, differences
from varkit.media.extract_folder import Request, Summary, Watcher, extract_folder, to_do
from varkit.media.extractors import Record, build_extractors, fingerprint
from varkit.media.pool import Executor, in_this_process
from varkit.media.store import Store, read_tensors
from varkit.media.work import Job
from varkit.plugins.loading import Plugins
from varkit.recipe.options import construct
from varkit.search.concepts import CONCEPTS, Concepts
from varkit.search.facts import NAME, Chosen, Facts, read_facts, write_facts
from varkit.search.indexing import Described, IndexWriter
from varkit.search.null_sentences import NULL_SENTENCES
from varkit.search.parts import KEPT, open_space, plugins_of
from varkit.search.query import seconds
from varkit.search.search_recipe import SearchRecipe
from varkit.search.shards import Shard
from varkit.search.windows import WindowOptions, rows_of, windows
from varkit.system.files import write_bytes

FEATURES = "features"
"""The store of an index that extracts streams itself."""


@dataclass
class Indexed:
    """How indexing went.

    Attributes:
        root: of the index.
        videos: how many it has now.
        windows: how many rows it has.
        added: names of the videos that are new or have changed.
        dropped: of those that are gone.
        left_out: name -> why it is not in the index.
        damaged: name -> what is wrong with a video that is in the index.
        problems: what is wrong with the index as a whole.
        repaired: how many videos a killed process had left unfinished.
    """

    root: Path
    videos: int = 0
    windows: int = 0
    added: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    repaired: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**asdict(self), "root": str(self.root), "whole": self.whole}

    @property
    def whole(self) -> bool:
        """Whether every file is in the index, to its end."""
        return not (self.left_out or self.damaged or self.problems)


def index_media(
    request: Request,
    recipe: SearchRecipe | None,
    root: Path,
    executor: Executor = in_this_process,
    *,
    workers: int = 1,
    watcher: Watcher | None = None,
) -> Indexed:
    """Index a folder of media files; each is in the index as soon as its streams are made.

    Args:
        request: what to extract; its ``store`` and ``wanted`` are the index's.
        recipe: how; None = as the index was made.
        root: of the index; made where it is missing.
        executor: where extraction runs.
        workers: how many processes extract.
        watcher: is told how extraction goes.

    Raises:
        MediaError: there is no such folder, or nothing in it.
        DataError: the index is damaged, or was made in another way.
        WriteError: the disk is full or not writable, or another process writes the index.
    """
    listing, _, _ = to_do(request)  # before anything is made
    media = str(listing.root.resolve())
    if (root / NAME).exists():
        facts = read_facts(root)
        if recipe is not None:
            _expect_same(root, facts, recipe)
        if facts.media != media:
            _refuse_folder(root, facts, listing.root)
        plugins = plugins_of(facts)
    else:
        assert recipe is not None
        plugins = recipe.plugins
        built = build_extractors(recipe.extract, plugins)
        records = {each.name: each.record for each in built}
        facts = new_index(root, recipe, records, media=media)
        del built
    with _Adder(root, facts, plugins) as adder:
        adder.watcher = watcher or Watcher()
        wanted = tuple(_wanted(facts))
        own = Request(
            media=request.media,
            store=root / FEATURES,
            wanted=wanted,
            plugins=tuple(Path(file) for file in facts.plugins),
            device=request.device,
            threads=request.threads,
            cameras=request.cameras,
            retry=request.retry,
            limits=request.limits,
        )
        summary = extract_folder(own, executor, workers=workers, watcher=adder)
        # One file is added to what there is; a folder is all that there should be.
        done = adder.finish(summary.videos.values(), root / FEATURES, whole=request.media.is_dir())
        with Store(root / FEATURES, writing=True) as store:
            for name in done.dropped:
                store.remove(name)
    done.left_out |= dict(summary.skipped)
    done.left_out |= dict.fromkeys(summary.elsewhere, "another process extracts it")
    return done


def index_store(store: Path, recipe: SearchRecipe | None, root: Path) -> Indexed:
    """Index a store of streams that ``varkit extract`` made; see :func:`index_media`."""
    with Store(store) as opened:
        records, videos = opened.records(), opened.catalogue.videos()
    if (root / NAME).exists():
        facts = read_facts(root)
        if recipe is not None:
            _expect_same(root, facts, recipe)
        plugins = plugins_of(facts)
    else:
        assert recipe is not None
        plugins = recipe.plugins
        facts = new_index(root, recipe, records, store=str(store.resolve()))
    if facts.store != str(store.resolve()):
        _refuse_folder(root, facts, store)
    for name, mark in facts.fingerprints.items():
        if name not in records or fingerprint(records[name]) != mark:
            there = fingerprint(records[name]) if name in records else "not there"
            raise DataError(
                f"{store}: streams of {name!r} are not those of {root}: their fingerprint is "
                f"{there}, that of the index {mark}"
            )
    with _Adder(root, facts, plugins) as adder:
        for video in videos:
            adder.add(video, store)
        return adder.finish(videos, store, whole=True)


def new_index(
    root: Path,
    recipe: SearchRecipe,
    records: Mapping[str, Record],
    *,
    media: str | None = None,
    store: str | None = None,
) -> Facts:
    """Write what a new index is.

    Raises:
        DataError: no extractor makes what the space reads.
    """
    streams = {
        f"{name}.{stream}": Streamed(f"{name}.{stream}", each["width"], tuple(each["classes"]))
        for name, record in records.items()
        for stream, each in record["streams"].items()
    }
    entry = recipe.plugins.get("space", recipe.space.use)
    with entry.contained():
        supplies = {"streams": streams, "kept": {}}
        space: Space = construct(entry.load(), recipe.space.options, supplies)
    if not space.channels:
        raise DataError(
            f"space {recipe.space.use!r} reads none of the streams there are: "
            f"{', '.join(streams) or 'none'}"
        )
    engine = recipe.engine
    facts = Facts(
        name=recipe.name,
        precision="float32" if engine.options.get("precision") == "fp32" else "float16",
        engine=engine,
        channels=dict(space.channels),
        space=recipe.space,
        media=media,
        store=store,
        extract={each.name: Chosen(each.use, each.options) for each in recipe.extract},
        hears=tuple(name for name, record in records.items() if hears(record)),
        plugins=tuple(str(path.resolve()) for path in recipe.plugins.files),
        streams=streams,
        fingerprints={name: fingerprint(record) for name, record in records.items()},
        windows=asdict(recipe.windows),
        concepts=CONCEPTS if recipe.concepts is None else recipe.concepts,
        origin=dict(space.origin),
    )
    kept = {name: np.ascontiguousarray(array) for name, array in space.kept.items()}
    write_bytes(root / KEPT, save(kept))
    write_facts(root, facts)
    return facts


class Sentences:
    """Unrelated sentences, encoded once.

    Args:
        facts: of the index.
        space: encodes them.
    """

    def __init__(self, facts: Facts, space: Any) -> None:
        self.channel = next(iter(facts.channel_for("text")), None)
        self._space = space
        self._encoded: Array | None = None

    def encode(self, channel: str) -> Array | None:
        """Return (N, K) for the channel that sentences ask; None for others."""
        if channel != self.channel:
            return None
        if self._encoded is None:
            self._encoded = self._space.encode_text(NULL_SENTENCES)
        return self._encoded


class _Adder(Watcher):
    """Puts videos into an index, some of them as soon as they are extracted."""

    def __init__(self, root: Path, facts: Facts, plugins: Plugins) -> None:
        self.watcher = Watcher()
        self._root, self._facts = root, facts
        self._space = open_space(root, facts, plugins)
        self._sentences = Sentences(facts, self._space)
        self._words = self._sentences.channel
        self._concepts: Concepts | None = None
        unrelated = self._sentences.encode(self._words or "")
        if self._words is not None and unrelated is not None and facts.concepts:
            concepts = self._space.encode_text(facts.concepts)
            self._concepts = Concepts(facts.channels[self._words], concepts, unrelated)
        self._writer = IndexWriter(root, facts, plugins)
        self._known = {m.name: m.origin for m in self._writer.gallery.members()}
        self._result = Indexed(root, repaired=self._writer.repaired)

    def __enter__(self) -> _Adder:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.__exit__()

    def begin(self, jobs: Sequence[Job], summary: Summary) -> None:
        self.watcher.begin(jobs, summary)

    def reached(self, path: Path, seconds: float, of: float | None) -> None:
        self.watcher.reached(path, seconds, of)

    def done(self, video: Video) -> None:
        self.add(video, self._root / FEATURES)
        self.watcher.done(video)

    def add(self, video: Video, store: Path) -> None:
        """Put a video into the index, unless it is there already."""
        origin = _origin(video, self._facts)
        if self._known.get(video.name) == origin:
            return
        lacking = set(self._facts.extract) - set(video.made)
        if video.status == "failed" or lacking:
            self._result.left_out[video.name] = video.reason or "it was not extracted whole"
            return
        tracks = _tracks(video, store, self._facts)
        spoken = {name: dict(t) for name, t in self._space.tracks(tracks).items() if t}
        if not any(spoken.values()):
            whys = dict.fromkeys(made.absent for made in video.made.values() if made.absent)
            self._result.left_out[video.name] = "; ".join(whys) or "it has nothing to compare"
            return
        every = [track for channel in spoken.values() for track in channel.values()]
        spans = windows(every, WindowOptions(**(self._facts.windows or {})))
        rows = {
            name: rows_of(channel, spoken.get(name, {}), spans)
            for name, channel in self._facts.channels.items()
        }
        words = spoken.get(self._words or "", {})
        curve = self._concepts.curve(words) if self._concepts is not None and words else None
        about = Described(
            name=video.name,
            path=video.source.path,
            origin=origin,
            camera=video.camera,
            start=seconds(video.start),
            duration=video.duration,
            note=video.reason,
        )
        self._writer.put(about, Shard(spans, rows, spoken, curve))
        self._known[video.name] = origin
        self._result.added.append(video.name)

    def finish(self, videos: Any, store: Path, *, whole: bool) -> Indexed:
        """Add what is left, drop what is gone if these are all videos, and measure the index."""
        result, listed = self._result, {}
        for video in videos:
            listed[video.name] = video
            self.add(video, store)
        gone = [m.name for m in self._writer.gallery.members() if m.name not in listed]
        result.dropped = self._writer.delete(gone) if whole else []
        members = self._writer.gallery.members()
        result.videos, result.windows = len(members), sum(m.windows for m in members)
        result.damaged = {m.name: m.note for m in members if m.note}
        result.problems = self._writer.finish(self._sentences.encode)
        return result


def hears(record: Any) -> bool:
    """Return whether an extractor reads sound."""
    return "samples" in record["reads"]


def _origin(video: Video, facts: Facts) -> str:
    made = {name: video.made[name].sha256 for name in facts.extract if name in video.made}
    about = [video.source.sha256, made, video.camera, video.start, video.duration, video.reason]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _tracks(video: Video, store: Path, facts: Facts) -> dict[str, Track]:
    """Return the streams of a video that the index reads, of the first crop."""
    tensors = read_tensors(store, video)
    tracks = {}
    for key in facts.streams:
        if key in tensors:
            values = tensors[key]
            times = tensors[f"{key.partition('.')[0]}.times"]
            tracks[key] = Track(values[0] if values.ndim == 3 else values, times)
    return tracks


def _wanted(facts: Facts) -> list[Any]:
    from varkit.media.extractors import Wanted

    return [Wanted(name, each.use, each.options) for name, each in facts.extract.items()]


def _expect_same(root: Path, facts: Facts, recipe: SearchRecipe) -> None:
    """Refuse another recipe than that of an index."""
    here = {
        "space": facts.space and asdict(facts.space),
        "extract": {name: asdict(each) for name, each in facts.extract.items()},
        "windows": facts.windows,
        "engine": asdict(facts.engine),
    }
    asked = {
        "space": asdict(recipe.space),
        "extract": {e.name: {"use": e.use, "options": dict(e.options)} for e in recipe.extract},
        "windows": asdict(recipe.windows),
        "engine": asdict(recipe.engine),
    }
    # Options come from JSON on one side: tuples are lists there.
    if unlike := differences(json.loads(json.dumps(here)), json.loads(json.dumps(asked))):
        raise DataError(
            f"{root} was made in another way: it differs in {', '.join(unlike)}",
            hint="leave the options out, or choose another --out",
        )


def _refuse_folder(root: Path, facts: Facts, other: Path) -> NoReturn:
    """Refuse another folder than that of an index: all of its videos would be dropped."""
    raise DataError(
        f"{root} is an index of {facts.media or facts.store or 'a data set'}, not of {other}",
        hint="choose another --out; a folder that was moved needs a new index",
    )
