"""Sounds as queries, encoded into the same parts as captions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from varkit.blocks.sampling import draw, gather
from varkit.blocks.streams import expect_samplers
from varkit.blocks.transformer import (
    Position,
    PositionTable,
    SelfEncoder,
    TokenEmbedding,
    readout,
)
from varkit.errors import VarkitError
from varkit.interfaces import Clips, Count, Rate, Representation, Sampler


class Sounds(nn.Module):
    """Sampled clips of a sound through a Transformer, in place of a caption's BERT.

    X = SelfEncoder([CLS, Linear(A_1) .. Linear(A_N)]);  ``words`` = X of the clips,
    ``sentence`` = X at CLS

    The baselines' papers have no sounds as queries. ALAN's authors ran these methods on
    XDViolence-AR but do not say how; here all of them use ALAN's Self Encoder (III-D).

    Args:
        dim: D.
        widths: of the sound's only stream, which may have any name.
        samplers: by name; each gives one sequence.
        layers: of the Self Encoder.
        position: as in :class:`~varkit.blocks.transformer.TokenEmbedding`.
        position_table: the same.
        positions: the same.
        heads: of all attention.
        feedforward: width inside the FFN; null = 4 D.
        dropout: of embeddings and layers.

    Raises:
        VarkitError: there is not exactly one stream, there is no sampler, or the heads do not
            divide D.
    """

    consumes: ClassVar[Literal["clips", "captions"]] = "clips"
    detector: Any = None

    def __init__(
        self,
        dim: int,
        widths: Mapping[str, int],
        samplers: Mapping[str, Sampler],
        *,
        layers: Count = 1,
        position: Position = "relative",
        position_table: PositionTable = "learned",
        positions: Count = 100,
        heads: Count = 12,
        feedforward: Count | None = None,
        dropout: Rate = 0.1,
    ) -> None:
        super().__init__()
        if len(widths) != 1:
            raise VarkitError(
                f"sounds: a sound has exactly one stream, the queries have {len(widths)}: "
                f"{', '.join(widths) or 'none'}",
                hint="set query.use=words for queries that are captions",
            )
        expect_samplers("sounds", samplers)
        (self.stream, width), *_ = widths.items()
        self.samplers = dict(samplers)
        self.project = nn.Linear(width, dim)
        self.embed = TokenEmbedding(
            dim,
            len(samplers),
            position=position,
            position_table=position_table,
            positions=positions,
            dropout=dropout,
        )
        self.encode = SelfEncoder(
            dim, layers=layers, heads=heads, feedforward=feedforward, dropout=dropout
        )

    def forward(self, clips: Clips) -> Representation:
        """Encode B sounds.

        Returns:
            Tokens ``words`` ``(B, sum(N), D)`` and ``sentence`` ``(B, 1, D)``; picks ``(B, N)``.
        """
        # A sound may have the name of its video; its picks must not give the video away.
        sound = replace(clips, draws=clips.draws.named("sound"))
        picks = draw(self.samplers, None, sound, training=self.training)
        sequences = [self.project(gather(clips.streams[self.stream], p)) for p in picks.values()]
        embedded = self.embed(sequences, list(picks.values()), clips.mask.sum(dim=1))
        whole, _, parts = readout(self.encode(embedded), [p.shape[1] for p in picks.values()])
        tokens = {"words": parts, "sentence": whole.unsqueeze(1)}
        real = {name: x.new_ones(x.shape[:2], dtype=torch.bool) for name, x in tokens.items()}
        return Representation(tokens=tokens, masks=real, picks=picks)
