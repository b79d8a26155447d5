"""Checks of a data set as a whole: duplicates, leaks between splits, gaps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from varkit.data.inspect.captions import NEAR, near_duplicates
from varkit.data.inspect.verify_video import Extent, Finding, VideoCheck
from varkit.data.positives import equal_captions
from varkit.interfaces import Dataset, Item

SHORT = 16
"""Videos with fewer clips than this get a remark."""
SHOWN = 5
"""How many examples a text lists; a finding's ``videos`` hold all of them."""

MOST = 100_000
"""The largest number of caption pairs to collect; captions from one template have millions."""

Group = tuple[str, ...]


@dataclass(frozen=True)
class SplitCheck:
    """The checks that need all videos of a data set.

    Attributes:
        dataset: the data set.
        splits: split -> its items.
        checked: all videos of all splits.
        extents: stream -> the extent of crop 0 over all videos.
    """

    dataset: Dataset
    splits: Mapping[str, Sequence[Item]]
    checked: Sequence[VideoCheck]
    extents: Mapping[str, Extent]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the counts of every split, as ``Verification.splits`` holds them."""
        known = {check.item.video for check in self.checked if check.truth}
        return {
            split: {
                "videos": len(items),
                "anomalous": sum(item.label == 1 for item in items),
                "normal": sum(item.label == 0 for item in items),
                "unlabelled": sum(item.label is None for item in items),
                "queries": sum(len(item.queries) for item in items),
                "truth": sum(item.video in known for item in items),
            }
            for split, items in self.splits.items()
        }

    def faults(self) -> Iterator[Finding]:
        """Yield what must be corrected: missing crops, and videos that occur in several splits."""
        counts = Counter(check.crops for check in self.checked if check.crops is not None)
        usual = max(counts, key=lambda crops: (counts[crops], crops), default=1)
        for check in self.checked:
            if check.crops not in (usual, None):
                video = check.item.video
                text = f"video {video!r} has {check.crops} crops; most have {usual}"
                yield Finding("features", text, ((video,),))
        for group in self._same_videos:
            if len(self._splits_of(group)) > 1:
                text = f"the same features in several splits: {self._some_of_each_split(group)}"
                yield Finding("leaks", text, (group,))

    def remarks(self) -> Iterator[Finding]:
        """Yield what is not a fault but worth knowing."""
        yield from self._gaps()
        yield from self._same_lengths()
        query = "caption" if self.dataset.query_kind == "captions" else "sound"
        for split, items in self.splits.items():
            bare = [(item.video,) for item in items if not item.queries]
            yield from _remark("queries", f"videos without a {query} in {split}", bare)
        for text, most in ((f"fewer than {SHORT} clips", SHORT - 1), ("a single clip", 1)):
            short = [(c.item.video,) for c in self.checked if 0 < (c.clips or 0) <= most]
            yield from _remark("features", f"videos of {text}", short)
        for stream in self.dataset.widths:
            lacking = [(c.item.video,) for c in self.checked if stream in c.absent]
            yield from _remark("streams", f"videos that lack stream {stream!r}", lacking)
        yield from self._dead_dimensions()
        same = [group for group in self._same_videos if len(self._splits_of(group)) == 1]
        yield from _remark("features", "videos with the same features", same)
        still = [(check.item.video,) for check in self.checked if check.still]
        yield from _remark("features", "videos with an extracted stream that never changes", still)
        silent = [(check.item.video,) for check in self.checked if check.silent]
        yield from _remark("queries", "videos with a sound that never changes", silent)
        yield from self._queries("the same", self._same_queries())
        share = f"videos sharing {100 * NEAR:.0f} % of the words of their"
        yield from self._queries(share, self._near_captions())

    @cached_property
    def _split(self) -> dict[str, str]:
        return {item.video: split for split, items in self.splits.items() for item in items}

    @cached_property
    def _same_videos(self) -> list[Group]:
        return _alike((check.content, check.item.video) for check in self.checked)

    def _splits_of(self, videos: Iterable[str]) -> list[str]:
        """Return the splits that contain some of the videos, in the order of the splits."""
        splits = {self._split[video] for video in videos}
        return [split for split in self.splits if split in splits]

    def _some_of_each_split(self, videos: Group) -> str:
        """Name some videos of each split, and how many more there are."""
        named = []
        for split in self._splits_of(videos):
            own = [video for video in videos if self._split[video] == split]
            more = f" and {len(own) - SHOWN:,} more" if len(own) > SHOWN else ""
            named.append(f"{', '.join(map(repr, own[:SHOWN]))}{more} ({split})")
        return ", ".join(named)

    def _gaps(self) -> Iterator[Finding]:
        """Yield labels and classes that a split lacks."""
        every = [item for items in self.splits.values() for item in items]
        for split, items in self.splits.items():
            for label, name in ((1, "anomalous"), (0, "normal")):
                if any(i.label == label for i in every) and all(i.label != label for i in items):
                    yield Finding("splits", f"{split} has no {name} video")
        classes = {
            split: {name for item in items for name in item.classes}
            for split, items in self.splits.items()
        }
        for split, other in (("test", "train"), ("train", "test")):
            lacking = classes.get(split, set()) - classes.get(other, set())
            if lacking:
                listed = ", ".join(sorted(lacking))
                yield Finding("splits", f"classes in {split} that {other} lacks: {listed}")

    def _same_lengths(self) -> Iterator[Finding]:
        """Yield a remark if all videos have as many clips and last as long: are these segments?"""
        lengths = {(check.clips, check.seconds) for check in self.checked}
        clips, seconds = lengths.pop() if len(lengths) == 1 else (None, None)
        if len(self.checked) > 2 and clips is not None and seconds is not None:
            text = f"all videos have {clips} clips and last {seconds:.1f} s"
            yield Finding("streams", f"{text}; if clips are segments, give each video's duration")

    def _dead_dimensions(self) -> Iterator[Finding]:
        for stream, extent in self.extents.items():
            dead, width = int(extent.same.sum()), len(extent.same)
            if 0 < dead < width:
                text = f"stream {stream!r}: {dead} of {width} dimensions are the same in every clip"
                yield Finding("features", text)

    def _same_queries(self) -> list[Group]:
        """Return the videos of equal queries; one with several of them occurs as often."""
        queries = [(check.item.video, q) for check in self.checked for q in check.queries.values()]
        captions = equal_captions((video, q) for video, q in queries if isinstance(q, str))
        sounds = _alike((q, video) for video, q in queries if isinstance(q, bytes))
        return [*(tuple(videos) for videos in captions if len(videos) > 1), *sounds]

    def _near_captions(self) -> list[Group]:
        """Return at most :data:`MOST` pairs of videos with nearly the same caption."""
        groups = equal_captions(
            ((check.item.video, query), query)
            for check in self.checked
            for query in check.queries.values()
            if isinstance(query, str)
        )
        pairs = (
            (video, other)
            for i, j in near_duplicates([query for (_, query), *_ in groups])
            for video, _ in groups[i]
            for other, _ in groups[j]
            if video != other
        )
        return list(dict.fromkeys(islice(pairs, MOST)))

    def _queries(self, what: str, groups: Sequence[Group]) -> Iterator[Finding]:
        """Yield groups of videos with similar queries; groups over several splits are leaks."""
        query = "caption" if self.dataset.query_kind == "captions" else "sound"
        by_splits: dict[tuple[str, ...], list[Group]] = {}
        for group in groups:
            by_splits.setdefault(tuple(self._splits_of(group)), []).append(group)
        for splits, alike in by_splits.items():
            about = "queries" if len(splits) == 1 else "leaks"
            text = f"{what} {query} in {' and '.join(splits)}"
            yield from _remark(about, text, alike)


def _alike(keyed: Iterable[tuple[object, str]]) -> list[Group]:
    """Return the groups of videos that share a key other than None."""
    by_key: dict[object, list[str]] = {}
    for key, video in keyed:
        if key is not None:
            by_key.setdefault(key, []).append(video)
    return [tuple(videos) for videos in by_key.values() if len(videos) > 1]


def _remark(about: str, text: str, videos: Sequence[Group]) -> Iterator[Finding]:
    """Yield a remark with a count and some examples, or nothing without any."""
    if not videos:
        return
    grouped = len(videos[0]) > 1
    examples = [" = ".join(group[:SHOWN]) for group in videos[:SHOWN]]
    more = [f"... {len(videos) - SHOWN} more"] if len(videos) > SHOWN else []
    count = f"{len(videos)} group{'s' * (len(videos) > 1)}" if grouped else f"{len(videos)}"
    yield Finding(about, f"{text}: {count} ({', '.join([*examples, *more])})", tuple(videos))
