"""A trained run as a space: its factors are the rows of an index (the factor rule)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from varkit.data.collate import segment_edges
from varkit.data.in_memory import InMemory
from varkit.errors import DataError, VarkitError
from varkit.evaluation.encoding import Side, SplitEncoder
from varkit.evaluation.evaluate import evaluating
from varkit.interfaces import Sequences, VideoReader
from varkit.interfaces.searching import Array, Block, Channel, Reason, Streamed, Track
from varkit.runs.find import find_run
from varkit.runs.folder import open_run
from varkit.search.channels import at_centres
from varkit.search.facts import Facts
from varkit.search.model import Model, load
from varkit.search.shards import Curve, Shard
from varkit.system.files import sha256

SEGMENTS, SHORTEST = 16, 4
"""Most segments of a video that are encoded alone to find moments, and the least clips of one."""


@dataclass(frozen=True)
class _Readers:
    """Videos that are opened by name, as an encoder of splits asks for them."""

    readers: Mapping[str, VideoReader]
    query_kind: str

    def open(self, video: str) -> VideoReader:
        return self.readers[video]


class RunSpace:
    """A trained model, for an index.

    By the factor rule a row is a video's factors. If an alignment gives none, searches have two
    stages: rows are the mean vectors of a representation, or the means of its tokens. Their cosines
    find candidates, and :meth:`similarity` scores these in full.

    Args:
        run: its folder.
        seed: of the training; None = the run's first.
        accept_code: open it even if the code that made it has changed since.
        device: where to compute.
        streams: the run's names of streams -> those of a store; needed for :meth:`tracks` alone.

    Raises:
        RunError: the folder is not a run, or other code made it.
        CheckpointError: its weights are damaged.
        VarkitError: an alignment gives no factors, and no vectors can be compared instead.
    """

    def __init__(
        self,
        run: Path | str,
        *,
        seed: int | None = None,
        accept_code: bool = False,
        device: torch.device | str = "cpu",
        streams: Mapping[str, Streamed] | None = None,
    ) -> None:
        self.folder = find_run(run)
        opened = open_run(self.folder, accept_code=accept_code)
        self.model: Model = load(opened, seed=seed, accept_code=accept_code, device=device)
        chosen = opened.recipe.train.seeds[0] if seed is None else seed
        weights = opened.model_file(chosen, opened.reported(chosen))
        self.origin: Mapping[str, Any] = {
            "model": sha256(weights),
            "recipe": opened.recipe.digest(),
        }
        self.seed, self.accept_code = chosen, accept_code
        self.dataset = self.model.dataset
        self.simulated = self.model.simulated
        self.channels: Mapping[str, Channel] = self._channels()
        self.kept: Mapping[str, Array] = {}
        self.streams = streams or {}

    def encode_text(self, texts: Sequence[str]) -> Array:
        """Return the (Q, K) factors of sentences."""
        return factors(self.model.encode_captions(texts).side_values)

    def similarity(self, text: str, videos: Sequence[str]) -> Array:
        """Return the (V,) full similarity of a sentence and videos of the run's data set.

        Raises:
            DataError: the data set is not here, or has no such video.
        """
        query = self.model.encode_captions([text]).side_values
        side = self.encode_videos({name: self.dataset.open(name) for name in videos})
        scores = np.zeros(len(videos), np.float32)
        with evaluating(self.model.network):
            for rows, _, tile in self._encoder({}).tiles(side, query):
                scores[rows.numpy()] = tile[:, 0].float().cpu().numpy()
        return scores

    def tracks(self, streams: Mapping[str, Track]) -> Mapping[str, Mapping[str, Track]]:
        """Return the factors of a file as one clip, which lasts as long as the file."""
        named = {n: streams[each.key] for n, each in self.streams.items() if each.key in streams}
        (channel,) = self.channels
        if not named:
            return {channel: {}}
        times = next(iter(named.values())).times
        clips = {n: t.values[at_centres(t.times, times)] for n, t in named.items()}
        absent = frozenset(self.dataset.widths) - named.keys()
        for name in absent:
            clips[name] = np.zeros((len(times), self.dataset.widths[name]), np.float32)
        reader = InMemory(Sequences(clips, times.astype(np.float32), absent))
        row = factors(self.encode_videos({"query": reader}))
        whole, blocks = np.array([[times[0, 0], times[-1, 1]]]), self.channels[channel]
        parts = zip(blocks.blocks, blocks.slices, strict=True)
        return {channel: {block.name: Track(row[:, part], whole) for block, part in parts}}

    def reasons(self, channel: str, query: Array, row: Array) -> list[Reason]:
        """Return nothing: a network does not say why."""
        return []

    def encode_videos(self, readers: Mapping[str, VideoReader]) -> Side:
        """Encode videos together, as ``varkit eval`` does, so that rows are the same to the bit.

        Args:
            readers: name -> video.
        """
        with evaluating(self.model.network):
            return self._encoder(readers).encode_videos(self.model.recipe.eval.seed)

    def _encoder(self, readers: Mapping[str, VideoReader]) -> SplitEncoder:
        model = self.model
        dataset: Any = _Readers(readers, model.dataset.query_kind)
        return SplitEncoder(
            model.network, dataset, list(readers), (), model.recipe.eval, model.device, None
        )

    def shard(self, name: str, reader: VideoReader, row: Array, scores: Array | None) -> Shard:
        """Return the shard of a video.

        Its segments are encoded as videos of their own; by the factor rule, the inner product of
        their factors with a query says which of them answers it.

        Args:
            name: of the video.
            reader: its clips.
            row: (K,) its factors.
            scores: (T,) of its detector, if the model has one.
        """
        (channel,) = self.channels
        clips = reader.means(self.model.recipe.eval.max_clips)
        count = min(SEGMENTS, len(clips) // SHORTEST)
        edges = list(pairwise(segment_edges(len(clips), count))) if count > 1 else []
        tracks = {}
        if edges:
            parts = {f"{name}#{n}": InMemory(_slice(clips, *edge)) for n, edge in enumerate(edges)}
            own = factors(self.encode_videos(parts))
            spans = [(clips.times[first, 0], clips.times[last - 1, 1]) for first, last in edges]
            blocks = self.channels[channel]
            for block, part in zip(blocks.blocks, blocks.slices, strict=True):
                tracks[block.name] = Track(own[:, part], np.array(spans, np.float64))
        times, curve = reader.times.astype(np.float64), None
        if scores is not None and len(scores) == len(times):
            fired = np.full(len(times), -1, np.int16)
            curve = Curve(times, scores.astype(np.float32), fired)
        whole = np.array([[times[0, 0], times[-1, 1]]])
        return Shard(whole, {channel: row[None]}, {channel: tracks}, curve)

    def _channels(self) -> dict[str, Channel]:
        captions = self.dataset.query_kind == "captions"
        streams = {
            name: np.random.default_rng(0).random((8, width), np.float32)
            for name, width in self.dataset.widths.items()
        }
        starts = np.arange(8, dtype=np.float32)
        times = np.stack([starts, starts + 1], axis=1)
        made_up: Any = _Readers({"made up": InMemory(Sequences(streams, times))}, "")
        widths = self.model.factor_widths(made_up)
        self.two_stages = not widths
        if self.two_stages:
            widths = {"vectors": factors(self.encode_videos(made_up.readers)).shape[1]}
            if not captions or self.encode_text(["a man"]).shape[1] != widths["vectors"]:
                raise VarkitError(
                    f"an alignment of {self.folder} gives no factors, and the vectors of its "
                    "videos and queries differ in length",
                    hint="varkit.load ranks with it in Python",
                )
        blocks = tuple(Block(name, width) for name, width in widths.items())
        asks: Any = {"text" if captions else "sound", "example"}
        return {"words" if captions else "sound": Channel(blocks, frozenset(asks))}


def opened(facts: Facts, device: torch.device | str = "cpu") -> RunSpace:
    """Open the run of an index.

    Raises:
        DataError: its weights are not those that the index was made with.
    """
    run = facts.run or {}
    space = RunSpace(
        run["folder"],
        seed=run["seed"],
        accept_code=run["accept_code"],
        device=device,
        streams=facts.streams,
    )
    if space.origin != dict(facts.origin):
        raise DataError(
            f"{space.folder} is not the run that the index was made with: {space.origin}, not "
            f"{dict(facts.origin)}",
            hint="varkit index --with RUN --out ANOTHER",
        )
    return space


def _slice(clips: Sequences, first: int, last: int) -> Sequences:
    streams = {name: values[first:last] for name, values in clips.streams.items()}
    return Sequences(streams, clips.times[first:last], clips.absent)


def factors(side: Side) -> Array:
    """Return the (V, K) factors of what was encoded, or its mean vectors if there are none."""
    if side.factors is not None:
        given: Array = side.factors.cpu().numpy()
        return given
    rows: dict[int, Array] = {}
    for positions, representation in side.parts:
        means = [part.mean(1) for _, part in sorted(representation.vectors.items())]
        for name, tokens in sorted(representation.tokens.items()) if not means else ():
            mask = representation.masks[name][..., None]
            means.append((tokens * mask).sum(1) / mask.sum(1).clamp(min=1))
        if not means:
            raise VarkitError("an alignment gives no factors, and its encoder gives no vectors")
        coarse = torch.nn.functional.normalize(torch.cat(means, dim=1).float(), dim=1)
        rows |= dict(zip(positions.tolist(), coarse.cpu().numpy(), strict=True))
    return np.stack([rows[n] for n in range(len(rows))])
