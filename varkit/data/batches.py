"""From a data set to batches: validation split, training epochs, evaluation batches.

Everything random is a function of (seed, epoch, item) alone (:mod:`varkit.interfaces.draws`). So
an epoch does not depend on the number of ranks or reading processes, and training can start in
the middle of one without saved state.
"""

from __future__ import annotations

import atexit
import math
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from varkit.data.collate import collate_clips
from varkit.data.positives import query_group
from varkit.errors import DataError, VarkitError
from varkit.interfaces import (
    Batch,
    Captions,
    Clips,
    Dataset,
    Draws,
    Item,
    Sequences,
    VideoReader,
    derive_seed,
)

Tokenize = Callable[[Sequence[str]], Captions]
STOPS = (signal.SIGINT, signal.SIGTERM)


def carve_validation(
    items: Sequence[Item], fraction: float, seed: int
) -> tuple[list[Item], list[Item]]:
    """Hold out a share of the training videos, the same share of every label.

    Whether a video is held out does not depend on the order of ``items``. If the share rounds to
    0, one video is held out; if there is only one video, it stays in training.

    Args:
        items: the training split.
        fraction: share to hold out, in [0, 1); 0 = hold out nothing.
        seed: decides which videos are held out.

    Returns:
        The training and the validation items, each in the order of ``items``.
    """
    held: set[str] = set()
    strata: dict[int | None, list[Item]] = {}
    for item in items:
        strata.setdefault(item.label, []).append(item)
    if fraction > 0:
        order = {i.video: derive_seed(seed, "validation", i.video) for i in items}
        for stratum in strata.values():
            stratum.sort(key=lambda item: order[item.video])
            count = min(round(fraction * len(stratum)), len(stratum) - 1)
            held.update(item.video for item in stratum[:count])
        if not held and len(items) > 1:
            held.add(min(order, key=order.__getitem__))
    train = [item for item in items if item.video not in held]
    return train, [item for item in items if item.video in held]


def caption_of(dataset: Dataset, query: str) -> str:
    """Return a caption.

    Raises:
        DataError: the query is a sound.
    """
    caption = dataset.query(query)
    if not isinstance(caption, str):
        raise DataError(f"{dataset.name}: query {query!r} is a sound, not a caption")
    return caption


def sound_of(dataset: Dataset, query: str) -> VideoReader:
    """Open a sound.

    Raises:
        DataError: the query is a caption.
    """
    sound = dataset.query(query)
    if isinstance(sound, str):
        raise DataError(f"{dataset.name}: query {query!r} is a caption, not a sound")
    return sound


