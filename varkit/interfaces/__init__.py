"""The contract with plugins: what components do, the data they exchange, limits of options.

A plugin imports everything from here, apart from :data:`varkit.hookimpl` and, if it likes, parts
of networks from :mod:`varkit.blocks`.
"""

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

__all__ = [
    "Alignment",
    "Array",
    "Batch",
    "CaptionFacts",
    "Captions",
    "Clips",
    "Count",
    "Dataset",
    "Detector",
    "Draws",
    "Encoder",
    "Extractor",
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
    "Representation",
    "Sampler",
    "Sequences",
    "SoundClips",
    "Stream",
    "TextEncoder",
    "VideoReader",
    "derive_seed",
]
