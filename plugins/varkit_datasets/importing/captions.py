"""Captions as layouts are read: videos with split, queries and times, and what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from varkit.errors import DataError, did_you_mean
from varkit.system.inputs import reading
from varkit_datasets import cells
from varkit_datasets.findings import Findings
from varkit_datasets.tables import SUFFIXES, read_rows
from varkit_datasets.text_lists import read_lines, read_text
from varkit_datasets.timing import check_end, duration_of, same_duration

Interval = tuple[float, float]
KNOWN: Mapping[str, str] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "blindtest", "publictect"), "test"),
}
"""A data set's name of a split -> varkit's. The list of LSMDC's 1,000 test clips is misspelt."""
LEFT_OUT = "none"
"""What a split is called whose videos are left out."""
VIDEO, SENTENCE = ("video_id", "video", "videoid", "vid", "name"), ("sentence", "caption")
"""Columns of lists, in the order in which they are looked for."""


@dataclass
class Video:
    """A video as its captions describe it.

    Attributes:
        name: its identifier.
        split: varkit's name of its split; None = not known yet.
        where: the file and row or key that name it first.
        captions: its queries.
        moments: of each caption, the (start, end) seconds that each annotator gave.
        duration: seconds; None = unknown.
        aliases: what files of features may call it instead.
        facts: further cells of the manifest: ``label``, ``class``, ``anomaly``.
    """

    name: str
    split: str | None
    where: str
    captions: list[str] = field(default_factory=list)
    moments: list[Sequence[Interval]] = field(default_factory=list)
    duration: float | None = None
    aliases: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


