"""Options of the recipe that belong to no component's constructor.

These are the sections model, train and eval, and the settings beside a component's ``use``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import MinLen

from varkit.interfaces.limits import Count, Fraction, Natural, NonNegative, Positive, Rate

Rule = Literal["own", "duplicates", "unique"]
"""Which answers are right; see :attr:`EvalOptions.positives`."""
Ties = Literal["average", "optimistic", "pessimistic"]
"""How equal scores count; see :attr:`EvalOptions.ties`."""
Which = Literal["best", "last"]
"""Which model of a training: of the selected epoch, or of the last."""
Measured = Literal["best", "last", "given"]
"""Which model was measured: that of a training, or a given one, of which this is unknown."""


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """What all components of a model agree on.

    Attributes:
        dim: D, the width of the vectors that alignments compare (ALAN IV-B: 768).
        experts: the names of the E experts, in order (ALAN: object = I3D-RGB, motion = I3D-Flow).
    """

    dim: Count = 768
    experts: Annotated[tuple[str, ...], MinLen(1)] = ("object", "motion")


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How a model is trained. Defaults are ALAN's where the paper gives them (IV-B).

    Attributes:
        epochs: passes over the training videos. Not in the paper; 50 is MMT's.
        batch_size: B of one optimiser step, over all ranks (ALAN: 64).
        lr: Adam's learning rate (ALAN: 5e-5).
        lr_decay: factor on the learning rate after every epoch (ALAN: 0.95).
        lr_factors: factors on ``lr`` for parameters by prefix, e.g. ``{query.language: 0.1}``;
            the paper uses one rate for all.
        warmup_epochs: epochs of linear warm-up; not in the paper.
        weight_decay: Adam's, not decoupled; 0 as in MMT, not in the paper.
        clip_norm: largest global gradient norm; null = no clipping. Not in the paper.
        accumulate: micro-batches per optimiser step; negatives come from the micro-batch only.
        precision: of the forward pass; parameters stay fp32.
        seeds: one training per seed; results are given for each, and as mean and deviation.
        validation: share of the training videos held out to choose a checkpoint; the paper
            mentions no validation part and neither benchmark has one.
        select: which checkpoint is reported besides the last: the best on the validation part,
            none, or the best on test (marked in every table).
        max_clips: training videos longer than this are averaged over equal segments; evaluation
            reads every clip. Benchmark videos reach 61,000 clips.
        checkpoint_steps: optimiser steps between checkpoints inside an epoch; 0 = only after
            each epoch.
        keep: how many of the newest checkpoints to keep, from which a training can go on. null =
            two until it is measured, and then none: its models stay, without Adam's state.
        workers: processes that read features; 0 reads in the training process.
        timeout: the most seconds that one of several ranks waits for another. Rank 0 checks the
            data, validates and measures while the rest wait, so it must be longer than that takes.
        tensorboard: also write TensorBoard events; needs the extra ``tensorboard``.
    """

    epochs: Count = 50
    batch_size: Count = 64
    lr: Positive = 5e-5
    lr_decay: Positive = 0.95
    lr_factors: Mapping[str, NonNegative] = field(default_factory=dict)
    warmup_epochs: Natural = 0
    weight_decay: NonNegative = 0.0
    clip_norm: Positive | None = None
    accumulate: Count = 1
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    seeds: Annotated[tuple[Natural, ...], MinLen(1)] = (0,)
    validation: Rate = 0.1
    select: Literal["val", "last", "test"] = "val"
    max_clips: Count = 1024
    checkpoint_steps: Natural = 0
    keep: Count | None = None
    workers: Natural = 0
    timeout: Positive = 1800.0
    tensorboard: bool = False


@dataclass(frozen=True, kw_only=True)
class EvalOptions:
    """How a model is measured.

    Attributes:
        seed: of the samplers at evaluation; a video's draws depend on it and the video's id alone.
        repeats: evaluate this many sampler seeds and report mean and deviation.
        crops: ``centre`` = the first crop, ``mean`` = average the embeddings of all crops.
        max_clips: longer videos and sounds are averaged over this many equal segments.
        clips_per_batch: videos are encoded in batches of at most this many padded clips.
        every: epochs between evaluations on the validation part.
        positives: which answers are right. ``own`` = only a query's own video; ``duplicates`` =
            every video with literally the same caption; ``unique`` = as ``duplicates``, and
            queries with the same caption are merged (UCFCrime-AR: n = 290 or 288 queries).
        qrels: a file of TREC relevance judgements of the measured split, ``QUERY 0 VIDEO GRADE`` in
            each line, which decides which answers are right in place of ``positives``. A checkpoint
            is still selected by ``positives``.
        ties: where candidates with the same score as the right answer are: ``average`` = in
            random order, with the expected rank and the expected R@K; ``optimistic`` = behind it;
            ``pessimistic`` = before it.
        trec_depth: candidates per query in the TREC run files; 0 = write no such files.
    """

    seed: Natural = 0
    repeats: Count = 1
    crops: Literal["centre", "mean"] = "centre"
    max_clips: Count = 8192
    clips_per_batch: Count = 16384
    every: Count = 1
    positives: Rule = "own"
    qrels: str | None = None
    ties: Ties = "average"
    trec_depth: Natural = 100


@dataclass(frozen=True, kw_only=True)
class DetectorSettings:
    """Beside a detector's ``use``.

    Attributes:
        weight: lambda_1, on the detector's loss (ALAN Eq. 10: 0.1).
        pretrain_epochs: epochs in which only the detector's loss counts; 0 = trained jointly.
        freeze: keep the detector fixed after those epochs.
    """

    weight: NonNegative = 0.1
    pretrain_epochs: Natural = 0
    freeze: bool = False


@dataclass(frozen=True, kw_only=True)
class AlignmentSettings:
    """Beside an alignment's ``use``.

    Attributes:
        weight: of this alignment in the sum (ALAN Eq. 5: alpha and 1 - alpha, both 0.5).
    """

    weight: Fraction = 0.5


@dataclass(frozen=True, kw_only=True)
class PretextSettings:
    """Beside a pretext task's ``use``.

    Attributes:
        weight: of this task's loss (ALAN Eq. 10: lambda_2 = 0.01).
    """

    weight: NonNegative = 0.01


@dataclass(frozen=True, kw_only=True)
class NoSettings:
    """Beside the ``use`` of every other component: nothing."""
