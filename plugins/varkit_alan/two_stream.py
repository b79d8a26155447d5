"""ALAN's video encoder: clips of an appearance and a motion stream, which attend to each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from varkit.blocks.sampling import draw, gather
from varkit.blocks.streams import even_weights, expect_samplers, expect_streams
from varkit.blocks.transformer import (
    CrossEncoder,
    Position,
    PositionTable,
    SelfEncoder,
    TokenEmbedding,
    readout,
)
from varkit.blocks.unit import unit
from varkit.interfaces import Clips, Count, Detector, Natural, Rate, Representation, Sampler


class Projection(nn.Module):
    """E = Linear(F), clip by clip (ALAN III-C).

    Args:
        width: of the raw clips.
        dim: D.
        normalize: scale each projected clip to length 1.
    """

    def __init__(self, width: int, dim: int, *, normalize: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(width, dim)
        self.normalize = normalize

    def forward(self, raw: Tensor) -> Tensor:
        """Map ``(B, T, width)`` to ``(B, T, D)``."""
        projected: Tensor = self.linear(raw)
        return unit(projected) if self.normalize else projected


class TwoStream(nn.Module):
    """Sampled clips of every stream, self-encoded, then cross-encoded (ALAN III-C).

    For each stream s, and for every sampler a sequence such as U (fixed frame) and
    R (anomaly-led):

    * E = Linear_s(F_s);  U = E[picks], R = E[picks], the same picks in all streams
    * Z_s = SelfEncoder_s([mean(U), U, mean(R), R] + positions + sequences)
    * Z_s = LN(Z_s + Linear(MHA(Q = Z_s, K = V = Z_{s'}))),  the Cross Encoder
    * g_s = mean of the CLS outputs,  h_s = mean of (mean of U's outputs, mean of R's outputs)

    One detector reads the concatenation of all streams, as in Fig. 4. Streams share no weights.
    The paper has two streams, one per expert. Any number works here: a single stream has no Cross
    Encoder; of three or more, each attends to the concatenation of all but itself.

    The paper's videos have all streams. Of a stream that a video lacks, the detector reads zeros,
    no other stream attends to it, its vectors are 0 and its tokens masked.

    Args:
        dim: D.
        experts: the names of the streams, in order.
        widths: of the streams, by name.
        samplers: by name; each gives one sequence.
        detector: builds a detector for a number of channels; None = no detector.
        detector_input: ``raw`` features, as in Fig. 4: the detector's loss trains the detector
            alone, and no other loss trains it. ``projected`` clips: its loss trains the projection
            too. Not in the paper.
        normalize: scale projected clips to length 1, before CLS = mean; as MMT does. The paper
            does not mention it.
        position: ``relative``, ``order`` or ``absolute``; see
            :class:`~varkit.blocks.transformer.TokenEmbedding`. The paper leaves it open.
        position_table: ``learned`` or ``sinusoid``. The paper leaves it open.
        positions: size of the table. Not in the paper.
        self_layers: of each Self Encoder. The paper: "a standard encoder layer".
        cross_layers: of each Cross Encoder (the paper: 1); 0 leaves it out.
        heads: of all attention. Not in the paper; 12 as in BERT at D = 768.
        feedforward: width inside the Self Encoder's FFN; null = 4 D as in BERT. Not in the paper.
        dropout: of embeddings and layers. Not in the paper; 0.1 as in BERT and MMT.

    Raises:
        VarkitError: a stream of an expert is missing, there is no sampler, or the heads do not
            divide D.
    """

    consumes: ClassVar[Literal["clips", "captions"]] = "clips"

    def __init__(
        self,
        dim: int,
        experts: tuple[str, ...],
        widths: Mapping[str, int],
        samplers: Mapping[str, Sampler],
        detector: Callable[[int], Detector] | None,
        *,
        detector_input: Literal["raw", "projected"] = "raw",
        normalize: bool = False,
        position: Position = "relative",
        position_table: PositionTable = "learned",
        positions: Count = 100,
        self_layers: Count = 1,
        cross_layers: Natural = 1,
        heads: Count = 12,
        feedforward: Count | None = None,
        dropout: Rate = 0.1,
    ) -> None:
        super().__init__()
        expect_streams("two_stream", experts, widths)
        expect_samplers("two_stream", samplers)
        self.experts = tuple(experts)
        self.samplers = dict(samplers)
        self.project_first = detector_input == "projected"
        self.projections = nn.ModuleList(
            Projection(widths[expert], dim, normalize=normalize) for expert in self.experts
        )
        self.embeddings = nn.ModuleList(
            TokenEmbedding(
                dim,
                len(self.samplers),
                position=position,
                position_table=position_table,
                positions=positions,
                dropout=dropout,
            )
            for _ in self.experts
        )
        self.self_encoders = nn.ModuleList(
            SelfEncoder(
                dim, layers=self_layers, heads=heads, feedforward=feedforward, dropout=dropout
            )
            for _ in self.experts
        )
        self.cross_encoders = nn.ModuleList(
            CrossEncoder(dim, len(self.experts), heads=heads, dropout=dropout)
            for _ in range(cross_layers if len(self.experts) > 1 else 0)
        )
        channels = [dim if self.project_first else widths[expert] for expert in self.experts]
        self.detector: Any = None if detector is None else detector(sum(channels))

    def forward(self, clips: Clips) -> Representation:
        """Encode B videos.

        Returns:
            Vectors ``cls`` and ``avg`` ``(B, E, D)``, and weights ``(B, E)``, even over the experts
            that a video has; tokens ``(B, sum(N), D)`` by expert; scores ``(B, T)`` where there is
            a detector; picks ``(B, N)`` by sampler.
        """
        features = [clips.features(expert) for expert in self.experts]
        has = clips.has(self.experts)
        if self.project_first:
            features = self._project(features)
        scores = None
        if self.detector is not None:
            scores = self.detector(torch.cat(features, dim=-1), clips.mask)
        picks = draw(self.samplers, scores, clips, training=self.training)

        sequences = [[gather(x, chosen) for x in features] for chosen in picks.values()]
        if not self.project_first:
            # A linear layer works clip by clip, so projecting the N drawn clips gives the same
            # result as projecting all T.
            sequences = [self._project(streams) for streams in sequences]
        length = clips.mask.sum(dim=1)
        encoded = []
        for k, (embed, encode) in enumerate(zip(self.embeddings, self.self_encoders, strict=True)):
            own = [streams[k] for streams in sequences]
            encoded.append(encode(embed(own, list(picks.values()), length)))
        for cross in self.cross_encoders:
            encoded = cross(encoded, ~has if clips.present else None)

        parts = [readout(z, [pick.shape[1] for pick in picks.values()]) for z in encoded]
        tokens = {expert: part[2] for expert, part in zip(self.experts, parts, strict=True)}
        lacking = ~has.unsqueeze(-1)
        vectors = {
            "cls": torch.stack([g for g, _, _ in parts], dim=1).masked_fill(lacking, 0),
            "avg": torch.stack([h for _, h, _ in parts], dim=1).masked_fill(lacking, 0),
        }
        return Representation(
            vectors=vectors,
            weights={name: even_weights(has, x) for name, x in vectors.items()},
            tokens=tokens,
            masks={e: has[:, [k]].expand(tokens[e].shape[:2]) for k, e in enumerate(self.experts)},
            scores=scores,
            picks=picks,
        )

    def _project(self, streams: Sequence[Tensor]) -> list[Tensor]:
        return [project(x) for project, x in zip(self.projections, streams, strict=True)]
