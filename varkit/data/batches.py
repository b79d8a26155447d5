"""From a data set to batches: validation split, training epochs, evaluation batches.

Everything random is a function of (seed, epoch, item) alone (:mod:`varkit.interfaces.draws`). So an
epoch is the same whatever the number of ranks or reading processes, and starting in the middle of
one needs no saved state.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from varkit.data.collate import collate_clips, segment_means
from varkit.data.positives import query_group
from varkit.errors import DataError, VarkitError
from varkit.interfaces import Batch, Captions, Clips, Dataset, Draws, Item, Sequences, derive_seed

Tokenize = Callable[[Sequence[str]], Captions]
STOPS = (signal.SIGINT, signal.SIGTERM)


def carve_validation(
    items: Sequence[Item], fraction: float, seed: int
) -> tuple[list[Item], list[Item]]:
    """Hold out a share of the training videos, the same share of every label.

    A video's place depends on the seed and its id, not on the order of ``items``. Where the share
    rounds to nothing, one video is held out; a lone video stays in training.

    Args:
        items: the training split.
        fraction: share to hold out, in [0, 1); 0 = nothing.
        seed: another seed holds out other videos.

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


def steps_per_epoch(items: Sequence[Item], batch_size: int) -> int:
    """Return how many global batches an epoch has: full ones, but at least one.

    Raises:
        DataError: there are no items.
    """
    if not items:
        raise DataError("there is no video to train on")
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

    The order is a permutation keyed by (seed, epoch); a video's query and crop are drawn by
    (seed, epoch, video). The last, incomplete batch is left out, unless it is the only one.

    Args:
        dataset: read lazily, one batch at a time.
        items: the training videos.
        tokenize: cuts captions into tokens; None where queries are sounds. It is called in this
            process, so that reading processes need not hold the model.
        batch_size: B of the global batch, over all ranks.
        max_clips: longer videos and sounds are averaged over this many equal segments.
        seed: of the run.
        epoch: number of the epoch.
        start: skip this many global batches, without reading them.
        rank: which contiguous slice of each global batch to yield.
        world_size: into how many slices; their sizes differ by one at most.
        workers: processes that read; 0 = this one.

    Raises:
        DataError: there are no items, fewer items in a batch than ranks, or a feature file is
            bad.
    """
    steps = steps_per_epoch(items, batch_size)
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
    # DataLoader takes a number from a generator at every start: give it one of its own, since
    # dropout would otherwise depend on how often an epoch was interrupted.
    epoch_seed = derive_seed(seed, "train", epoch)
    reader = _Reader(dataset, batches, max_clips, epoch_seed)
    loader: DataLoader[Any] = DataLoader(
        reader,  # type: ignore[arg-type]  # its items and length are all that is used
        batch_size=None,
        num_workers=workers,
        generator=torch.Generator(),
        worker_init_fn=leave_signals,
    )
    for read in start_readers(loader):
        if isinstance(read, VarkitError):
            raise read
        yield _assemble(read, tokenize, epoch_seed)


def video_length(dataset: Dataset, video: str) -> int:
    """Return T; the data set's ``length(video)``, where it has one, spares a reading."""
    length = getattr(dataset, "length", None)
    return len(dataset.video(video)) if length is None else int(length(video))


def video_clips(dataset: Dataset, video: str, crop: int, max_clips: int) -> Sequences:
    """Read a video's clips, averaged over ``max_clips`` equal segments if there are more.

    A data set's ``video_means(video, crop, count)``, where it has one, spares having a video of
    hours in memory as a whole.
    """
    means = getattr(dataset, "video_means", None)
    if means is not None:
        found: Sequences = means(video, crop, max_clips)
        return found
    return segment_means(dataset.video(video, crop), max_clips)


