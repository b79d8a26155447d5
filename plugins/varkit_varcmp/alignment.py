"""VarCMP-style alignment: several similarities, the finer ones weighted by anomaly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Gt, Le, MinLen
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from varkit.blocks.unit import unit
from varkit.errors import VarkitError
from varkit.interfaces import Alignment, Count, Natural, NonNegative, Representation
from varkit_varcmp.levels import (
    best_sounds,
    shifted,
    sounds_of_patches,
    words_of_frames,
    words_of_patches,
)
from varkit_varcmp.sides import Queries, Videos
from varkit_varcmp.weighting import biased_weights, kept

Level = Literal["semantic", "fine", "temporal", "spatial"]


class Hierarchical(nn.Module):
    """s = sum_k gamma_k s_k over the levels k (VarCMP-style, after the abstract).

    With V_t frames, e the caption or the mean sound, E_w words, A_t a sound's clips, Q_tj patches,
    all cosines, and omega_t = softmax_t(kappa cos(V_t, e) + beta a_t) over the kept frames:

    * semantic: cos(mean_t V_t, e)
    * fine: sum_t omega_t cos(V_t, e), and, where there are words, the mean of that and
      mean_w sum_t omega^w_t cos(V_t, E_w), with omega^w by the word's own relevance
    * temporal, sounds only: sum_t omega_t max_{|t - t'| <= delta} cos(V_t, A_t')
    * spatial: sum_t omega_t mean_w max_j cos(Q_tj, E_w), or sum_t omega_t max_j cos(Q_tj, A_t)

    a_t is the detector's confidence; for sounds it is the mean of the video's and the sound's, and
    frames that have no clip of the sound within delta do not count. The share rho of the frames is
    kept, those with the largest omega. gamma is a softmax of learned numbers.

    Known (abstract): the levels' names, which modality has which, that anomaly priors weight the
    fine similarities and that irrelevant segments are dropped. Ours: every formula above. Only the
    first level is an inner product, so there are no factors, and each pair costs T W cosines.

    Args:
        levels: of the hierarchy, in any order.
        kappa: how sharply relevance counts; the default is 1 / 0.07, VadCLIP's temperature. At 0
            the prior alone decides; without a prior all frames then count the same.
        beta: how much the prior counts at first; it is learned and never below 0. At 0 an
            untrained model is zero-shot retrieval.
        keep: rho, the share of frames that are kept. Not known.
        delta: clips by which a sound may come before or after its picture. Not known.
        prior_gradient: whether the alignment trains the detector; if not, only its own loss does.
        tile: the most cosines of frames and words in memory at a time, unless one query needs
            more.

    Raises:
        VarkitError: a level is named twice.
    """

    def __init__(
        self,
        *,
        levels: Annotated[tuple[Level, ...], MinLen(1)] = ("semantic", "fine"),
        kappa: NonNegative = 1 / 0.07,
        beta: NonNegative = 0.0,
        keep: Annotated[float, Gt(0), Le(1)] = 0.5,
        delta: Natural = 2,
        prior_gradient: bool = False,
        tile: Count = 2**20,
    ) -> None:
        super().__init__()
        if len(set(levels)) < len(levels):
            raise VarkitError(f"hierarchical: a level is named twice: {', '.join(levels)}")
        self.levels, self.kappa, self.keep, self.delta = levels, kappa, keep, delta
        self.prior_gradient, self.tile = prior_gradient, tile
        self.beta = nn.Parameter(torch.tensor(float(beta)))
        self.gamma = nn.Parameter(torch.zeros(len(levels)))

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Return arguments that suit the tokens of the conformance kit."""
        return {"experts": ("frames",)}

    def similarity(self, video: Representation, query: Representation) -> Tensor:
        """Return the (V, Q) similarity, a tile of queries at a time.

        Raises:
            VarkitError: an encoder gave no tokens for one of the levels.
        """
        return self._tiled(self._mixed, video, query)

    def by_level(self, video: Representation, query: Representation) -> dict[Level, Tensor]:
        """Return the (V, Q) similarity of each level; otherwise as :meth:`similarity`."""
        return dict(zip(self.levels, self._tiled(self._stacked, video, query), strict=True))

    def factors(self, representation: Representation, side: Literal["video", "query"]) -> None:
        """Return None: the weights depend on the pair, so the similarity is no inner product."""

    def _tiled(
        self,
        compare: Callable[[Videos, Queries], Tensor],
        video: Representation,
        query: Representation,
    ) -> Tensor:
        """Return what ``compare`` gives ``(..., V, Q)``, a tile of queries at a time."""
        # The parameter itself is clamped, as CLIP's scale is: if only its value were, a beta below
        # 0 would get no gradient and could not come back.
        self.beta.data.clamp_(min=0)
        videos, queries = self._videos(video), self._queries(query)
        size = max(1, self.tile // self._cosines(videos, queries))
        parts = []
        for start in range(0, len(queries.whole), size):
            some = queries.some(slice(start, start + size))
            if torch.is_grad_enabled():  # recompute a tile in the backward pass, to save memory
                part = checkpoint(compare, videos, some, use_reentrant=False)
            else:
                part = compare(videos, some)
            parts.append(part)
        return torch.cat(parts, dim=-1)

    def _mixed(self, videos: Videos, queries: Queries) -> Tensor:
        """Return the (V, Q) sum of the levels by gamma."""
        gamma = self.gamma.softmax(dim=0).view(-1, 1, 1)
        return (gamma * self._stacked(videos, queries)).sum(dim=0)

    def _stacked(self, videos: Videos, queries: Queries) -> Tensor:
        """Return (K, V, Q), the K levels in the order of :attr:`levels`."""
        similarities = {"semantic": videos.whole @ queries.whole.T}
        if set(self.levels) - {"semantic"}:
            similarities |= self._fine_levels(videos, queries)
        return torch.stack([similarities[level] for level in self.levels])

    def _fine_levels(self, videos: Videos, queries: Queries) -> dict[str, Tensor]:
        length, beta = videos.frames.shape[1], self.beta
        relevance = torch.einsum("vtd,qd->vtq", videos.frames, queries.whole)
        prior = videos.prior.unsqueeze(-1).expand_as(relevance)
        counts = videos.mask.unsqueeze(-1).expand_as(relevance)
        heard = None
        if queries.sounds is not None and queries.sound_mask is not None:
            heard = best_sounds(videos.frames, queries.sounds, queries.sound_mask, self.delta)
            counts = counts & (heard > -torch.inf)
            if queries.prior is not None:
                own = shifted(queries.prior.unsqueeze(-1), 0, length).squeeze(-1)
                prior = (prior + own.T) / 2
        allowed = kept(self.kappa * relevance + beta * prior, counts, self.keep)
        omega = biased_weights(relevance, prior, allowed, kappa=self.kappa, beta=beta)

        def weighted(x: Tensor) -> Tensor:
            return (omega * x.masked_fill(~counts, 0)).sum(dim=1)

        similarities = {"fine": weighted(relevance)}
        if "fine" in self.levels and queries.words is not None and queries.word_mask is not None:
            by_word = words_of_frames(
                videos.frames,
                queries.words,
                queries.word_mask,
                prior,
                allowed,
                kappa=self.kappa,
                beta=beta,
            )
            similarities["fine"] = (similarities["fine"] + by_word) / 2
        if "temporal" in self.levels and heard is not None:
            similarities["temporal"] = weighted(heard)
        if "spatial" in self.levels and videos.patches is not None:
            if queries.sounds is not None:
                places = sounds_of_patches(videos.patches, shifted(queries.sounds, 0, length))
            else:
                assert queries.words is not None  # _queries checked it
                assert queries.word_mask is not None
                places = words_of_patches(videos.patches, queries.words, queries.word_mask)
            similarities["spatial"] = weighted(places)
        return similarities

    def _cosines(self, videos: Videos, queries: Queries) -> int:
        """Return how many cosines one query needs at a time."""
        frames = videos.mask.numel()
        words = 1 if queries.words is None else queries.words.shape[1]
        places = videos.patches.shape[2] if videos.patches is not None else 1
        return max(1, frames * words * places)

    def _videos(self, video: Representation) -> Videos:
        self._expect(video, "video", "frames", {*self.levels})
        self._expect(video, "video", "patches", {*self.levels} & {"spatial"})
        mask = video.masks["frames"]
        frames = unit(video.tokens["frames"])
        prior = frames.new_zeros(mask.shape) if video.scores is None else video.scores.to(frames)
        patches = None
        if "spatial" in self.levels:
            side_by_side = video.tokens["patches"]
            patches = unit(side_by_side.view(*mask.shape, -1, frames.shape[-1]))
        return Videos(_whole(video, "video"), frames, patches, mask, self._prior(prior))

    def _queries(self, query: Representation) -> Queries:
        self._expect(query, "query", "sounds", {*self.levels} & {"temporal"})
        sounds, words = query.tokens.get("sounds"), query.tokens.get("words")
        if "spatial" in self.levels and sounds is None:
            self._expect(query, "query", "words", {"spatial"})
        return Queries(
            _whole(query, "query"),
            None if words is None else unit(words),
            query.masks.get("words"),
            None if sounds is None else unit(sounds),
            query.masks.get("sounds"),
            None if query.scores is None else self._prior(query.scores),
        )

    def _prior(self, scores: Tensor) -> Tensor:
        return scores if self.prior_gradient else scores.detach()

    def _expect(self, given: Representation, side: str, name: str, levels: set[Level]) -> None:
        if levels and name not in given.tokens:
            raise VarkitError(
                f"hierarchical: {' and '.join(sorted(levels))} need tokens {name!r}; the {side} "
                f"encoder gave {', '.join(sorted(given.tokens)) or 'none'}",
                hint="take the level out of levels, or choose another encoder",
            )


def _whole(given: Representation, side: str) -> Tensor:
    """Return the (B, D) unit vector of each video or query."""
    vectors = given.vectors.get("avg")
    if vectors is None or vectors.shape[1] != 1:
        shapes = {name: tuple(x.shape) for name, x in given.vectors.items()}
        raise VarkitError(
            f"hierarchical: the {side} encoder must give one vector 'avg'; it gave {shapes}"
        )
    return unit(vectors[:, 0])


def hierarchies(pretext: str, alignments: Mapping[str, Alignment]) -> list[Hierarchical]:
    """Return the hierarchical alignments of a recipe, for a pretext task.

    Raises:
        VarkitError: there are none.
    """
    hierarchical = [a for a in alignments.values() if isinstance(a, Hierarchical)]
    if not hierarchical:
        raise VarkitError(
            f"{pretext}: no alignment is hierarchical; the recipe has {', '.join(alignments)}",
            hint=f"take {pretext} out of the recipe, or use the alignment hierarchical",
        )
    return hierarchical