def steps_per_epoch(items: Sequence[Item], batch_size: int) -> int:
    """Return how many global batches an epoch has: only full ones, but at least one.

    Raises:
        DataError: there are no items.
    """
    if not items:
        raise DataError("there are no videos to train on")
    return max(1, len(items) // batch_size)


def training_batches(
    dataset: Dataset,
    items: Sequence[Item],
    *,
    tokenize: Tokenize | None,
    batch_size: int,
    max_clips: int,
    seed: int,
    epoch: int,
    start: int = 0,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 0,
) -> Iterator[Batch]:
    """Iterate over one epoch: every video at most once, each with one of its queries.

    The order is a permutation drawn from (seed, epoch); a video's query and crop are drawn from
    (seed, epoch, video). An incomplete last batch is dropped, unless it is the only one.

    Args:
        dataset: read lazily, one batch at a time.
        items: the training videos.
        tokenize: tokenises captions; None if queries are sounds. It is called in this process, so
            that reading processes do not need the model.
        batch_size: B of the global batch, over all ranks.
        max_clips: longer videos and sounds are averaged over this many equal segments.
        seed: of the run.
        epoch: number of the epoch.
        start: skip this many global batches, without reading them.
        rank: which contiguous slice of each global batch to yield.
        world_size: the number of slices; their sizes differ by at most one.
        workers: processes that read; 0 = this one.

    Raises:
        DataError: there are no items, a batch has fewer items than there are ranks, or a feature
            file is bad.
    """
    steps = steps_per_epoch(items, batch_size)
    if bare := [item.video for item in items if not item.queries]:
        raise DataError(f"training video {bare[0]!r} has no query, like {len(bare) - 1} more")
    size = min(batch_size, len(items))
    if size < world_size:
        raise DataError(
            f"a batch of {size} videos cannot be shared by {world_size} ranks",
            hint=f"set train.batch_size to at least {world_size}, or start fewer ranks",
        )
    order = np.random.default_rng(derive_seed(seed, "order", epoch)).permutation(len(items))
    share = slice(rank * size // world_size, (rank + 1) * size // world_size)
    batches = [
        [items[i] for i in order[step * size : (step + 1) * size][share]]
        for step in range(start, steps)
    ]
    # DataLoader draws a number from a generator at every start. It gets its own generator, because
    # dropout would otherwise depend on how often an epoch was interrupted.
    epoch_seed = derive_seed(seed, "train", epoch)
    reader = _Reader(dataset, batches, max_clips, epoch_seed)
    loader: DataLoader[Any] = DataLoader(
        reader,  # type: ignore[arg-type]  # DataLoader uses only its items and length
        batch_size=None,
        num_workers=workers,
        generator=torch.Generator(),
        worker_init_fn=leave_signals,
    )
    for read in read_ahead(loader):
        if isinstance(read, VarkitError):
            raise read
        yield _assemble(read, tokenize, epoch_seed)


def video_batches(
    dataset: Dataset,
    videos: Sequence[str],
    *,
    seed: int,
    crop: int = 0,
    max_clips: int,
    clips_per_batch: int,
) -> Iterator[tuple[list[int], Clips]]:
    """Iterate over some videos for evaluation, batching videos of similar length.

    Args:
        dataset: read lazily.
        videos: identifiers.
        seed: of the samplers at evaluation.
        crop: which crop of the features; 0 is the centre.
        max_clips: longer videos are averaged over this many equal segments.
        clips_per_batch: at most this many clips per batch, padding included; a longer video is a
            batch of its own.

    Yields:
        Positions in ``videos`` and the clips of those videos.
    """
    yield from _clip_batches(
        dataset.open,
        videos,
        seed=seed,
        crop=crop,
        max_clips=max_clips,
        clips_per_batch=clips_per_batch,
    )


def query_batches(
    dataset: Dataset,
    queries: Sequence[str],
    *,
    tokenize: Tokenize | None,
    seed: int,
    max_clips: int,
    clips_per_batch: int,
    batch_size: int = 256,
) -> Iterator[tuple[list[int], Clips | Captions]]:
    """Iterate over some queries for evaluation, batching queries of similar length.

    Args:
        dataset: read lazily.
        queries: identifiers.
        tokenize: tokenises captions; None if queries are sounds.
        seed: of the samplers at evaluation.
        max_clips: of sounds, as in :func:`video_batches`.
        clips_per_batch: of sounds, as in :func:`video_batches`.
        batch_size: of captions.

    Yields:
        Positions in ``queries`` and the captions or clips of those queries.
    """
    if tokenize is None:
        yield from _clip_batches(
            partial(sound_of, dataset),
            queries,
            seed=seed,
            max_clips=max_clips,
            clips_per_batch=clips_per_batch,
        )
        return
    texts = [caption_of(dataset, query) for query in queries]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for begin in range(0, len(order), batch_size):
        chosen = order[begin : begin + batch_size]
        yield chosen, tokenize([texts[i] for i in chosen])


def remember_captions(
    encoder: Any,
    dataset: Dataset,
    items: Sequence[Item],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Let an encoder that can do so compute frozen captions before they come in batches.

    Args:
        encoder: of the queries; see :class:`varkit.interfaces.TextEncoder`.
        dataset: gives the captions.
        items: all videos of a split, so that every run asks for the same captions at once.
        progress: takes the number of captions done and the number of all.
    """
    remember = getattr(encoder, "remember", None)
    if remember is not None and dataset.query_kind == "captions":
        remember([caption_of(dataset, q) for item in items for q in item.queries], progress)


@dataclass(frozen=True)
class _Read:
    """A batch as a reading process returns it: captions are not tokenised yet."""

    items: Sequence[Item]
    video: Clips
    queries: tuple[str, ...]
    query: Clips | tuple[str, ...]


@dataclass(frozen=True)
class _Reader:
    """The batches of an epoch, by number."""

    dataset: Dataset
    batches: Sequence[Sequence[Item]]
    max_clips: int
    seed: int

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, step: int) -> _Read | VarkitError:
        try:
            return self._read(self.batches[step])
        except VarkitError as error:
            # Returned, because DataLoader wraps an error raised in a reading process.
            return error

    def _read(self, items: Sequence[Item]) -> _Read:
        draws = Draws(self.seed, tuple(item.video for item in items))
        crop_draws, query_draws = draws.named("crop"), draws.named("query")
        clips: list[Sequences] = []
        queries: list[str] = []
        for b, item in enumerate(items):
            video = self.dataset.open(item.video)
            crop = int(crop_draws.numpy(b).integers(video.crops))
            clips.append(video.means(self.max_clips, crop))
            queries.append(item.queries[int(query_draws.numpy(b).integers(len(item.queries)))])
        return _Read(items, collate_clips(clips, draws), tuple(queries), self._queries(queries))

    def _queries(self, queries: Sequence[str]) -> Clips | tuple[str, ...]:
        if self.dataset.query_kind == "captions":
            return tuple(caption_of(self.dataset, query) for query in queries)
        sounds = [sound_of(self.dataset, query).means(self.max_clips) for query in queries]
        return collate_clips(sounds, Draws(self.seed, tuple(queries)))


def leave_signals(_: int) -> None:
    """Ignore a stop signal in a reading process: the training process ends its readers."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)


def read_ahead(loader: DataLoader[Any]) -> Iterator[Any]:
    """Yield what a loader reads. Its processes start with stop signals blocked.

    A signal that reached a process before :func:`leave_signals` runs would kill it, and the
    program would end with an error. Since they ignore the signal by which Python ends its child
    processes, they are ended here if the program exits while somebody, such as a saved traceback,
    still holds this iterator; otherwise Python would wait for them forever.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        iterator = iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    # torch's own clean-up, which waits for the garbage collector; without processes there is none.
    end: Callable[[], None] = getattr(iterator, "_shutdown_workers", lambda: None)
    atexit.register(end)
    try:
        yield from iterator
    finally:
        atexit.unregister(end)
        end()


def _assemble(read: _Read, tokenize: Tokenize | None, seed: int) -> Batch:
    query: Clips | Captions
    if isinstance(read.query, Clips):
        query, names = read.query, read.queries
    elif tokenize is None:
        raise TypeError("captions need a tokenize function")
    else:
        query, names = tokenize(read.query), read.query
    labels = [math.nan if item.label is None else float(item.label) for item in read.items]
    pairs = tuple(f"{i.video}|{q}" for i, q in zip(read.items, read.queries, strict=True))
    return Batch(
        video=read.video,
        query=query,
        label=torch.tensor(labels, dtype=torch.float32),
        group=torch.tensor([query_group(name) for name in names], dtype=torch.int64),
        draws=Draws(seed, pairs),
    )


def _clip_batches(
    open_item: Callable[[str], VideoReader],
    items: Sequence[str],
    *,
    seed: int,
    crop: int = 0,
    max_clips: int,
    clips_per_batch: int,
) -> Iterator[tuple[list[int], Clips]]:
    lengths = [min(max_clips, open_item(item).length) for item in items]
    order = sorted(range(len(items)), key=lengths.__getitem__)
    while order:
        # Lengths ascend, so the last video taken decides the padding.
        size = 1
        while size < len(order) and lengths[order[size]] * (size + 1) <= clips_per_batch:
            size += 1
        chosen, order = order[:size], order[size:]
        draws = Draws(derive_seed(seed, "eval"), tuple(items[i] for i in chosen))
        clips = [open_item(items[i]).means(max_clips, crop) for i in chosen]
        yield chosen, collate_clips(clips, draws)
