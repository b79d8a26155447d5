"""MMT, the Multi-modal Transformer: all experts' clips in one sequence of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn import functional as F

from varkit.blocks.gated_embedding import GateNorm
from varkit.blocks.sampling import draw, gather
from varkit.blocks.streams import even_weights, expect_samplers, expect_streams
from varkit.blocks.transformer import check_heads
from varkit.blocks.unit import unit
from varkit.interfaces import Clips, Count, Positive, Rate, Representation, Sampler
from varkit_baselines.mixture import Missing, MixtureOfExperts, part


class Layer(nn.Module):
    """One layer of BERT, whose queries may be some of the tokens.

    Z <- LN(Z + Drop(MHA(Q = Z, K = V = seen))),  Z <- LN(Z + Drop(Linear(GELU(Linear(Z)))))

    Unlike torch's layer it has no dropout inside the FFN, and it is initialised like BERT: weights
    from N(0, 0.02), biases 0.

    Args:
        dim: D.
        heads: of the attention; must divide D.
        feedforward: width inside the FFN.
        dropout: of attention and after both parts.
    """

    def __init__(self, dim: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)
        self.attention_norm = nn.LayerNorm(dim, eps=1e-12)
        self.inner = nn.Linear(dim, feedforward)
        self.outer = nn.Linear(feedforward, dim)
        self.norm = nn.LayerNorm(dim, eps=1e-12)
        self.dropout = nn.Dropout(dropout)
        nn.init.normal_(self.attention.in_proj_weight, std=0.02)
        for linear in (self.attention.out_proj, self.inner, self.outer):
            nn.init.normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)

    def forward(self, z: Tensor, seen: Tensor, hidden: Tensor) -> Tensor:
        """Map ``(B, L, D)`` to the same shape.

        Args:
            z: the queries.
            seen: ``(B, L', D)``, the keys and values.
            hidden: ``(B, L')`` bool, True = padding in ``seen``.
        """
        attended, _ = self.attention(z, seen, seen, key_padding_mask=hidden, need_weights=False)
        z = self.attention_norm(z + self.dropout(attended))
        out: Tensor = self.norm(z + self.dropout(self.outer(F.gelu(self.inner(z)))))
        return out


class MultiModalTransformer(nn.Module):
    """Sampled clips of all streams in one Transformer, with one output token per expert.

    Z_0 = Drop(LN([0; a_1, x_11 .. x_1N; ..; a_E, x_E1 .. x_EN] + position + type))
    x_ei = n(Linear_e(F_e[i])),  a_e = n(Linear_e(max_t F_e[t])),  n(y) = y / |y|
    Z <- LN(Z + MHA(Z)),  Z <- LN(Z + FFN(Z)), four times;  v_e = Z at a_e

    a_e, the aggregation token, is the maximum of each feature over all real clips, sampled or not.
    The position is 0 for [CLS] and a_e, and clamp(floor(t / window + 2), 0, P - 1) for a clip whose
    middle lies at t seconds. Position 1 is for clips of unknown time, which varkit does not have.
    There is one type for [CLS] and one for each expert.

    Source: Gabeur et al. 2020 (arXiv 2007.10639), section 3.1, and gabeur/mmt@8f53717,
    ``model/model.py``, ``model/bert.py``, ``base/base_dataset.py`` and
    ``configs_pub/eccv20/MSRVTT_jsfusion_trainval.json`` (``vid_inp: both``,
    ``out_tok: mxp``, ``pos_enc: tint``, ``vid_wgh: none``).

    Differs from the paper and the code:

    * The recipe's samplers choose the clips, the same in all streams. The code draws 30 clips of
      each stream without replacement and pads shorter videos. Here a clip that a sampler repeats
      counts once, which has the same effect for a video shorter than N.
    * With ``window`` 1 and P = 32, all clips after 29 s share one position. ``duration`` sets the
      window to 1 / (P - 3) of the video's duration, so that the positions cover a long video.
    * As in the code, no token attends to those of a missing expert, but its aggregation token, made
      of zeros, attends to the rest and is an output.
    * Video weights are even over the experts that a video has; the code's further options for them
      are left out.
    * In the last layer only the aggregation tokens are queries, since only they are outputs.

    Args:
        dim: D; the code: 512.
        experts: E, the names of the streams.
        widths: of the streams, by name.
        samplers: by name; their choices are concatenated.
        window: seconds per position, or ``duration``.
        positions: P.
        layers: of the Transformer.
        heads: of all attention.
        feedforward: width inside the FFN.
        dropout: of embeddings and layers.

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
        window: Positive | Literal["duration"] = 1.0,
        positions: Annotated[int, Ge(4)] = 32,
        layers: Count = 4,
        heads: Count = 4,
        feedforward: Count = 3072,
        dropout: Rate = 0.1,
    ) -> None:
        super().__init__()
        expect_streams("mmt", experts, widths)
        expect_samplers("mmt", samplers, count=30)
        check_heads(dim, heads)
        self.experts = tuple(experts)
        self.samplers = dict(samplers)
        self.window = window
        self.project = nn.ModuleList(nn.Linear(widths[expert], dim) for expert in self.experts)
        self.position = nn.Parameter(torch.empty(positions, dim).normal_(std=0.02))
        self.kind = nn.Parameter(torch.empty(1 + len(self.experts), dim).normal_(std=0.02))
        self.norm = nn.LayerNorm(dim, eps=1e-12)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(Layer(dim, heads, feedforward, dropout) for _ in range(layers))

    def forward(self, clips: Clips) -> Representation:
        """Encode B videos.

        Returns:
            Vectors ``cls`` ``(B, E, D)`` of length 1; weights ``cls`` ``(B, E)``, even over the
            experts that a video has; picks ``(B, N)`` by sampler.
        """
        picks = draw(self.samplers, None, clips, training=self.training)
        chosen = torch.cat(list(picks.values()), dim=1)
        fresh = torch.cat([_first(row) for row in picks.values()], dim=1)
        available = clips.has(self.experts)
        where = self.position[self._positions(clips).gather(1, chosen)]
        padding = ~clips.mask.unsqueeze(-1)

        cls = (self.position[0] + self.kind[0]).expand(len(clips), 1, -1)
        tokens, masks = [cls], [torch.ones_like(available[:, :1])]
        for e, (expert, project) in enumerate(zip(self.experts, self.project, strict=True)):
            features = clips.features(expert)
            greatest = features.masked_fill(padding, -torch.inf).amax(dim=1, keepdim=True)
            kind = self.kind[1 + e]
            tokens.append(unit(project(greatest)) + self.position[0] + kind)
            tokens.append(unit(project(gather(features, chosen))) + where + kind)
            real = available[:, e : e + 1]
            masks += [real, real & fresh]
        z = self.dropout(self.norm(torch.cat(tokens, dim=1)))
        hidden = ~torch.cat(masks, dim=1)
        *before, last = self.layers
        for layer in before:
            z = layer(z, z, hidden)
        aggregates = z[:, 1 :: 1 + chosen.shape[1]]
        vectors = unit(last(aggregates, z, hidden))
        return Representation(
            vectors={"cls": vectors},
            weights={"cls": even_weights(available, vectors)},
            picks=picks,
        )

    def _positions(self, clips: Clips) -> Tensor:
        """Return the ``(B, T)`` int64 positions of all clips."""
        middle = clips.times.mean(dim=-1)
        last = len(self.position) - 1
        if self.window == "duration":
            duration = clips.times[..., 1].amax(dim=1, keepdim=True)  # times are 0 in the padding
            window = (duration / (last - 2)).clamp(min=1e-6)
            return (middle / window + 2).clamp(0, last).long()
        return (middle / self.window + 2).clamp(0, last).long()


def _first(picks: Tensor) -> Tensor:
    """Return where ascending ``(B, N)`` picks differ from the pick before."""
    return F.pad(picks.diff(dim=1) != 0, (1, 0), value=True)


class MmtSimilarity(MixtureOfExperts):
    """The sentence of a query, compared with the experts of a video.

    u = [CLS] of BERT,  t_e = GEU_e(u),  w = softmax(Linear(Drop(u))),
    s = sum_e ŵ_e <v_e, t_e>, see :class:`~varkit_baselines.mixture.MixtureOfExperts`

    Source: Gabeur et al. 2020 (arXiv 2007.10639), section 3.2, and gabeur/mmt@8f53717 (``txt_pro:
    gbn``, ``txt_wgh: emb``, ``keep_missing_modalities: true``).

    Differs from the code: its ``keep_missing_modalities: true`` is ``missing=keep``, and False is
    ``missing=renormalise``.

    Args:
        dim: D.
        experts: the E experts.
        missing: how to weigh experts that a video lacks; see
            :class:`~varkit_baselines.mixture.MixtureOfExperts`.
        gate_norm: of the units' gates; ``layer`` for batches too small for batch statistics.
        dropout: of u before the weights.
    """

    vectors = "cls"

    def __init__(
        self,
        dim: int,
        experts: tuple[str, ...],
        *,
        missing: Missing = "keep",
        gate_norm: GateNorm = "batch",
        dropout: Rate = 0.1,
    ) -> None:
        super().__init__(
            dim, dim, len(experts), missing=missing, gate_norm=gate_norm, dropout=dropout
        )

    def describe(self, query: Representation) -> Tensor:
        """Return u ``(B, D)`` of B queries."""
        return part(query.tokens, "sentence", "tokens of the query")[:, 0]
