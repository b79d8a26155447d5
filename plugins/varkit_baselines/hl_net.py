"""HL-Net as a video encoder: clips exchange features along three graphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from varkit.blocks.segments import segment_means, spread
from varkit.blocks.unit import unit
from varkit.errors import VarkitError
from varkit.interfaces import Clips, Count, Detector, Rate, Representation


class HlNet(nn.Module):
    """Three graph branches over all clips of a video, averaged.

    X = Drop(ReLU(W2 Drop(ReLU(W1 F)))),  F = all streams concatenated
    H'_g = Drop(ReLU(A_g X V_g + Conv_g(X))),  H_g = Drop(ReLU(A_g H'_g V'_g + H'_g)),
    v_e = sum_t a_t Linear_e([H_similar, H_near, H_score])_t,  a = 1 / T or the scores' share

    with the graphs A of :func:`similarity_graph`, :func:`distance_graph` and :func:`score_graph`.
    The last compares the scores of the recipe's detector, which reads X; HL-Net's own is
    ``detector: {use: hl_net}``, and its second head and the distillation between the two are
    ``pretexts: {hl_net: {use: hl_net}}``.

    Source: Wu et al., HL-Net (arXiv 2007.04687), and Roc-Ng/XDVioDet@f846d8c, ``model.py`` and
    ``layers.py``; numbers in brackets are the code's. HL-Net detects anomalies. ALAN's paper
    compares with it as a retrieval model but does not say how it was turned into one. Here the mean
    of its clips is the video's vector, and the query side is ALAN's.

    Differs from the code: padding is zero before every convolution and in every graph, where the
    code has the stem's biases and an unmasked distance graph (``mask_padding``); a video longer
    than ``segments`` is averaged over that many segments, in evaluation too; a stream that a video
    lacks is read as zeros.

    Args:
        dim: D.
        experts: the E experts; each has a linear layer of its own over the same clips.
        widths: of the streams, which are concatenated.
        detector: builds the detector whose scores make the third graph.
        segments: the longest sequence, and so the largest graph (200).
        stem: widths of the two layers of X (512 and 128).
        branch: width of each H_g (32).
        threshold: cosines up to this count as 0 in the first graph (0.7).
        sparse: leave such edges out. The code, and False, keep them with weight e^0.
        normalize_distance: divide the rows of the second graph by their sum. The code does not.
        mask_padding: leave padding out of the convolutions and the second graph. The code does not,
            so its figures depend on the longest video of a batch.
        pooling: ``mean`` over all clips, or ``score`` = weighted by the detector's scores.
        dropout: after every layer (0.6).

    Raises:
        VarkitError: the recipe has no detector.
    """

    consumes: ClassVar[Literal["clips", "captions"]] = "clips"

    def __init__(
        self,
        dim: int,
        experts: tuple[str, ...],
        widths: Mapping[str, int],
        detector: Callable[[int], Detector] | None,
        *,
        segments: Count = 200,
        stem: tuple[Count, Count] = (512, 128),
        branch: Count = 32,
        threshold: float = 0.7,
        sparse: bool = False,
        normalize_distance: bool = False,
        mask_padding: bool = True,
        pooling: Literal["mean", "score"] = "mean",
        dropout: Rate = 0.6,
    ) -> None:
        super().__init__()
        if detector is None:
            raise VarkitError(
                "hl_net: the third graph compares anomaly scores, but the recipe has no detector",
                hint="add to the recipe: detector: {use: hl_net, weight: 0.1}",
            )
        self.experts, self.streams = tuple(experts), tuple(widths)
        self.segments = segments
        self.threshold, self.sparse = threshold, sparse
        self.normalize_distance = normalize_distance
        self.mask_padding = mask_padding
        self.pooling = pooling
        self.stem = nn.Sequential(
            nn.Linear(sum(widths.values()), stem[0]),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(stem[0], stem[1]),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.similar, self.near, self.score = (
            GraphBranch(stem[1], branch, dropout) for _ in range(3)
        )
        self.apply(start_xavier)
        self.detector: Any = detector(stem[1])
        self.project = nn.ModuleList(nn.Linear(3 * branch, dim) for _ in self.experts)

    def forward(self, clips: Clips) -> Representation:
        """Encode B videos.

        Returns:
            Vectors ``avg`` ``(B, E, D)``; tokens ``(B, S, D)`` by expert, S segments; scores
            ``(B, T)``.
        """
        joined = torch.cat([clips.features(name) for name in self.streams], dim=-1)
        raw, mask = segment_means(joined, clips.mask, self.segments)
        seen = mask if self.mask_padding else torch.ones_like(mask)
        x = self.stem(raw).masked_fill(~seen.unsqueeze(-1), 0)
        scores = self.detector(x, mask)
        similar = similarity_graph(raw, mask, self.threshold, sparse=self.sparse)
        near = distance_graph(seen, normalize=self.normalize_distance).to(x.dtype)
        parts = [
            self.similar(x, similar),
            self.near(x, near),
            self.score(x, score_graph(scores.detach(), mask)),
        ]
        h = torch.cat(parts, dim=-1)
        tokens = {e: p(h) for e, p in zip(self.experts, self.project, strict=True)}
        share = (scores.detach() if self.pooling == "score" else mask.to(x.dtype)).unsqueeze(1)
        share = share / share.sum(dim=-1, keepdim=True).clamp(min=1e-12)
        return Representation(
            vectors={"avg": torch.cat([share @ part for part in tokens.values()], dim=1)},
            tokens=tokens,
            masks=dict.fromkeys(tokens, mask),
            scores=spread(scores, clips.mask),
        )


class GraphBranch(nn.Module):
    """Two graph convolutions: A X V + Conv(X), then A H V' + H, with ReLU and dropout after each.

    Args:
        width: of X.
        branch: of both outputs.
        dropout: after each.
    """

    def __init__(self, width: int, branch: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(width, branch, bias=False)
        self.residual = nn.Conv1d(width, branch, 5, padding=2)
        self.second = nn.Linear(branch, branch, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        """Map ``(B, S, width)``, 0 in the padding, along ``(B, S, S)`` to ``(B, S, branch)``.

        The output has no meaning in the padding, whose columns are 0 in every graph.
        """
        residual = self.residual(x.transpose(1, 2)).transpose(1, 2)
        h = self.dropout((graph @ self.first(x) + residual).relu())
        out: Tensor = self.dropout((graph @ self.second(h) + h).relu())
        return out


def similarity_graph(raw: Tensor, mask: Tensor, threshold: float, *, sparse: bool) -> Tensor:
    """Return A_ij = softmax_j(c_ij), c = the cosine of clips i and j, 0 up to the threshold.

    Args:
        raw: ``(B, S, C)`` features.
        mask: ``(B, S)``.
        threshold: of the cosine.
        sparse: drop edges up to the threshold instead; every clip keeps its edge to itself.

    Returns:
        ``(B, S, S)``; columns of padding are 0.
    """
    direction = unit(raw)
    cosine = direction @ direction.transpose(1, 2)
    cut = cosine <= threshold
    if sparse:
        own = torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
        cosine = cosine.masked_fill(cut & ~own, -torch.inf)
        # A row of padding is never read, but must not be all -inf.
        reachable = mask.unsqueeze(1) | ~mask.unsqueeze(2)
    else:
        cosine = cosine.masked_fill(cut, 0)
        reachable = mask.unsqueeze(1)
    return cosine.masked_fill(~reachable, -torch.inf).softmax(dim=-1)


def distance_graph(mask: Tensor, *, normalize: bool) -> Tensor:
    """Return A_ij = exp(-|i - j| / e), and with ``normalize`` its rows divided by their sum.

    Args:
        mask: ``(B, S)``.
        normalize: whether rows sum to 1.

    Returns:
        ``(B, S, S)`` float64; columns of padding are 0.
    """
    place = torch.arange(mask.shape[1], dtype=torch.float64, device=mask.device)
    near = torch.exp(-(place.unsqueeze(1) - place).abs() / torch.e) * mask.unsqueeze(1)
    return near / near.sum(dim=-1, keepdim=True) if normalize else near


def score_graph(scores: Tensor, mask: Tensor) -> Tensor:
    """Return A_ij = softmax_j(σ((1 - |s_i - s_j| - 0.5) / 0.1)): clips as anomalous as clip i.

    Args:
        scores: ``(B, S)`` confidence, without its gradient.
        mask: ``(B, S)``.

    Returns:
        ``(B, S, S)``; columns of padding are 0.
    """
    alike = 1 - (scores.unsqueeze(2) - scores.unsqueeze(1)).abs()
    edges = torch.sigmoid((alike - 0.5) / 0.1)
    return edges.masked_fill(~mask.unsqueeze(1), -torch.inf).softmax(dim=-1)


def start_xavier(module: nn.Module) -> None:
    """Draw the weights of a linear layer or convolution as the code does."""
    if isinstance(module, nn.Linear | nn.Conv1d):
        nn.init.xavier_uniform_(module.weight)
