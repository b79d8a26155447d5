"""Builds the components that a recipe names, from the plugins that offer them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pkgutil import resolve_name
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from varkit.errors import DataError, PluginError, RecipeError, VarkitError
from varkit.interfaces import Batch, Clips, Dataset, Detector, Draws, Encoder, TextEncoder
from varkit.interfaces.checks import absent_members, expect_shape
from varkit.interfaces.settings import AlignmentSettings, DetectorSettings, PretextSettings
from varkit.model.retrieval import RetrievalModel, Weighted
from varkit.plugins.kinds import KINDS
from varkit.plugins.loading import Plugins
from varkit.plugins.registry import Entry
from varkit.recipe.check import Component
from varkit.recipe.load import Recipe, prepare
from varkit.recipe.options import construct
from varkit.system import distributed


def prepare_dataset(
    recipe: Recipe, plugins: Plugins, progress: Callable[[int, int], None] | None = None
) -> None:
    """Make what the recipe's data set reads; see :func:`varkit.recipe.load.prepare`."""
    entry = plugins.get("dataset", recipe.data.use)
    with entry.contained():
        prepare(entry.load(), recipe.data.arguments, plugins.files, progress)


def build_dataset(recipe: Recipe, plugins: Plugins) -> Dataset:
    """Open the recipe's data set.

    Raises:
        DataError: it is missing or faulty.
    """
    dataset: Dataset = _build(recipe.data, plugins, {})
    return dataset


def build_model(recipe: Recipe, plugins: Plugins, dataset: Dataset) -> RetrievalModel:
    """Build the recipe's model for a data set; its weights depend on torch's random state.

    Raises:
        RecipeError: components do not fit each other or the data set.
        PluginError: a component's constructor failed.
    """
    # This grows as parts are built; each part gets the arguments that its kind's row lists.
    supplies: dict[str, Any] = {
        "truth": _truth(dataset),
        "dim": recipe.model.dim,
        "experts": tuple(recipe.model.experts),
        "detector": None,
    }
    supplies["samplers"] = {n: _build(c, plugins, supplies) for n, c in recipe.samplers.items()}
    if recipe.detector is not None:
        component = recipe.detector

        def make_detector(width: int) -> Detector:
            detector: Detector = _build(component, plugins, {"width": width})
            if isinstance(detector, nn.Module):
                detector.register_forward_hook(_check_scores)
            return detector

        supplies["detector"] = make_detector
    video = _encoder(recipe.video, plugins, {**supplies, "widths": dataset.widths})
    query = _encoder(recipe.query, plugins, {**supplies, "widths": dataset.query_widths})
    if dataset.query_kind == "captions" and query.consumes == "captions":
        _check_members(plugins.get("encoder", recipe.query.use), query, TextEncoder)
    _check_consumes("video", recipe.video, video, "clips", dataset)
    _check_consumes("query", recipe.query, query, dataset.query_kind, dataset)
    supplies |= {"video_encoder": video, "query_encoder": query}

    def weighted(component: Component) -> Weighted:
        settings = component.settings
        assert isinstance(settings, AlignmentSettings | PretextSettings)
        return Weighted(_build(component, plugins, supplies), settings.weight)

    settings = recipe.detector.settings if recipe.detector is not None else None
    assert settings is None or isinstance(settings, DetectorSettings)
    detectors = [encoder for encoder in (video, query) if encoder.detector is not None]
    if settings is not None and settings.pretrain_epochs and not detectors:
        raise RecipeError(
            ["detector.pretrain_epochs: no encoder has a detector to train"],
            hint="give the recipe a sampler that reads anomaly scores, or set it to 0",
        )
    alignments = {name: weighted(c) for name, c in recipe.alignments.items()}
    supplies["alignments"] = {name: part.component for name, part in alignments.items()}
    model = RetrievalModel(
        video=video,
        query=query,
        alignments=alignments,
        pretexts={name: weighted(c) for name, c in recipe.pretexts.items()},
        objective=_build(recipe.objective, plugins, supplies),
        detector=settings,
    )
    if distributed.world_size() == 1:  # a component may wait for the other ranks
        _check_parts(model, dataset)
    return model


