"""Collaborative Experts: each expert's vector is gated by all experts together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from varkit.blocks.batch_statistics import expect_batch
from varkit.blocks.gated_embedding import GateNorm
from varkit.blocks.pooling import masked_mean
from varkit.blocks.streams import even_weights, expect_streams
from varkit.blocks.unit import unit
from varkit.errors import VarkitError
from varkit.interfaces import Clips, Count, Natural, Representation
from varkit_baselines.mixture import Missing, MixtureOfExperts, part
from varkit_baselines.netvlad import NetVlad


class Gate(nn.Module):
    """One expert's vector x, gated by the experts' joint opinion.

    n(x ∘ σ(BN(opinion) + BN(Wx + b))),  n(y) = y / |y|

    Args:
        dim: D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.own = nn.Linear(dim, dim)
        self.own_norm = nn.BatchNorm1d(dim)
        self.opinion_norm = nn.BatchNorm1d(dim)

    def forward(self, x: Tensor, opinion: Tensor) -> Tensor:
        """Map two ``(B, D)`` to unit vectors ``(B, D)``."""
        return unit(x * torch.sigmoid(self.opinion_norm(opinion) + self.own_norm(self.own(x))))


class CollaborativeExperts(nn.Module):
    """The mean clip of every stream, projected and gated by all streams together.

    x_e = n(Linear_e(mean_t F_e[t])),  n(y) = y / |y|
    T_e = mean over the experts j that the video has, e included, of g([x_e; x_j])
    v_e = n(x_e ∘ σ(BN(T_e) + BN(W_e x_e + b_e)))

    g = Linear(2D, D), then twice BN, Mish and Linear(D, D); all pairs share it.

    Source: Liu et al. 2019 (arXiv 1907.13487), "collaborative gating", and
    albanie/collaborative-experts@7eb3b9d, ``model/model.py`` and
    ``configs/data_loader_msrvtt.json`` (``use_ce: pairwise``,
    ``num_g_layers: 3``, ``num_h_layers: 0``, ``include_self: 1``).

    Differs from the paper and the code:

    * There are two experts instead of nine: the RGB and the flow stream of I3D. Both are averaged
      over time, as their frame experts are. They pool only audio, speech and OCR by NetVLAD.
    * The paper gates all experts at once. The code writes each gated vector back before the next
      expert is gated, so the result depends on the experts' order: ``update=sequential``.
    * The paper leaves out an expert's opinion of itself and applies another network to the sum.
      The code's configuration takes the mean, the expert itself included, and has no such network.
      So does this class; ``include_self=false`` leaves the expert itself out.
    * A missing expert gives no opinion and gets none, as in the code; its vector is the layers'
      output for 0, and its weight is 0. A video without any expert has a NaN similarity in the
      code; here it counts as having all experts.

    Args:
        dim: D; the code: 768.
        experts: E, the names of the streams.
        widths: of the streams, by name.
        update: ``parallel``, as in the paper, or ``sequential``, as in the code.
        include_self: whether an expert's opinion of itself counts. The paper: no.
        layers: of g; ``num_g_layers``.

    Raises:
        VarkitError: a stream of an expert is missing, or ``include_self`` is false with a single
            expert.
    """

    consumes: ClassVar[Literal["clips", "captions"]] = "clips"
    detector: Any = None

    def __init__(
        self,
        dim: int,
        experts: tuple[str, ...],
        widths: Mapping[str, int],
        *,
        update: Literal["parallel", "sequential"] = "parallel",
        include_self: bool = True,
        layers: Count = 3,
    ) -> None:
        super().__init__()
        expect_streams("ce", experts, widths)
        if len(experts) == 1 and not include_self:
            raise VarkitError(
                "ce: include_self=false needs more than one expert",
                hint="set video.include_self=true, or name more streams in model.experts",
            )
        self.experts = tuple(experts)
        self.update = update
        self.include_self = include_self
        self.project = nn.ModuleList(nn.Linear(widths[expert], dim) for expert in self.experts)
        reason: list[nn.Module] = [nn.Linear(2 * dim, dim)]
        for _ in range(layers - 1):
            reason += [nn.BatchNorm1d(dim), nn.Mish(), nn.Linear(dim, dim)]
        self.reason = nn.Sequential(*reason)
        self.gates = nn.ModuleList(Gate(dim) for _ in self.experts)

    def forward(self, clips: Clips) -> Representation:
        """Encode B videos.

        Returns:
            Vectors ``avg`` ``(B, E, D)`` of length 1, and weights ``avg`` ``(B, E)``, even over
            the experts that a video has.

        Raises:
            VarkitError: training on a batch of one.
        """
        if self.training:
            expect_batch("ce", len(clips))
        means = [masked_mean(clips.features(e), clips.mask) for e in self.experts]
        available = clips.has(self.experts)
        x = [unit(project(mean)) for project, mean in zip(self.project, means, strict=True)]
        vectors = torch.stack(self._collaborate(x, available), dim=1)
        return Representation(
            vectors={"avg": vectors}, weights={"avg": even_weights(available, vectors)}
        )

    def _collaborate(self, x: list[Tensor], available: Tensor) -> list[Tensor]:
        current = list(x)
        gated = []
        for e, gate in enumerate(self.gates):
            partners = [j for j in range(len(x)) if self.include_self or j != e]
            opinions = self._reason(
                torch.stack([torch.cat([current[e], current[j]], 1) for j in partners])
            )
            both = (available[:, [e]] & available[:, partners]).T.unsqueeze(-1)  # (P, B, 1)
            opinion = (opinions * both).sum(dim=0) / both.sum(dim=0).clamp(min=1)
            gated.append(gate(current[e], opinion))
            if self.update == "sequential":
                current[e] = gated[e]
        return gated

    def _reason(self, pairs: Tensor) -> Tensor:
        """Map ``(P, B, 2D)`` pairs of experts to ``(P, B, D)``: g."""
        for layer in self.reason:
            if isinstance(layer, nn.BatchNorm1d):  # its statistics are those of one pair
                pairs = torch.stack([layer(pair) for pair in pairs])
            else:
                pairs = layer(pairs)
        return pairs


