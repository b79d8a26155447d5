"""The contract with plugins: what components do, what flows between them, how options are limited.

A plugin needs this package and :data:`varkit.hookimpl`, and for parts of its network perhaps
:mod:`varkit.blocks`. Everything below is imported from here.
"""

from varkit.interfaces.draws import Draws, derive_seed
from varkit.interfaces.flow import Batch, Captions, Clips, Pairs, Representation
from varkit.interfaces.limits import Count, Fraction, Natural, NonNegative, Positive, Rate
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

__all__ = [
    "Alignment",
    "Array",
    "Batch",
    "Captions",
    "Clips",
    "Count",
    "Dataset",
    "Detector",
    "Draws",
    "Encoder",
    "Fraction",
    "Item",
    "Natural",
    "NonNegative",
    "Objective",
    "Pairs",
    "Positive",
    "PretextTask",
    "Rate",
    "Representation",
    "Sampler",
    "Sequences",
    "TextEncoder",
    "VideoReader",
    "derive_seed",
]