def video_batches(
    dataset: Dataset,
    videos: Sequence[str],
    *,
    seed: int,
    crop: int = 0,
    max_clips: int,
    clips_per_batch: int,
) -> Iterator[tuple[list[int], Clips]]:
    """Iterate over some videos, for evaluation, videos of similar length together.

    Args:
        dataset: read lazily.
        videos: identifiers.
        seed: of the samplers at evaluation.
        crop: which crop of the features; 0 is the centre.
        max_clips: longer videos are averaged over this many equal segments.
        clips_per_batch: at most this many clips a batch, padding included; a longer video comes
            alone.

    Yields:
        Positions in ``videos`` and the clips of those videos.
    """
    yield from _clip_batches(
        videos,
        lambda video: min(max_clips, video_length(dataset, video)),
        lambda video: video_clips(dataset, video, crop, max_clips),
        seed,
        clips_per_batch,
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
    """Iterate over some queries, for evaluation, queries of similar length together.

    Args:
        dataset: read lazily; its ``query_length(query)``, where it has one, spares a second
            reading of sounds.
        queries: identifiers.
        tokenize: cuts captions into tokens; None where queries are sounds.
        seed: of the samplers at evaluation.
        max_clips: of sounds, as in :func:`video_batches`.
        clips_per_batch: of sounds, as in :func:`video_batches`.
        batch_size: of captions.

    Yields:
        Positions in ``queries`` and the captions or clips of those queries.
    """
    if tokenize is None:
        length = getattr(dataset, "query_length", None) or (lambda q: len(_sound(dataset, q)))
        yield from _clip_batches(
            queries,
            lambda query: min(max_clips, length(query)),
            lambda query: segment_means(_sound(dataset, query), max_clips),
            seed,
            clips_per_batch,
        )
        return
    texts = [_caption(dataset, query) for query in queries]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for begin in range(0, len(order), batch_size):
        chosen = order[begin : begin + batch_size]
        yield chosen, tokenize([texts[i] for i in chosen])


def questions(dataset: Dataset) -> str:
    """Return a hash of what the test split asks: two runs with the same one can be paired.

    A data set's fingerprint also tells its features and its training videos, in which runs may
    differ and be compared. One that has no ``questions`` of its own is compared with itself alone.
    """
    own = getattr(dataset, "questions", None)
    return dataset.fingerprint() if own is None else str(own())


@dataclass(frozen=True)
class _Read:
    """A batch as a reading process hands it over: captions are not yet cut into tokens."""

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
            # Returned, since DataLoader buries what a reading process raises in a traceback.
            return error

    def _read(self, items: Sequence[Item]) -> _Read:
        draws = Draws(self.seed, tuple(item.video for item in items))
        crop_draws, query_draws = draws.named("crop"), draws.named("query")
        clips: list[Sequences] = []
        queries: list[str] = []
        for b, item in enumerate(items):
            crop = int(crop_draws.numpy(b).integers(self.dataset.crops(item.video)))
            clips.append(video_clips(self.dataset, item.video, crop, self.max_clips))
            queries.append(item.queries[int(query_draws.numpy(b).integers(len(item.queries)))])
        return _Read(items, collate_clips(clips, draws), tuple(queries), self._queries(queries))

    def _queries(self, queries: Sequence[str]) -> Clips | tuple[str, ...]:
        if self.dataset.query_kind == "captions":
            return tuple(_caption(self.dataset, query) for query in queries)
        sounds = [segment_means(_sound(self.dataset, query), self.max_clips) for query in queries]
        return collate_clips(sounds, Draws(self.seed, tuple(queries)))


def leave_signals(_: int) -> None:
    """Ignore a stop that is sent to all processes: the training process ends its readers."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)


def start_readers(loader: DataLoader[Any]) -> Iterator[Any]:
    """Return a loader's iterator, whose processes start with the signals of a stop blocked.

    A stop that reached one before :func:`leave_signals` would end it, and the program with an
    error.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        return iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
    items: Sequence[str],
    length: Callable[[str], int],
    read: Callable[[str], Sequences],
    seed: int,
    clips_per_batch: int,
) -> Iterator[tuple[list[int], Clips]]:
    lengths = [length(item) for item in items]
    order = sorted(range(len(items)), key=lengths.__getitem__)
    while order:
        # Ascending, so the last one taken is the longest and decides the padding.
        size = 1
        while size < len(order) and lengths[order[size]] * (size + 1) <= clips_per_batch:
            size += 1
        chosen, order = order[:size], order[size:]
        draws = Draws(derive_seed(seed, "eval"), tuple(items[i] for i in chosen))
        yield chosen, collate_clips([read(items[i]) for i in chosen], draws)


def _sound(dataset: Dataset, query: str) -> Sequences:
    found = dataset.query(query)
    if isinstance(found, str):
        raise DataError(f"{dataset.name}: query {query!r} is a caption, not a sound")
    return found


def _caption(dataset: Dataset, query: str) -> str:
    found = dataset.query(query)
    if not isinstance(found, str):
        raise DataError(f"{dataset.name}: query {query!r} is a sound, not a caption")
    return found