def _check_parts(model: RetrievalModel, dataset: Dataset) -> None:
    """Check on two made-up pairs that each component gets the parts that it asks for.

    Neither weights nor torch's random state change.
    """
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            model.eval()
            model.check_parts(_made_up(model, dataset))
    except Exception as error:
        # Made-up data may be too unlike real data. Any fault but of parts shows with real data too.
        if isinstance(error, VarkitError) and not isinstance(error, DataError):
            raise
    finally:
        for module, training in modes.items():
            module.training = training


def _made_up(model: RetrievalModel, dataset: Dataset) -> Batch:
    names = ("made-up 1", "made-up 2")

    def clips(widths: Mapping[str, int]) -> Clips:
        starts = torch.arange(4.0).expand(2, -1)
        streams = {name: torch.rand(2, 4, width) for name, width in widths.items()}
        times = torch.stack([starts, starts + 1], dim=-1)
        return Clips(streams, torch.ones(2, 4, dtype=torch.bool), times, Draws(0, names))

    texts = dataset.query_kind == "captions"
    tokenize: Any = getattr(model.query, "tokenize", None)
    return Batch(
        video=clips(dataset.widths),
        query=tokenize(names) if texts else clips(dataset.query_widths),
        label=torch.tensor([1.0, 0.0]),
        group=torch.arange(2),
        draws=Draws(0, names),
    )


def _truth(dataset: Dataset) -> Callable[[str], NDArray[np.bool_] | None]:
    """Return a function that gives ground truth by the item names in ``clips.draws``."""

    @cache
    def videos() -> dict[str, str]:
        video_of: dict[str, str] = {}
        for split in ("train", "val", "test"):
            with suppress(DataError):  # the data set has no such split
                for item in dataset.split(split):
                    sounds = item.queries if dataset.query_kind == "clips" else ()
                    video_of |= dict.fromkeys((*sounds, item.video), item.video)
        return video_of

    def truth(item: str) -> NDArray[np.bool_] | None:
        video = videos().get(item)
        return None if video is None else dataset.truth(video)

    return truth


def _build(component: Component, plugins: Plugins, supplies: Mapping[str, Any]) -> Any:
    entry, kind = plugins.get(component.kind, component.use), KINDS[component.kind]
    given = {name: supplies[name] for name in kind.supplied}
    with entry.contained():
        built = construct(entry.load(), component.arguments, given)
        _check_members(entry, built, resolve_name(kind.protocol))
    return built


def _check_members(entry: Entry, built: Any, interface: type) -> None:
    if absent := absent_members(built, interface):
        raise PluginError(
            f"{entry.kind} {entry.name!r} of {entry.origin} has no {' and no '.join(absent)}, "
            f"which varkit.interfaces.{interface.__name__} requires",
            hint=entry.check_command,
        )


def _encoder(component: Component, plugins: Plugins, supplies: Mapping[str, Any]) -> Encoder:
    encoder = _build(component, plugins, supplies)
    if not isinstance(encoder, nn.Module):
        raise PluginError(
            f"encoder {component.use!r} is not a torch.nn.Module: {type(encoder).__name__}"
        )
    typed: Encoder = encoder  # type: ignore[assignment]  # its calls are checked by the kit
    return typed


def _check_scores(_: nn.Module, inputs: tuple[Any, ...], scores: object) -> None:
    expect_shape(scores, tuple(inputs[1].shape), "detector: confidence")


def _check_consumes(
    section: str, component: Component, encoder: Encoder, kind: str, dataset: Dataset
) -> None:
    if encoder.consumes != kind:
        raise RecipeError(
            [
                f"{section}.use: encoder {component.use!r} reads {encoder.consumes}, "
                f"but {section} inputs of {dataset.name} are {kind}"
            ]
        )
