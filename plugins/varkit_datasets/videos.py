"""Videos of a manifest whose streams are in a store that ``varkit extract`` made."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from varkit.errors import DataError, did_you_mean
from varkit.media import catalogue
from varkit.media.extract_folder import Request, Summary, Watcher, extract_folder
from varkit.media.extractors import Wanted
from varkit.media.reader import check_streams, lack, not_extracted, origins
from varkit.media.store import Store, stream_file
from varkit.media.work import Job
from varkit_datasets.findings import SHOWN, Findings
from varkit_datasets.layout import Features, Video
from varkit_datasets.manifest import MissingFiles, leave_out
from varkit_datasets.sources import Source
from varkit_datasets.timing import same_duration

Options = Mapping[str, Mapping[str, Any]]
"""Extractor -> its options, and ``use`` where its name in the registry is another one."""


@dataclass(frozen=True)
class Extraction:
    """How the streams of a folder's videos are made, where the folder names videos.

    Attributes:
        videos: a folder of media files.
        store: the store's folder.
        extract: the extractors.
    """

    videos: Path
    store: Path
    extract: Options

    @property
    def wanted(self) -> list[Wanted]:
        """The extractors."""
        return [
            Wanted(name, str(options.get("use", name)), _without_use(options))
            for name, options in self.extract.items()
        ]

    def run(
        self, plugins: Sequence[Path], progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Extract what the store lacks, in this process and with its threads.

        Args:
            plugins: files of plugins.
            progress: is told how many files are done, and of how many.

        Raises:
            DataError: the store was made in another way, or another process adds to it now.
            RecipeError: an extractor's options are wrong, or this machine lacks what it needs.
        """
        threads = torch.get_num_threads()
        request = Request(self.videos, self.store, self.wanted, plugins, threads=threads)
        summary = extract_folder(request, watcher=_Told(progress))
        if summary.elsewhere:
            raise DataError(
                f"another process extracts {len(summary.elsewhere):,} videos into {self.store}",
                hint="wait for it, then repeat the command",
            )

    @property
    def command(self) -> str:
        """The command that extracts the streams."""
        use = ",".join(w.name if w.name == w.use else f"{w.name}={w.use}" for w in self.wanted)
        changes = [
            f"{w.name}.{key}={value if isinstance(value, str) else json.dumps(value)}"
            for w in self.wanted
            for key, value in w.options.items()
        ]
        words = ["varkit", "extract", str(self.videos), "--use", use, "--out", str(self.store)]
        return shlex.join([*words, *changes])


class _Told(Watcher):
    """Counts files for a function that shows progress."""

    def __init__(self, tell: Callable[[int, int], None] | None) -> None:
        self._tell, self._done, self._all = tell, 0, 0

    def begin(self, jobs: Sequence[Job], summary: Summary) -> None:
        self._all = len(jobs)

    def done(self, video: catalogue.Video) -> None:
        self._done += 1
        if self._tell is not None:
            self._tell(self._done, self._all)


def attach(
    videos: dict[str, Video],
    root: Path,
    streams: Mapping[str, str],
    findings: Findings,
    *,
    may_lack: Collection[str],
    missing_files: MissingFiles,
    extraction: Extraction | None,
) -> Features:
    """Give the videos of a manifest their streams in a store.

    Args:
        videos: those with a fault and those without streams are removed.
        root: the store's folder.
        streams: stream -> its name in the store.
        findings: collects what is wrong.
        may_lack: the streams that a video may lack.
        missing_files: whether videos without streams are faults, or are left out.
        extraction: how the store is made, if the folder says so.

    Raises:
        DataError: there is no such store or stream, or it was not made as the folder says.
    """
    if extraction is not None and not (root / catalogue.NAME).exists():
        what = f"{root}: the features of {extraction.videos} are not there"
        raise DataError(what, hint=extraction.command)
    with Store(root) as store:
        if extraction is not None:
            _expect_as_written(store, extraction)
        check_streams(store, streams)
        features = Features(root, dict(streams), origins(store, streams))
        known = {video.name: video for video in store.catalogue.videos()}
    missing = _match(videos, known, findings)
    for name, video in videos.items():
        if name not in missing and (why := _take(name, video, features, may_lack, findings)):
            missing[name] = why
    count = len(videos)
    shown = {name: f"{name!r} ({why})" for name, why in missing.items()}
    if not leave_out(videos, shown, findings, missing_files):
        what = (
            f"{root} has no features of {len(missing):,} of {count:,} videos; "
            "missing_files=leave_out leaves them out"
        )
        if extraction is not None:
            what += f", {extraction.command} extracts what can be extracted"
        findings.fault(what, *shown.values())
    partial = {n: v.stored for n, v in videos.items() if v.stored and v.stored.status == "partial"}
    if partial:
        findings.remark(
            f"{len(partial):,} of {len(videos):,} videos are damaged and used as far as they could "
            "be decoded",
            *(f"{name!r} ({stored.reason})" for name, stored in partial.items()),
        )
    return features