class CeSimilarity(MixtureOfExperts):
    """The words of a query, pooled by NetVLAD, compared with the experts of a video.

    u = NetVLAD(words),  t_e = GEU_e(u),  w = softmax(Linear(u)),
    s = sum_e ŵ_e <v_e, t_e>, see :class:`~varkit_baselines.mixture.MixtureOfExperts`

    Source: Liu et al. 2019 (arXiv 1907.13487), and
    albanie/collaborative-experts@7eb3b9d: K = 28 clusters and one ghost
    (``configs/data_loader_msrvtt.json``), batch normalisation in the units' gates.

    Differs from the paper and the code:

    * The words are the hidden states that all baselines share; theirs are frozen GPT vectors.
    * NetVLAD leaves padding out; the code does not: ``mask_padding=false``.
    * The code's ``keep_missing_modalities=True`` is ``missing=equal``: all weights are 1 for every
      text. Its default, False, is ``missing=renormalise``.

    Args:
        dim: D.
        experts: the E experts.
        clusters: K.
        ghosts: clusters that absorb words and are then dropped.
        mask_padding: leave padding out of NetVLAD.
        missing: how to weigh experts that a video lacks; see
            :class:`~varkit_baselines.mixture.MixtureOfExperts`.
        gate_norm: of the units' gates; ``layer`` for batches too small for batch statistics.
    """

    vectors = "avg"

    def __init__(
        self,
        dim: int,
        experts: tuple[str, ...],
        *,
        clusters: Count = 28,
        ghosts: Natural = 1,
        mask_padding: bool = True,
        missing: Missing = "renormalise",
        gate_norm: GateNorm = "batch",
    ) -> None:
        super().__init__(clusters * dim, dim, len(experts), missing=missing, gate_norm=gate_norm)
        self.pool = NetVlad(dim, clusters, ghosts=ghosts, mask_padding=mask_padding)

    def describe(self, query: Representation) -> Tensor:
        """Return u ``(B, K D)`` of B queries."""
        words = part(query.tokens, "words", "tokens of the query")
        pooled: Tensor = self.pool(words, query.masks["words"])
        return pooled
