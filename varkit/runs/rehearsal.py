"""What a training would refuse, found before features are read; and what one of its steps costs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from varkit.data.batches import remember_captions
from varkit.interfaces import Dataset
from varkit.interfaces.settings import DetectorSettings
from varkit.model.build import build_model
from varkit.model.retrieval import RetrievalModel
from varkit.plugins.loading import Plugins
from varkit.recipe.load import Recipe
from varkit.runs.experiment import training_parts
from varkit.training.log import Record, check_tensorboard
from varkit.training.loop import Trainer, updates_per_epoch
from varkit.training.optimiser import make_optimizer, trainable

WARM_UP = 2
"""Steps that are not counted: the first ones allocate memory and start threads."""
STEPS = 4
"""Steps that are counted."""
LONG = 20.0
"""Seconds after which no further step is taken."""


@dataclass(frozen=True)
class Cost:
    """What one training costs; see :func:`measure_cost`.

    Attributes:
        step: seconds of an optimiser step.
        steps: of an epoch.
        model: bytes of a saved model.
        checkpoint: bytes of a checkpoint, which also holds the optimiser's state.
    """

    step: float
    steps: int
    model: int
    checkpoint: int


class _EnoughError(Exception):
    """Enough steps were taken."""


def check_training(recipe: Recipe, plugins: Plugins, dataset: Dataset) -> RetrievalModel:
    """Build the model and what trains it, once, and return the model.

    No feature is read, and torch's random state stays as it is.

    Raises:
        RecipeError: options do not fit each other, the model or the number of videos.
        DataError: the data set has no such split.
        VarkitError: something that the options need is not installed.
    """
    if recipe.train.tensorboard:
        check_tensorboard()
    train, _ = training_parts(recipe, dataset)
    updates_per_epoch(recipe.train, train)
    with torch.random.fork_rng(devices=()):
        model = build_model(recipe, plugins, dataset)
    make_optimizer(model, recipe.train)
    return model


def measure_cost(
    recipe: Recipe, plugins: Plugins, dataset: Dataset, *, device: torch.device
) -> Cost:
    """Take a few steps of a training and throw them away.

    The median of :data:`STEPS` steps counts, on videos from all parts of the training split. Epochs
    that only pretrain a detector count like any other. Nothing stays on the disk but the states of
    those videos' captions, which a training uses too.

    Raises:
        RecipeError: as in :func:`check_training`; so are the other errors.
    """
    if recipe.detector is not None:
        settings = recipe.detector.settings
        assert isinstance(settings, DetectorSettings)
        joint = replace(settings, pretrain_epochs=0, freeze=False)
        recipe = replace(recipe, detector=replace(recipe.detector, settings=joint))
    model = check_training(recipe, plugins, dataset).to(device)
    train, _ = training_parts(recipe, dataset)
    some = train[:: max(1, len(train) // (recipe.train.batch_size * (WARM_UP + STEPS)))]
    remember_captions(model.query, dataset, some)
    seconds: list[float] = []

    def listen(record: Record) -> None:
        if record["kind"] == "step":
            seconds.append(record["seconds"])
            if len(seconds) == WARM_UP + STEPS or sum(seconds) > LONG:
                raise _EnoughError

    options = replace(
        recipe.train, epochs=WARM_UP + STEPS, checkpoint_steps=0, select="last", tensorboard=False
    )
    with TemporaryDirectory() as folder, suppress(_EnoughError):
        Trainer(
            model,
            dataset,
            some,
            [],
            train=options,
            evaluation=recipe.eval,
            seed=0,
            folder=Path(folder),
            identity={},
            listener=listen,
        ).run()
    state = model.state_dict()
    size = sum(map(_bytes, state.values()))
    return Cost(
        step=median(seconds[WARM_UP:] or seconds[-1:]),
        steps=updates_per_epoch(recipe.train, train),
        model=sum(_bytes(t) for name, t in state.items() if not name.startswith("pretexts.")),
        checkpoint=size + 2 * sum(map(_bytes, trainable(model).values())),
    )


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
