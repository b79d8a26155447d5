"""The Transformer parts that the video and the audio encoder share (ALAN III-C)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from varkit.errors import VarkitError

Position = Literal["relative", "order", "absolute"]
PositionTable = Literal["learned", "sinusoid"]


def sinusoid(positions: int, dim: int) -> Tensor:
    """Return the ``(positions, dim)`` table of Vaswani et al. 2017, section 3.5.

    Even columns 2c hold sin(i / 10000^(2c/dim)), odd columns 2c+1 the cosine of the same angle.
    """
    column = torch.arange(dim, dtype=torch.float64)
    rate = 10000.0 ** (-(column - column % 2) / dim)
    angle = torch.arange(positions, dtype=torch.float64).unsqueeze(1) * rate
    return torch.where(column % 2 == 0, angle.sin(), angle.cos()).float()


class TokenEmbedding(nn.Module):
    """Put a CLS token before every sampled sequence and say where each token comes from.

    Z_0 = Drop(LN([U_CLS, U_1..U_N, R_CLS, R_1..R_N] + position + sequence)),
    U_CLS = mean(U), R_CLS = mean(R)                       (ALAN III-C)

    The paper adds position and sequence embeddings and says no more; layer normalisation and
    dropout follow BERT and MMT. Tables start at standard deviation 0.02, as in BERT.

    Args:
        dim: D.
        sequences: M, how many sampled sequences there are.
        position: what the position of clip i of T, the j-th of its sequence, is. ``relative`` =
            floor(P i / T) + 1, the "time in the video" of the paper, which fits videos of 5 and
            of 61,000 clips alike; ``order`` = j; ``absolute`` = i + 1. Both stop at P. CLS has
            position 0.
        position_table: ``learned`` as in MMT; ``sinusoid`` as in Vaswani et al. 2017. The paper
            leaves it open.
        positions: P. Not in the paper.
        dropout: not in the paper; 0.1 as in BERT and MMT.
    """

    table: Tensor

    def __init__(
        self,
        dim: int,
        sequences: int,
        *,
        position: Position,
        position_table: PositionTable,
        positions: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.position = position
        self.positions = positions
        self.sequence = nn.Parameter(torch.empty(sequences, dim).normal_(std=0.02))
        if position_table == "learned":
            self.table = nn.Parameter(torch.empty(positions + 1, dim).normal_(std=0.02))
        else:
            self.register_buffer("table", sinusoid(positions + 1, dim), persistent=False)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, sequences: Sequence[Tensor], picks: Sequence[Tensor], length: Tensor
    ) -> Tensor:
        """Join M sequences of tokens into one.

        Args:
            sequences: M of ``(B, N_m, D)`` projected clips.
            picks: M of ``(B, N_m)`` int64, the clip that each came from.
            length: ``(B,)`` int64, T of every video: real clips, not padded ones.

        Returns:
            ``(B, M + sum(N_m), D)``: CLS_1, clips of sequence 1, CLS_2, clips of sequence 2, ...
        """
        parts = []
        for m, (tokens, chosen) in enumerate(zip(sequences, picks, strict=True)):
            where = self.table[self._position(chosen, length.unsqueeze(1))]
            cls = tokens.mean(dim=1, keepdim=True) + self.table[0]
            parts.append(torch.cat([cls, tokens + where], dim=1) + self.sequence[m])
        joined: Tensor = self.dropout(self.norm(torch.cat(parts, dim=1)))
        return joined

    def _position(self, picks: Tensor, length: Tensor) -> Tensor:
        if self.position == "relative":
            return self.positions * picks // length + 1
        if self.position == "order":
            picks = torch.arange(picks.shape[1], device=picks.device).expand_as(picks)
        return (picks + 1).clamp(max=self.positions)


def readout(z: Tensor, counts: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Split encoded tokens into the vectors of the two alignments and the clips.

    g = mean of the CLS tokens,  h = mean over the sequences of the mean over their clips
    (ALAN III-C)

    Args:
        z: ``(B, M + sum(N_m), D)``, in the order of :class:`TokenEmbedding`.
        counts: N_m.

    Returns:
        g ``(B, D)``, h ``(B, D)``, clips ``(B, sum(N_m), D)``.
    """
    sequences = torch.split(z, [1 + n for n in counts], dim=1)
    g = torch.stack([part[:, 0] for part in sequences]).mean(dim=0)
    h = torch.stack([part[:, 1:].mean(dim=1) for part in sequences]).mean(dim=0)
    return g, h, torch.cat([part[:, 1:] for part in sequences], dim=1)


