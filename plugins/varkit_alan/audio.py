"""ALAN's audio encoder: a sound as the query."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

from torch import nn

from varkit.blocks.gated_embedding import GateNorm
from varkit.blocks.transformer import Position, PositionTable
from varkit.errors import VarkitError
from varkit.interfaces import Clips, Count, Detector, Rate, Representation, Sampler
from varkit_alan.expert_weights import GatedExperts, WeightSets, WeightsFrom
from varkit_alan.two_stream import TwoStream


class Audio(nn.Module):
    """Sampled clips of a sound, self-encoded, then gated into experts (ALAN III-D).

    The sound goes through :class:`~varkit_alan.two_stream.TwoStream` as a single stream, with its
    own projection, detector and picks, but without a Cross Encoder. Then, for expert k,

    g^{ak} = GEU_k^g(g^a),  h^{ak} = GEU_k^h(h^a),  w = softmax_k(Linear_k(g^{ak}))   (Eq. 3, 4)

    The weights are the sound's in both directions of retrieval, so one similarity matrix serves
    both. The sound's detector is trained with the label of its video (Eq. 8). The paper gives this
    loss for videos only, but a detector without a loss would stay random.

    Args:
        dim: D.
        experts: the E experts of the video side.
        widths: of the sound's only stream, which may have any name.
        samplers: by name; each gives one sequence.
        detector: builds a detector for a number of channels; None = no detector.
        gate_norm: ``batch`` or ``layer``; see
            :class:`~varkit.blocks.gated_embedding.GatedEmbedding`. Not in the paper.
        weights_from: ``gated`` or ``ungated``; see
            :class:`~varkit_alan.expert_weights.GatedExperts`.
        weights: ``shared`` or ``separate``; the same.
        detector_input: this and all options below: as in
            :class:`~varkit_alan.two_stream.TwoStream`.
        normalize: the same.
        position: the same.
        position_table: the same.
        positions: the same.
        self_layers: the same.
        heads: the same.
        feedforward: the same.
        dropout: the same.

    Raises:
        VarkitError: there is not exactly one stream, there is no sampler, or the heads do not
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
        gate_norm: GateNorm = "batch",
        weights_from: WeightsFrom = "gated",
        weights: WeightSets = "shared",
        detector_input: Literal["raw", "projected"] = "raw",
        normalize: bool = False,
        position: Position = "relative",
        position_table: PositionTable = "learned",
        positions: Count = 100,
        self_layers: Count = 1,
        heads: Count = 12,
        feedforward: Count | None = None,
        dropout: Rate = 0.1,
    ) -> None:
        super().__init__()
        if len(widths) != 1:
            raise VarkitError(
                f"audio: a sound has exactly one stream, the queries have {len(widths)}: "
                f"{', '.join(widths) or 'none'}",
                hint="let the data set give sounds one stream"
                if widths
                else "set query.use=bert for queries that are captions",
            )
        self.encoder = TwoStream(
            dim,
            tuple(widths),
            widths,
            samplers,
            detector,
            detector_input=detector_input,
            normalize=normalize,
            position=position,
            position_table=position_table,
            positions=positions,
            self_layers=self_layers,
            cross_layers=0,
            heads=heads,
            feedforward=feedforward,
            dropout=dropout,
        )
        self.head = GatedExperts(
            dim,
            dim,
            len(experts),
            gate_norm=gate_norm,
            weights_from=weights_from,
            weights=weights,
        )

    @property
    def detector(self) -> Any:
        """The sound's own detector, or None."""
        return self.encoder.detector

    def forward(self, clips: Clips) -> Representation:
        """Encode B sounds.

        Returns:
            Vectors ``(B, E, D)`` and weights ``(B, E)``, both under ``cls`` and ``avg``; tokens
            ``(B, sum(N), D)``; scores ``(B, T)`` where there is a detector; picks ``(B, N)``.
        """
        # A sound may have the name of its video. With the same random numbers, its picks would
        # give the video away, in evaluation too.
        sound = self.encoder(replace(clips, draws=clips.draws.named("sound")))
        vectors, weights = self.head(sound.vectors["cls"][:, 0], sound.vectors["avg"][:, 0])
        return Representation(
            vectors=vectors,
            weights=weights,
            tokens=sound.tokens,
            masks=sound.masks,
            scores=sound.scores,
            picks=sound.picks,
        )
