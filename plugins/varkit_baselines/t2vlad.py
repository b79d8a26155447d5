"""T2VLAD: words and clips share cluster centres, and whole videos are compared too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from varkit.blocks.gated_embedding import GatedEmbedding, GateNorm
from varkit.blocks.sampling import draw, gather
from varkit.blocks.streams import even_weights, expect_samplers, expect_streams
from varkit.blocks.transformer import check_heads
from varkit.blocks.unit import unit
from varkit.interfaces import Clips, Count, Fraction, Natural, Representation, Sampler
from varkit_baselines.mixture import Missing, MixtureOfExperts, part
from varkit_baselines.netvlad import NetVlad, pool, soft_assign


class T2VladVideo(nn.Module):
    """Clips of all experts attend to each other; each expert is also pooled on its own.

    * local: X = Transformer([Linear_e(F_e[picks]) / |.|, all experts along time])
    * global: g_e = GEU_e(max_t F_e[t])

    Source: Wang et al., T2VLAD, CVPR 2021 (arXiv 2104.10054), and the only public code,
    PaddlePaddle/PaddleVideo@ed245e9c, ``applications/T2VLAD``: one pre-norm layer, ReLU, no
    dropout, and a final layer normalisation.

    Differs from the code: a video has sampled clips of the same moments in all streams and no
    padding; the code pads each expert and attends to the padding. As in the code, the maximum is
    over all clips, and a missing stream has no weight in the global half, while its clips (zeros
    and a bias) still count in the local one.

    Args:
        dim: D.
        experts: the E experts.
        widths: of the streams, by name.
        samplers: by name; their clips are concatenated.
        layers: of the Transformer (1).
        heads: of its attention (4).
        feedforward: width inside the layer; null = D, as in the code (768).
        gate_norm: of the GEUs' gates; ``layer`` for batches too small for batch statistics.

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
        layers: Count = 1,
        heads: Count = 4,
        feedforward: Count | None = None,
        gate_norm: GateNorm = "batch",
    ) -> None:
        super().__init__()
        expect_streams("t2vlad", experts, widths)
        expect_samplers("t2vlad", samplers)
        check_heads(dim, heads)
        self.experts = tuple(experts)
        self.samplers = dict(samplers)
        self.project = nn.ModuleList(nn.Linear(widths[expert], dim) for expert in experts)
        self.gated = nn.ModuleList(GatedEmbedding(widths[e], dim, gate_norm) for e in experts)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                dim, heads, feedforward or dim, dropout=0.0, batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, clips: Clips) -> Representation:
        """Encode B videos.

        Returns:
            Vectors ``cls`` ``(B, E, D)``, the global ones, and weights ``cls`` ``(B, E)``, even
            over the experts that a video has; tokens ``(B, sum(N), D)`` by expert, the local ones;
            picks ``(B, N)`` by sampler.

        Raises:
            VarkitError: training on a batch of one with batch normalisation.
        """
        picks = draw(self.samplers, None, clips, training=self.training)
        chosen = torch.cat(list(picks.values()), dim=1)
        padding = ~clips.mask.unsqueeze(-1)
        local, whole = [], []
        for expert, project, gated in zip(self.experts, self.project, self.gated, strict=True):
            raw = clips.features(expert)
            local.append(unit(project(gather(raw, chosen))))
            whole.append(gated(raw.masked_fill(padding, -torch.inf).amax(dim=1)))
        z = torch.cat(local, dim=1)
        for layer in self.layers:
            z = layer(z)
        parts = self.norm(z).split(chosen.shape[1], dim=1)
        real = torch.ones_like(chosen, dtype=torch.bool)
        vectors = torch.stack(whole, dim=1)
        return Representation(
            vectors={"cls": vectors},
            weights={"cls": even_weights(clips.has(self.experts), vectors)},
            tokens=dict(zip(self.experts, parts, strict=True)),
            masks=dict.fromkeys(self.experts, real),
            picks=picks,
        )


class T2Vlad(MixtureOfExperts):
    """Local similarity in shared cluster centres, and global similarity expert by expert.

    * local: s_l = <u, w>, u = NetVLAD(words), w = NetVLAD(clips of all experts)
    * global: s_g = sum_e softmax_e(Linear(u)) <GEU_e(u), g_e>, see
      :class:`~varkit_baselines.mixture.MixtureOfExperts`

    s = 1/2 s_l + 1/2 s_g is one inner product: [w, g_1 .. g_E] on the video's side.

    Source: Wang et al., T2VLAD, CVPR 2021 (arXiv 2104.10054), and the only public code,
    PaddlePaddle/PaddleVideo@ed245e9c, ``applications/T2VLAD``. Words and clips share assignment
    and centres, but are normalised by batch statistics of their own.

    Differs from the code:

    * The code pools padding; ``mask_padding=false`` does the same.
    * The code creates a second set of centres, for videos, but by mistake never uses it.
    * BERT's [CLS] and [SEP] do not count as words here; the code pools them too.

    Args:
        dim: D.
        experts: the E experts.
        clusters: K (9).
        ghosts: clusters that absorb words and clips and are then dropped (1).
        detach_assignment: only words train the assignment, as in the code.
        local: the weight of s_l (0.5); s_g has the rest.
        missing: how to weigh experts that a video lacks; see
            :class:`~varkit_baselines.mixture.MixtureOfExperts`.
        gate_norm: of the units' gates; ``layer`` for batches too small for batch statistics.
        mask_padding: leave padding out of the pooling and of its batch statistics.
    """

    vectors = "cls"

    def __init__(
        self,
        dim: int,
        experts: tuple[str, ...],
        *,
        clusters: Count = 9,
        ghosts: Natural = 1,
        detach_assignment: bool = True,
        local: Fraction = 0.5,
        missing: Missing = "renormalise",
        gate_norm: GateNorm = "batch",
        mask_padding: bool = True,
    ) -> None:
        super().__init__(clusters * dim, dim, len(experts), missing=missing, gate_norm=gate_norm)
        self.experts = tuple(experts)
        self.detach_assignment = detach_assignment
        self.local = local
        self.vlad = NetVlad(dim, clusters, ghosts=ghosts, mask_padding=mask_padding)
        self.video_norm = nn.BatchNorm1d(clusters + ghosts)

    def describe(self, query: Representation) -> Tensor:
        """Return u ``(B, K D)`` of B queries."""
        words = part(query.tokens, "words", "tokens of the query")
        u: Tensor = self.vlad(words, query.masks["words"])
        return u

    def factors(self, representation: Representation, side: Literal["video", "query"]) -> Tensor:
        """Return local and global factors side by side, weighted on the query side.

        They are ``(B, K D + E D)``, and with ``missing=renormalise`` ``(B, K D + (2^E - 1) E D)``.

        Raises:
            VarkitError: the encoder did not give what this side needs.
        """
        if side == "video":
            return torch.cat([self._pool(representation), super().factors(representation, side)], 1)
        u = self.describe(representation)
        return torch.cat([self.local * u, (1 - self.local) * self.weighted(u)], dim=1)

    def _pool(self, video: Representation) -> Tensor:
        clips = [part(video.tokens, expert, "tokens of the video") for expert in self.experts]
        mask = torch.cat([video.masks[expert] for expert in self.experts], dim=1)
        if not self.vlad.mask_padding:
            mask = torch.ones_like(mask)
        assignment: Tensor = self.vlad.assignment
        if self.detach_assignment:
            assignment = assignment.detach()
        x = torch.cat(clips, dim=1)
        return pool(x, soft_assign(x, mask, assignment, self.video_norm), self.vlad.centres)