class Captions:
    """Collects the videos of all files, and what is wrong with them.

    Args:
        renamed: a data set's name of a split -> varkit's, or ``none`` to leave its videos out.

    Attributes:
        videos: identifier -> video, in the order of the files.
        splits: a data set's name of a split -> varkit's.
        findings: what is wrong, and what users should know.
        left_out: identifier -> why a video is left out.
    """

    def __init__(self, renamed: Mapping[str, str] | None = None) -> None:
        self.videos: dict[str, Video] = {}
        self.findings = Findings()
        self.left_out: dict[str, str] = {}
        self.splits = {**KNOWN, **(renamed or {})}

    def split(self, where: str, name: Any) -> str | None:
        """Return varkit's name of a split; an unknown one is a fault."""
        if isinstance(name, str) and name.strip().lower() in self.splits:
            return self.splits[name.strip().lower()]
        near = did_you_mean(name, self.splits) if isinstance(name, str) else ""
        self.findings.fault(
            f"split {cells.shown(name)} is not known.{near} Known: {', '.join(self.splits)}; "
            f"--split {name}=test gives it a meaning",
            where,
        )
        return None

    def add(
        self,
        where: str,
        name: Any,
        captions: Iterable[Any],
        *,
        split: str | None,
        moments: Sequence[Sequence[Interval]] | None = None,
        duration: float | None = None,
        aliases: Sequence[str] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Add a video, or more captions of one; what is wrong becomes a fault.

        Args:
            where: file and row or key, for messages.
            name: the video's identifier.
            captions: its queries; those without a word are left out with a remark.
            split: varkit's name of its split; None = a list will say.
            moments: as in :class:`Video`, in the order of ``captions``.
            duration: seconds; None = unknown.
            aliases: as in :class:`Video`.
            facts: as in :class:`Video`; None = unknown.
        """
        try:
            identifier = cells.name(name)
            if identifier is None:
                raise ValueError("a video without a name")
            duration = duration_of(duration, None, None)
            facts = {key: fact for key, fact in (facts or {}).items() if fact not in (None, ())}
            video = self.videos.setdefault(identifier, Video(identifier, split, where))
            self._agree(video, split, duration, facts)
            check_end(facts.get("anomaly", ()), duration)
            if facts.get("label") == 0 and facts.get("anomaly"):
                raise ValueError("an anomaly in a video whose label is 0 (normal)")
        except ValueError as error:
            self.findings.fault(f"{where}: {error}")
            return
        video.aliases = video.aliases or tuple(aliases)
        for number, caption in enumerate(captions):
            if caption is None or (isinstance(caption, str) and not caption.strip()):
                self.findings.remark("captions without a word are left out", where)
                continue
            try:
                video.captions += cells.captions(caption) or []
            except ValueError as error:
                self.findings.fault(f"{where}: {error}")
            else:
                video.moments.append(moments[number] if moments else ())

    def _agree(
        self, video: Video, split: str | None, duration: float | None, facts: Mapping[str, Any]
    ) -> None:
        """Add what is known of a video, or refuse what contradicts earlier rows."""
        if split != video.split:
            raise ValueError(
                f"video {video.name!r} is in split {split!r} here and in {video.split!r} at "
                f"{video.where}"
            )
        if duration is not None and video.duration is not None:
            if not same_duration(duration, video.duration):
                raise ValueError(
                    f"video {video.name!r} lasts {duration:g} s here and {video.duration:g} s at "
                    f"{video.where}"
                )
            duration = None
        video.duration = duration or video.duration
        for key, value in facts.items():
            if video.facts.setdefault(key, value) != value:
                raise ValueError(
                    f"video {video.name!r} has {key} {value} here and {video.facts[key]} at "
                    f"{video.where}"
                )

    def apply_lists(self, lists: Sequence[tuple[str, Path]], *, lenient: bool) -> None:
        """Let lists decide the splits. Videos of no list are left out.

        Captions in a list replace those of its videos, as in the test list of MSR-VTT 1k-A, which
        has one for each.

        Args:
            lists: (split, file) pairs.
            lenient: leave out listed videos of which there are no captions; they are faults else.
        """
        listed: dict[str, str] = {}
        for split, path in lists:
            new: dict[str, list[str]] = {}
            for where, name, caption in _read_list(path, self.findings):
                if listed.setdefault(name, split) != split:
                    self.findings.fault(f"{where}: video {name!r} is also in {listed[name]!r}")
                elif name not in self.videos and lenient:
                    self.left_out[name] = f"in {path.name}, but not in the captions"
                elif name not in self.videos:
                    self.findings.fault(
                        f"{path} lists videos that the captions lack; --missing leave-out leaves "
                        "them out",
                        repr(name),
                    )
                elif caption is not None:
                    new.setdefault(name, []).append(caption)
            for name, captions in new.items():
                self.videos[name].captions, self.videos[name].moments = captions, []
            if new:
                self.findings.remark(f"{path.name}: its captions replace those of its videos")
        for name, video in self.videos.items():
            video.split = listed.get(name, LEFT_OUT) if lists else video.split

    def finish(self) -> None:
        """Leave out what is to be left out; the rest must be usable."""
        for name, video in list(self.videos.items()):
            if video.split is None:
                self.findings.fault(
                    "videos without a split; write train=FILE, or name lists: --list train=FILE "
                    "--list test=FILE",
                    repr(name),
                )
            if video.split == LEFT_OUT:
                self.leave_out(name, "in no list, or in a split that is left out")
            elif video.split == "train" and not video.captions:
                self.findings.fault(
                    "videos of train need captions; those of val and test may lack them", repr(name)
                )

    def leave_out(self, name: str, why: str) -> None:
        """Remove a video, and remember why."""
        del self.videos[name]
        self.left_out[name] = why


def split_of(captions: Captions, path: Path, given: str | None) -> str | None:
    """Return the split of a file's videos: the given one, or what its name says.

    >>> split_of(Captions(), Path("vatex_public_test_english_v1.1.json"), None)
    'test'
    """
    if given is not None:
        return given
    words = re.findall("[a-z]+", path.stem.lower())
    said = {captions.splits[word] for word in words if word in captions.splits}
    return said.pop() if len(said) == 1 else None


def read_json(path: Path) -> Any:
    """Return what a JSON file holds; a key that occurs twice is an error.

    Raises:
        DataError: it is not there, not JSON, or nested too deep.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise ValueError(f"key {twice!r} occurs twice in one object")
        return made

    text = read_text(path)
    with reading(path):
        return json.loads(text, object_pairs_hook=once)


def expect(value: Any, kind: type, what: str) -> Any:
    """Return a value of a JSON file.

    Raises:
        ValueError: it is of another type.
    """
    if not isinstance(value, kind):
        names: dict[type, str] = {dict: "an object", list: "a list", str: "text"}
        raise ValueError(f"{what} must be {names[kind]}; not {cells.shown(value)}")
    return value


def _read_list(path: Path, findings: Findings) -> Iterable[tuple[str, str, str | None]]:
    """Yield where, the video, and its caption, if the list has captions."""
    names = read_json(path) if path.suffix.lower() == ".json" else None
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        yield from ((f"{path.name}, item {n}", name, None) for n, name in enumerate(names, 1))
        return
    if path.suffix.lower() not in SUFFIXES:
        yield from ((f"{path.name}, line {n}", line, None) for n, line in read_lines(path))
        return
    rows, columns = read_rows(path)
    video = next((name for name in VIDEO if name in columns), None)
    if video is None:
        raise DataError(
            f"{path} has no column of videos; it has: {', '.join(map(repr, columns))}. "
            f"Known: {', '.join(VIDEO)}"
        )
    sentence = next((name for name in SENTENCE if name in columns), None)
    for number, row in rows:
        where = f"{path.name}, row {number}"
        try:
            name = cells.name(row.get(video))
            captions = cells.captions(row.get(sentence)) if sentence else None
        except ValueError as error:
            findings.fault(f"{where}: {error}")
            continue
        if name is not None:
            yield from ((where, name, caption) for caption in captions or (None,))