class SelfEncoder(nn.Module):
    """Standard Transformer encoder layers over the tokens of one stream (ALAN III-C).

    Z <- LN(Z + MHA(Z)),  Z <- LN(Z + FFN(Z))

    "A standard encoder layer" is all the paper says; post-norm, GELU and the sizes are BERT's.

    Args:
        dim: D.
        layers: how many, one after another.
        heads: of the attention; must divide D.
        feedforward: width inside the FFN; None = 4 D.
        dropout: of attention, inside the FFN, and after both. Not in the paper.

    Raises:
        VarkitError: the heads do not divide D.
    """

    def __init__(
        self, dim: int, *, layers: int, heads: int, feedforward: int | None, dropout: float
    ) -> None:
        super().__init__()
        check_heads(dim, heads)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                dim, heads, feedforward or 4 * dim, dropout, "gelu", batch_first=True
            )
            for _ in range(layers)
        )

    def forward(self, z: Tensor) -> Tensor:
        """Map ``(B, L, D)`` to ``(B, L, D)``."""
        for layer in self.layers:
            z = layer(z)
        return z


class CrossAttention(nn.Module):
    """One stream looks at what it is shown (ALAN III-C).

    LN(Z + Drop(Linear(MHA(Q = Z, K = V = others))));  the paper has no FFN here

    Args:
        dim: D.
        heads: of the attention; must divide D.
        dropout: of attention and after the linear layer. Not in the paper.

    Raises:
        VarkitError: the heads do not divide D.
    """

    def __init__(self, dim: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        check_heads(dim, heads)
        self.attention = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)
        self.linear = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, z: Tensor, others: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Return ``(B, L, D)`` from ``z`` ``(B, L, D)`` and ``others`` ``(B, L', D)``.

        Args:
            z: the stream that looks.
            others: what it is shown.
            hidden: ``(B, L')`` bool, True = not seen. An item that sees nothing adds 0 to ``z``.
        """
        if hidden is None:
            seen = self.linear(self.attention(z, others, others, need_weights=False)[0])
        else:
            blind = hidden.all(dim=1, keepdim=True)  # attention over nothing is NaN
            seen, _ = self.attention(
                z, others, others, key_padding_mask=hidden & ~blind, need_weights=False
            )
            seen = self.linear(seen).masked_fill(blind.unsqueeze(-1), 0)
        out: Tensor = self.norm(z + self.dropout(seen))
        return out


class CrossEncoder(nn.Module):
    """Every stream looks at the other, CLS tokens included (ALAN III-C, "Cross Encoder").

    Z_s <- CrossAttention_s(Z_s, Z_{s'}),  for all s at once

    The paper has two streams. Of more, each looks at the concatenation of the others.

    Args:
        dim: D.
        streams: how many, at least 2.
        heads: as in :class:`CrossAttention`.
        dropout: as in :class:`CrossAttention`.
    """

    def __init__(self, dim: int, streams: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        self.attend = nn.ModuleList(
            CrossAttention(dim, heads=heads, dropout=dropout) for _ in range(streams)
        )

    def forward(self, streams: Sequence[Tensor], absent: Tensor | None = None) -> list[Tensor]:
        """Map one ``(B, L_s, D)`` a stream to the same shapes.

        Args:
            streams: in order.
            absent: ``(B, S)`` bool, True = an item lacks that stream, and no other looks at it.
        """
        out = []
        for s, attend in enumerate(self.attend):
            rest = [other for other in range(len(streams)) if other != s]
            others = torch.cat([streams[other] for other in rest], dim=1)
            hidden = None
            if absent is not None:
                sizes = torch.tensor([streams[o].shape[1] for o in rest], device=absent.device)
                hidden = absent[:, rest].repeat_interleave(sizes, dim=1)
            out.append(attend(streams[s], others, hidden))
        return out


def check_heads(dim: int, heads: int) -> None:
    """Raise :class:`VarkitError` unless the heads divide the width."""
    if dim % heads:
        allowed = [h for h in range(1, min(dim, 16) + 1) if dim % h == 0]
        raise VarkitError(
            f"attention: heads={heads} does not divide model.dim={dim}",
            hint=f"set heads to one of {', '.join(map(str, allowed))}, or change model.dim",
        )
