"""Indexes videos with a trained run: those of its data set, or media files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from varkit.errors import DataError, RunError
from varkit.interfaces import VideoReader
from varkit.interfaces.searching import Streamed
from varkit.media.catalogue import Video
from varkit.media.extract_folder import Request, Summary, Watcher, extract_folder, to_do
from varkit.media.extractors import Wanted
from varkit.media.pool import Executor
from varkit.media.reader import Origin, open_video
from varkit.media.store import Store
from varkit.plugins.loading import load_plugins
from varkit.search.facts import NAME, Chosen, Facts, read_facts, write_facts
from varkit.search.index_folder import FEATURES, Indexed, Sentences, hears
from varkit.search.indexing import Described, IndexWriter
from varkit.search.query import seconds
from varkit.search.run_space import RunSpace, factors

ENGINE = Chosen("exact", {"precision": "fp32"})
"""So that a search ranks as ``varkit eval`` does."""


def index_run(
    run: str,
    root: Path,
    media: Path | None,
    *,
    split: str,
    accept_code: bool,
    device: str,
    retry: bool,
    cameras: str | None,
    executor: Executor,
    workers: int,
    watcher: Watcher | None,
    threads: int | None,
) -> Indexed:
    """Index videos with a run; see :func:`varkit.search.make.make_index`.

    Raises:
        RunError: the folder is not a run, other code made it, or its streams are not from media.
        DataError: its data set is not here, or the index was made in another way.
    """
    from varkit.system.machine import prepare

    place, _ = prepare(device, threads)
    space = RunSpace(run, accept_code=accept_code, device=place)
    extractors: Mapping[str, Origin] = getattr(space.dataset, "made_by", {})
    names = _names(extractors)
    facts = Facts(
        name=space.model.recipe.name,
        precision="float32",
        engine=ENGINE,
        channels=space.channels,
        run={
            "folder": str(space.folder.resolve()),
            "seed": space.seed,
            "accept_code": accept_code,
            "two_stages": space.two_stages,
        },
        media=None if media is None else str(to_do(_request(media, root, ()))[0].root.resolve()),
        extract={
            name: Chosen(origin["record"]["use"], origin["record"]["options"])
            for name, origin in names.values()
        },
        hears=tuple(name for name, origin in names.values() if hears(origin["record"])),
        streams={
            stream: Streamed(f"{name}.{origin['stream']}", space.dataset.widths[stream])
            for stream, (name, origin) in names.items()
        },
        fingerprints={name: origin["fingerprint"] for name, origin in names.values()},
        origin=space.origin,
        simulated=space.simulated,
    )
    if (root / NAME).exists():
        known = read_facts(root)
        for key in ("origin", "media", "run"):
            if getattr(known, key) != getattr(facts, key):
                raise DataError(
                    f"{root} was made in another way: its {key} is {getattr(known, key)}, not "
                    f"{getattr(facts, key)}",
                    hint="choose another --out",
                )
    else:
        write_facts(root, facts)
    if space.two_stages and media is not None:
        raise RunError(
            f"{run}: an alignment gives no factors; such a run indexes its own data set alone"
        )
    result = Indexed(root)
    with IndexWriter(root, facts, load_plugins()) as writer:
        result.repaired = writer.repaired
        if media is None:
            readers, about = _of_data(space, split)
        else:
            request = _request(
                media,
                root,
                _wanted(facts),
                device=device,
                threads=threads,
                cameras=cameras,
                retry=retry,
            )
            summary = extract_folder(request, executor, workers=workers, watcher=watcher)
            result.left_out = dict(summary.skipped)
            readers, about = _of_media(space, facts, root / FEATURES, summary, result)
        known_origins = {m.name: m.origin for m in writer.gallery.members()}
        new = {n: r for n, r in readers.items() if known_origins.get(n) != about[n].origin}
        if new:
            side = space.encode_videos(new)
            for (name, reader), row in zip(new.items(), factors(side), strict=True):
                scores = side.curves[name].scores if name in side.curves else None
                writer.put(about[name], space.shard(name, reader, row, scores))
                result.added.append(name)
        result.dropped = writer.delete([name for name in known_origins if name not in readers])
        members = writer.gallery.members()
        result.videos, result.windows = len(members), sum(m.windows for m in members)
        result.damaged = {m.name: m.note for m in members if m.note}
        result.problems = writer.finish(Sentences(facts, space).encode)
    return result


def _of_data(space: RunSpace, split: str) -> tuple[dict[str, VideoReader], dict[str, Described]]:
    """Return the videos of a split of the run's data set."""
    data = space.dataset.fingerprint()
    items = space.dataset.split(split)
    readers = {item.video: space.dataset.open(item.video) for item in items}
    about = {
        name: Described(name, Path(name), _hash([data, name, space.origin])) for name in readers
    }
    return readers, about


def _of_media(
    space: RunSpace, facts: Facts, place: Path, summary: Summary, result: Indexed
) -> tuple[dict[str, VideoReader], dict[str, Described]]:
    """Return the videos of a store, as the run's data set gives its own."""
    streams = {stream: each.key for stream, each in facts.streams.items()}
    clips_of = space.model.recipe.data.options.get("clips_of")
    readers: dict[str, VideoReader] = {}
    about = {}
    with Store(place) as store:
        marks = store.fingerprints()
        for name, mark in facts.fingerprints.items():
            if marks.get(name) != mark:
                raise DataError(
                    f"extractor {name!r} is not the run's: its fingerprint is {marks.get(name)}, "
                    f"that of the run {mark}",
                    hint="install the weights that the run's features were made with",
                )
        for name, video in summary.videos.items():
            if video.status == "failed":
                result.left_out[name] = video.reason
                continue
            reader = open_video(store, name, streams, clips_of=clips_of)
            try:
                reader.length  # noqa: B018  # it has at least one of the streams
            except DataError as error:
                result.left_out[name] = error.what
                continue
            readers[name], about[name] = reader, _described(video, space.origin)
    return readers, about


def _described(video: Video, origin: Any) -> Described:
    return Described(
        name=video.name,
        path=video.source.path,
        origin=_hash([video.sha256, video.camera, video.start, video.reason, origin]),
        camera=video.camera,
        start=seconds(video.start),
        duration=video.duration,
        note=video.reason,
    )


def _names(extractors: Mapping[str, Origin]) -> dict[str, tuple[str, Origin]]:
    """Return stream -> a name for its extractor, and its origin; one name a fingerprint."""
    names: dict[str, str] = {}
    for origin in extractors.values():
        use, mark = origin["record"]["use"], origin["fingerprint"]
        taken = set(names.values())
        names.setdefault(mark, use if use not in taken else f"{use}{len(taken) + 1}")
    return {stream: (names[o["fingerprint"]], o) for stream, o in extractors.items()}


def _wanted(facts: Facts) -> tuple[Wanted, ...]:
    if not facts.extract:
        raise RunError(
            "the run does not say how its features were made from videos",
            hint="train it on a data set with data.store or data.videos; or index its own data "
            "set: varkit index --with RUN",
        )
    return tuple(Wanted(name, each.use, each.options) for name, each in facts.extract.items())


def _request(media: Path, root: Path, wanted: tuple[Wanted, ...], **options: Any) -> Request:
    return Request(media, root / FEATURES, wanted, **options)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
