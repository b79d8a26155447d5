"""The contract with plugins: what components do, the data they exchange, limits of options.

A plugin imports everything from here, apart from :data:`varkit.hookimpl` and, if it likes, parts
of networks from :mod:`varkit.blocks`. A name is imported when it is first used, so that what
searches need (:mod:`varkit.interfaces.searching`) comes without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from varkit.interfaces.draws import Draws, derive_seed
    from varkit.interfaces.extraction import Extractor, PictureClips, SoundClips, Stream
    from varkit.interfaces.flow import Batch, CaptionFacts, Captions, Clips, Pairs, Representation
    from varkit.interfaces.limits import (
        Count,
        Fraction,
        Natural,
        NonNegative,
        Place,
        Positive,
        Rate,
    )
    from varkit.interfaces.protocols import (
        Alignment,
        Array,
        Dataset,
        Detector,
        Encoder,
        Item,
        Objective,
        PretextTask,
        Sampler,
        Sequences,
        TextEncoder,
        VideoReader,
    )
    from varkit.interfaces.searching import (
        Block,
        Channel,
        Engine,
        Found,
        Reason,
        Rows,
        Space,
        Streamed,
        Track,
        Where,
    )

_HOMES = {
    "draws": ("Draws", "derive_seed"),
    "extraction": ("Extractor", "PictureClips", "SoundClips", "Stream"),
    "flow": ("Batch", "CaptionFacts", "Captions", "Clips", "Pairs", "Representation"),
    "limits": ("Count", "Fraction", "Natural", "NonNegative", "Place", "Positive", "Rate"),
    "protocols": (
        *("Alignment", "Array", "Dataset", "Detector", "Encoder", "Item", "Objective"),
        *("PretextTask", "Sampler", "Sequences", "TextEncoder", "VideoReader"),
    ),
    "searching": (
        *("Block", "Channel", "Engine", "Found", "Reason", "Rows", "Space", "Streamed", "Track"),
        "Where",
    ),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Alignment",
    "Array",
    "Batch",
    "Block",
    "CaptionFacts",
    "Captions",
    "Channel",
    "Clips",
    "Count",
    "Dataset",
    "Detector",
    "Draws",
    "Encoder",
    "Engine",
    "Extractor",
    "Found",
    "Fraction",
    "Item",
    "Natural",
    "NonNegative",
    "Objective",
    "Pairs",
    "PictureClips",
    "Place",
    "Positive",
    "PretextTask",
    "Rate",
    "Reason",
    "Representation",
    "Rows",
    "Sampler",
    "Sequences",
    "SoundClips",
    "Space",
    "Stream",
    "Streamed",
    "TextEncoder",
    "Track",
    "VideoReader",
    "Where",
    "derive_seed",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