def _match(
    videos: dict[str, Video], known: Mapping[str, catalogue.Video], findings: Findings
) -> dict[str, str]:
    """Find each video in the store, and return those that are not there, with what is near.

    A manifest may leave out the folders and the suffix of a file. A name that fits several files,
    or one that another name fits too, is a fault.
    """
    tiers: list[dict[str, list[str]]] = [{}, {}, {}, {}]
    for name in known:
        path = PurePosixPath(name)
        ways = (name, str(path.with_suffix("")), path.name, path.stem)
        for tier, way in zip(tiers, ways, strict=True):
            tier.setdefault(way, []).append(name)
    missing: dict[str, str] = {}
    owner: dict[str, str] = {}
    for name, video in list(videos.items()):
        places = next((tier[name] for tier in tiers if name in tier), [])
        if not places:
            missing[name] = "there is none of this name"
            if len(missing) <= SHOWN:  # a search through all names takes a while
                near = did_you_mean(name, [way for tier in tiers for way in tier])
                missing[name] += f".{near}" if near else ""
        elif len(places) > 1:
            findings.fault(f"video {name!r} may be any of", *places)
            del videos[name]
        elif (first := owner.setdefault(places[0], name)) != name:
            findings.fault(f"videos {first!r} and {name!r} are the same file {places[0]!r}")
            del videos[name]
        else:
            video.stored = known[places[0]]
    return missing


def _take(
    name: str,
    video: Video,
    features: Features,
    may_lack: Collection[str],
    findings: Findings,
) -> str | None:
    """Give a video its streams; return why it has not all that it needs, or None."""
    stored = video.stored
    assert stored is not None
    if stored.status == "failed":
        return stored.reason
    whys = {}
    for stream, key in features.streams.items():
        if key.partition(".")[0] not in stored.made:
            return not_extracted(stored, key)
        whys[stream] = lack(stored, key)
        if whys[stream] is not None and stream not in may_lack:
            return f"{whys[stream]}, and may_lack does not name {stream!r}"
        source = Source(stream_file(features.root, stored), key)
        video.streams[stream] = (source,) if whys[stream] is None else ()
    if all(whys.values()):
        return "; ".join(dict.fromkeys(filter(None, whys.values())))
    if video.duration is None:
        video.duration = stored.duration
    elif stored.duration is not None and not same_duration(video.duration, stored.duration):
        findings.fault(
            f"video {name!r} lasts {stored.duration:.1f} s, not {video.duration:.1f} s as the "
            "manifest says"
        )
    return None


def _expect_as_written(store: Store, extraction: Extraction) -> None:
    """Check that a store was made with the options that a folder writes.

    Defaults and weights are compared by the extraction, which knows them.
    """
    records, marks = store.records(), store.fingerprints()
    for each in extraction.wanted:
        record = records.get(each.name)
        if record is None:
            continue  # its videos are missing
        wrong = [] if record["use"] == each.use else [f"use={record['use']}, not {each.use}"]
        wrong += [
            f"{key}={record['options'][key]!r}, not {value!r}"
            for key, value in each.options.items()
            if record["options"].get(key, value) != value  # paths are not recorded
        ]
        if wrong:
            raise DataError(
                f"{store.root}: {each.name!r} ({marks[each.name]}) was made with "
                f"{'; '.join(wrong)}",
                hint="give the extractor another name, or the data another store",
            )


def _without_use(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != "use"}
