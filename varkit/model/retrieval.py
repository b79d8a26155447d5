"""RetrievalModel: the model that a recipe composes.

It is independent of the method: two encoders make representations, alignments compare them, an
objective computes the ranking loss, and pretext tasks and detectors add their own losses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.profiler import record_function

from varkit.errors import RecipeError, VarkitError
from varkit.interfaces import Batch, Encoder, Objective, Pairs, Representation
from varkit.interfaces.checks import expect_shape
from varkit.interfaces.settings import DetectorSettings
from varkit.system import distributed


@dataclass(frozen=True)
class Weighted:
    """An alignment or a pretext task, and its weight."""

    component: Any
    weight: float


class RetrievalModel(nn.Module):
    """Composes encoders, alignments, pretext tasks and an objective.

    Args:
        video: encodes clips.
        query: encodes captions, or the clips of sounds.
        alignments: name -> alignment and its weight in the similarity (ALAN, Eq. 5).
        objective: the ranking loss.
        pretexts: name -> pretext task and the weight of its loss.
        detector: weight and schedule of the detectors' loss; None = there are no detectors.
    """

    def __init__(
        self,
        *,
        video: Encoder,
        query: Encoder,
        alignments: Mapping[str, Weighted],
        objective: Objective,
        pretexts: Mapping[str, Weighted] | None = None,
        detector: DetectorSettings | None = None,
    ) -> None:
        super().__init__()
        self.video = video
        self.query = query
        self.objective = objective
        self.detector_settings = detector
        self._alignments = dict(alignments)
        self._pretexts = dict(pretexts or {})
        # The mappings above may hold plain objects; modules are registered here.
        self.alignments = _modules(self._alignments)
        self.pretexts = _modules(self._pretexts)

    def factors(
        self, representation: Representation, side: Literal["video", "query"]
    ) -> Tensor | None:
        """Return (N, K) vectors whose inner products are :meth:`similarity`, or None.

        They are the alignments' factors side by side; the query side's are multiplied by the
        alignments' weights.
        """
        blocks = []
        for name, weighted in self._counting_alignments():
            with _naming_parts(f"alignments.{name}", **{side: representation}):
                block = weighted.component.factors(representation, side)
            if block is None:
                return None
            expect_shape(block, (len(representation), "K"), f"alignments.{name}: {side} factors")
            blocks.append(block * weighted.weight if side == "query" else block)
        return torch.cat(blocks, dim=1)

    def factor_widths(self, video: Representation) -> dict[str, int]:
        """Return how many factors are each alignment's; empty if one has none."""
        widths = {}
        for name, weighted in self._counting_alignments():
            block = weighted.component.factors(video, "video")
            if block is None:
                return {}
            widths[name] = int(block.shape[1])
        return widths

    def similarity(self, video: Representation, query: Representation) -> Tensor:
        """Return the (V, Q) weighted sum of the alignments' similarities (ALAN, Eq. 5)."""
        total: Tensor | None = None
        for name, weighted in self._counting_alignments():
            with _naming_parts(f"alignments.{name}", video=video, query=query):
                part = weighted.component.similarity(video, query)
            expect_shape(part, (len(video), len(query)), f"alignments.{name}: similarity")
            part = part * weighted.weight
            total = part if total is None else total + part
        assert total is not None  # build_model makes sure that a weight is above 0
        return total

    def forward(self, batch: Batch, epoch: int = 0) -> dict[str, Tensor]:
        """Return the unweighted losses of a batch as () tensors, and their weighted ``total``.

        The total is L = L_align + lambda_1 L_detector + sum_k lambda_k L_k (ALAN, Eq. 10).

        Args:
            batch: B pairs.
            epoch: from 0; the detector's schedule depends on it.
        """
        with record_function("varkit.video"):
            video = self.video(batch.video)
        with record_function("varkit.query"):
            query = self.query(batch.query)
        losses: dict[str, Tensor] = {}
        weights: dict[str, float] = {}
        settings = self.detector_settings
        only_detector = settings is not None and epoch < settings.pretrain_epochs
        with record_function("varkit.loss"):
            detector = self._detector_loss(video, query, batch)
            if detector is not None and settings is not None:
                frozen = settings.freeze and not only_detector
                losses["detector"] = detector.detach() if frozen else detector
                weights["detector"] = settings.weight
            if not only_detector:
                losses["align"] = self._ranking_loss(video, query, batch, epoch)
                weights["align"] = 1.0
        if not only_detector:
            for name, weighted in self._pretexts.items():
                with record_function(f"varkit.pretext.{name}"):
                    losses[name] = self._pretext_loss(name, video, query, batch)
                weights[name] = weighted.weight
        if not losses:
            raise VarkitError(
                "detector.pretrain_epochs is set, but no encoder has a detector",
                hint="give the recipe a sampler that reads anomaly scores, or set it to 0",
            )
        for name, loss in losses.items():
            expect_shape(loss, (), f"loss {name}")
        losses["total"] = torch.stack([losses[n] * weights[n] for n in weights]).sum()
        return losses

    def check_parts(self, batch: Batch) -> None:
        """Check that encoders give every part that alignments and pretext tasks ask for.

        Raises:
            RecipeError: one asks for another part; the message says which parts there are.
        """
        video, query = self.video(batch.video), self.query(batch.query)
        if self.factors(video, "video") is None or self.factors(query, "query") is None:
            self.similarity(video, query)
        for name in self._pretexts:
            self._pretext_loss(name, video, query, batch)

    def _pretext_loss(
        self, name: str, video: Representation, query: Representation, batch: Batch
    ) -> Tensor:
        with _naming_parts(f"pretexts.{name}", video=video, query=query):
            loss: Tensor = self._pretexts[name].component(video, query, batch)
        return loss

    def _ranking_loss(
        self, video: Representation, query: Representation, batch: Batch, epoch: int
    ) -> Tensor:
        group = batch.group
        uniform = batch.draws.named("pairs").uniform(2).to(group.device)
        pairs = Pairs(group, uniform, epoch)
        v, q = self.factors(video, "video"), self.factors(query, "query")
        if v is not None and q is not None:
            expect_shape(v, (len(batch), "K"), "all video factors")
            expect_shape(q, tuple(v.shape), "all query factors")
        # The loss sums many small differences: at least fp32, whatever the encoders' precision.
        with torch.autocast(batch.label.device.type, enabled=False):
            if v is not None and q is not None:
                v, q = _at_least_fp32(v), _at_least_fp32(q)
                loss: Tensor | None = None
                if distributed.world_size() > 1 and hasattr(self.objective, "over_ranks"):
                    loss = self.objective.over_ranks(v, q, pairs)
                if loss is None:
                    v, q, group, uniform = map(distributed.gather, (v, q, group, uniform))
                    loss = self.objective.factored(v, q, Pairs(group, uniform, epoch))
                return loss
            if distributed.world_size() > 1:
                raise VarkitError(
                    "an alignment without factors cannot be trained over several ranks",
                    hint="start one process, without torchrun",
                )
            return self.objective.dense(_at_least_fp32(self.similarity(video, query)), pairs)

    def _detector_loss(
        self, video: Representation, query: Representation, batch: Batch
    ) -> Tensor | None:
        total: Tensor | None = None
        sides = ((self.video, video, batch.video), (self.query, query, batch.query))
        for encoder, representation, inputs in sides:
            if representation.scores is None:
                continue
            expect_shape(representation.scores, tuple(inputs.mask.shape), "scores of a detector")
            with torch.autocast(batch.label.device.type, enabled=False):
                part = encoder.detector.loss(
                    _at_least_fp32(representation.scores), inputs.mask, batch.label
                )
            total = part if total is None else total + part
        return total

    def _counting_alignments(self) -> list[tuple[str, Weighted]]:
        return [(name, part) for name, part in self._alignments.items() if part.weight != 0]


@contextmanager
def _naming_parts(where: str, **sides: Representation) -> Iterator[None]:
    """Add to the KeyError for a part that an encoder does not give which parts there are."""
    try:
        yield
    except KeyError as error:
        given = "; ".join(f"the {side} encoder gives {_parts(r)}" for side, r in sides.items())
        raise RecipeError(
            [f"{where}: there is no part {error!s}: {given}"],
            hint="varkit plugins NAME shows the parts that a component gives, or asks for",
        ) from error


def _parts(representation: Representation) -> str:
    """Return the names of a representation's parts, for messages."""
    kinds = ("vectors", "weights", "tokens")
    parts = {kind: ", ".join(getattr(representation, kind)) for kind in kinds}
    return ", ".join(f"{kind} ({names})" for kind, names in parts.items() if names) or "nothing"


def _at_least_fp32(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _modules(components: Mapping[str, Weighted]) -> nn.ModuleDict:
    return nn.ModuleDict(
        {n: w.component for n, w in components.items() if isinstance(w.component, nn.Module)}
    )
