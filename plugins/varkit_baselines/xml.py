"""XML without its moment localiser: the best clip for each of a query's vectors, one per stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from varkit.blocks.sampling import draw, gather
from varkit.blocks.streams import expect_samplers, expect_streams
from varkit.blocks.transformer import check_heads
from varkit.blocks.unit import unit
from varkit.errors import VarkitError
from varkit.interfaces import Clips, Count, Rate, Representation, Sampler


class XmlVideo(nn.Module):
    """Sampled clips of each stream through one self-attention block, without pooling.

    X = Drop(LN(ReLU(Linear(Drop(LN(F)))) + P)),  H = LN(X + Drop(Linear(MHA(X))))

    Source: Lei et al., TVR (arXiv 2001.09099), and jayleicn/TVRetrieval@d99a9ea,
    ``baselines/crossmodal_moment_localization/model_xml.py`` (``encode_input``). In the code
    the two streams are a video's features and its subtitles; here every expert is a stream. As in
    the code, streams share only the positions P and their LN, and weights start at N(0, 0.02).

    Differs from the code: the second encoder, cross-attention and ConvSE are left out. They find
    the moment inside a video and do not enter its retrieval score. A clip that samplers pick more
    than once counts once. A stream that a video lacks does not count in the average over streams.

    Args:
        dim: D (the code's command line: 256).
        experts: the names of the streams, in order.
        widths: of the streams, by name.
        samplers: by name; all their clips, in order of time, are one sequence.
        normalize: scale every clip's features to length 1, as the code does when it loads them.
        positions: size of P (XML: 100); later clips share the last.
        heads: of the attention (XML: 4).
        dropout: of inputs, attention and after both (XML: 0.1).

    Raises:
        VarkitError: a stream of an expert is missing, there is no sampler, or the heads do not
            divide D.
    """

    consumes: ClassVar[Literal["clips", "captions"]] = "clips"
    detector: Any = None

    def __init__(
        self,
        dim: int,
        experts: tuple[str, ...],
        widths: Mapping[str, int],
        samplers: Mapping[str, Sampler],
        *,
        normalize: bool = True,
        positions: Count = 100,
        heads: Count = 4,
        dropout: Rate = 0.1,
    ) -> None:
        super().__init__()
        expect_streams("xml", experts, widths)
        expect_samplers("xml", samplers)
        self.experts = tuple(experts)
        self.samplers = dict(samplers)
        self.normalize = normalize
        self.project = nn.ModuleList(projection(widths[e], dim, dropout) for e in self.experts)
        self.position = Position(dim, positions, dropout)
        self.attend = nn.ModuleList(SelfAttention(dim, heads, dropout) for _ in self.experts)
        self.apply(start_small)

    def forward(self, clips: Clips) -> Representation:
        """Encode B videos.

        Returns:
            Tokens ``(B, N, D)`` by expert, each clip real once; picks ``(B, N)`` by sampler.
        """
        picks = draw(self.samplers, None, clips, training=self.training)
        chosen = torch.cat(list(picks.values()), dim=1).sort(dim=1).values
        # A clip of a short video may be picked several times, but is one candidate.
        real = torch.ones_like(chosen, dtype=torch.bool)
        real[:, 1:] = chosen[:, 1:] != chosen[:, :-1]
        tokens, masks = {}, {}
        for expert, project, attend in zip(self.experts, self.project, self.attend, strict=True):
            features = gather(clips.features(expert), chosen)
            x = project(unit(features) if self.normalize else features)
            tokens[expert] = attend(self.position(x, real), real)
            masks[expert] = real & clips.has([expert])
        return Representation(tokens=tokens, masks=masks, picks=picks)


class XmlAlignment(nn.Module):
    """The best clip of each stream for the query's vector of that stream, averaged.

    H = the same block as :class:`XmlVideo`, with weights of its own, over the query's words;
    q_e = sum_l softmax_l(w_e . H_l) H_l,  s = 1/E sum_e max_t cos(q_e, v_et)

    A stream of which a video has no clip does not count; a video without any scores 0.

    Source: as :class:`XmlVideo` (``get_modularized_queries``, ``get_video_level_scores``).
    A maximum over clips is not an inner product, so there are no factors. The code's exp(20 s) in
    evaluation changes no rank and is left out.

    Args:
        dim: D.
        experts: the E experts, the names of the video's tokens.
        normalize: scale every word's state to length 1, as the code does when it loads them.
        positions: size of P (XML: 30); later words share the last. Captions have up to 64 here.
        heads: of the attention (XML: 4).
        dropout: of inputs, attention and after both (XML: 0.1).

    Raises:
        VarkitError: the heads do not divide D.
    """

    def __init__(
        self,
        dim: int,
        experts: tuple[str, ...],
        *,
        normalize: bool = True,
        positions: Count = 64,
        heads: Count = 4,
        dropout: Rate = 0.1,
    ) -> None:
        super().__init__()
        self.experts = tuple(experts)
        self.normalize = normalize
        self.project = projection(dim, dim, dropout)
        self.position = Position(dim, positions, dropout)
        self.attend = SelfAttention(dim, heads, dropout)
        self.modular = nn.Linear(dim, len(experts), bias=False)
        self.apply(start_small)

    def similarity(self, video: Representation, query: Representation) -> Tensor:
        """Return the (V, Q) similarity.

        Raises:
            VarkitError: an encoder gave no such tokens.
        """
        queries = self.queries(query)
        scores, counts = [], []
        for e, expert in enumerate(self.experts):
            clips, mask = _tokens(video, expert, "video")
            cosine = torch.einsum("vtd,qd->vqt", unit(clips), queries[:, e])
            best = cosine.masked_fill(~mask.unsqueeze(1), -torch.inf).amax(dim=-1)
            counts.append(mask.any(dim=1, keepdim=True))
            scores.append(best.masked_fill(~counts[-1], 0))
        return torch.stack(scores).sum(dim=0) / torch.stack(counts).sum(dim=0).clamp(min=1)

    def factors(self, representation: Representation, side: Literal["video", "query"]) -> None:
        """Return None: a maximum is not an inner product."""
        return

    def queries(self, query: Representation) -> Tensor:
        """Return one unit vector per expert, ``(Q, E, D)``: the modular queries."""
        words, mask = _tokens(query, "words", "query")
        # The similarity is computed without autocast, but the words may come from under it.
        words = words.to(torch.promote_types(words.dtype, torch.float32))
        words = words.masked_fill(~mask.unsqueeze(-1), 0)
        states = self.project(unit(words) if self.normalize else words)
        states = self.attend(self.position(states, mask), mask)
        share = self.modular(states).masked_fill(~mask.unsqueeze(-1), -torch.inf).softmax(dim=1)
        return unit(share.transpose(1, 2) @ states)


class Position(nn.Module):
    """Drop(LN(x + P)): learned positions; all beyond the table share the last.

    Args:
        dim: D.
        count: size of the table.
        dropout: of the sum.
    """

    def __init__(self, dim: int, count: int, dropout: float) -> None:
        super().__init__()
        self.table = nn.Embedding(count, dim)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map ``(B, L, D)`` to ``(B, L, D)``; only entries in the mask ``(B, L)`` count."""
        order = (mask.cumsum(dim=1) - 1).clamp(min=0, max=self.table.num_embeddings - 1)
        placed: Tensor = self.dropout(self.norm(x + self.table(order)))
        return placed


class SelfAttention(nn.Module):
    """LN(x + Drop(Linear(MHA(x)))): BERT's attention block without its FFN.

    Args:
        dim: D.
        heads: must divide D.
        dropout: of attention and after the linear layer.

    Raises:
        VarkitError: the heads do not divide D.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        check_heads(dim, heads)
        # Its output projection is the linear layer.
        self.attention = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map ``(B, L, D)`` with its mask ``(B, L)`` to ``(B, L, D)``."""
        seen, _ = self.attention(x, x, x, key_padding_mask=~mask, need_weights=False)
        out: Tensor = self.norm(x + self.dropout(seen))
        return out


def projection(width: int, dim: int, dropout: float) -> nn.Sequential:
    """Return ReLU(Linear(Drop(LN(x)))), from ``width`` to D."""
    return nn.Sequential(nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, dim), nn.ReLU())


def start_small(module: nn.Module) -> None:
    """Draw a module's own weights from N(0, 0.02) and set its biases to 0, as BERT does."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.MultiheadAttention):
        nn.init.normal_(module.in_proj_weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


def _tokens(
    representation: Representation, name: str, side: Literal["video", "query"]
) -> tuple[Tensor, Tensor]:
    try:
        return representation.tokens[name], representation.masks[name]
    except KeyError:
        raise VarkitError(
            f"alignment 'xml' needs tokens named {name!r}; the {side} encoder gave "
            f"{sorted(representation.tokens)}",
            hint="set video.use=xml, and query.use=words or, for sounds, query.use=sounds",
        ) from None
