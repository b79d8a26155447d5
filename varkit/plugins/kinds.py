"""The kinds of component, one row each: everything that the core knows about a kind.

Hooks, registry, recipe sections, build, conformance kit, scaffold and documentation read this
table. A row refers to code as ``"module:attribute"``, which is imported where it is needed, so
importing this module stays cheap.

To add a kind, add a row here, a protocol in ``varkit/interfaces``, a check in ``varkit/testing``
and a template in ``varkit/testing/templates``. A kind with slots in a recipe also needs a field in
:class:`varkit.recipe.load.Recipe` and a place in :mod:`varkit.model.build`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from varkit.errors import PluginError, did_you_mean


@dataclass(frozen=True)
class Slot:
    """A section of a recipe that holds components of a kind.

    Attributes:
        section: its key.
        summary: what it is, for editors and the documentation.
        named: whether it holds several components by name.
        required: whether a recipe must have it; if ``named``, with at least one entry.
        settings: the class of the options beside a component's ``use``.
    """

    section: str
    summary: str
    named: bool = False
    required: bool = False
    settings: str = "varkit.interfaces.settings:NoSettings"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of component.

    Attributes:
        name: what the registry and the command line call it.
        plural: the plural of ``name``.
        summary: what it does; completes "Register samplers: ...".
        protocol: the class in ``varkit.interfaces`` that a component implements.
        supplied: the keys of :data:`SUPPLIED` that its constructor may take.
        slots: its sections in a recipe; empty = it has none.
        check: the conformance check. It takes the built component and, as keywords that it may
            have, ``subject`` for messages, ``fresh``, another instance with the same options, and
            anything that the kit supplies to constructors.
        template: the file in ``varkit/testing/templates`` that ``varkit plugin new`` starts from.
    """

    name: str
    plural: str
    summary: str
    protocol: str
    supplied: tuple[str, ...] = ()
    slots: tuple[Slot, ...] = ()
    check: str
    template: str

    @property
    def hook(self) -> str:
        """The name of the hook with which plugins register components."""
        return f"register_{self.plural}"


SUPPLIED: Mapping[str, str] = {
    "dim": "int: D, the width of every vector that alignments compare (recipe: model.dim)",
    "experts": "tuple[str, ...]: the names of the E experts, in order (recipe: model.experts)",
    "widths": "dict[str, int]: the D_stream of each stream on this encoder's side",
    "samplers": "dict[str, Sampler]: the recipe's samplers, by the names given there",
    "detector": "Callable[[int], Detector] | None: makes a detector of that many channels",
    "width": "int: C, how many channels the detector reads",
    "video_encoder": "Encoder: the video encoder, already built",
    "query_encoder": "Encoder: the query encoder, already built",
    "alignments": "dict[str, Alignment]: the recipe's alignments, already built, by the names "
    "given there",
    "streams": "Mapping[str, Streamed]: the streams that an index has of its videos, by their keys",
    "kept": "Mapping[str, Array]: what an earlier instance of the space kept; empty = nothing",
    "folder": "Path: the engine's own folder, which exists",
    "channel": "Channel: what the engine's rows are made of",
    "truth": "Callable[[str], NDArray[bool] | None]: the (T,) ground truth of a video, or of a "
    "sound, by its name in the draws",
}
"""The positional arguments that the build supplies to constructors, by name."""

_MODEL = ("dim", "experts", "samplers", "detector")
_ENCODERS = ("video_encoder", "query_encoder")

_ROWS = (
    Kind(
        name="dataset",
        plural="datasets",
        summary="pairs of videos and queries, in splits",
        protocol="varkit.interfaces:Dataset",
        slots=(Slot("data", "Videos and queries.", required=True),),
        check="varkit.testing.datasets:check_dataset",
        template="dataset.py",
    ),
    Kind(
        name="extractor",
        plural="extractors",
        summary="a media file becomes streams of features",
        protocol="varkit.interfaces:Extractor",
        check="varkit.testing.extractors:check_extractor",
        template="extractor.py",
    ),
    Kind(
        name="space",
        plural="spaces",
        summary="what videos and queries are compared in, with nothing to train",
        protocol="varkit.interfaces:Space",
        supplied=("streams", "kept"),
        check="varkit.testing.spaces:check_space",
        template="space.py",
    ),
    Kind(
        name="engine",
        plural="engines",
        summary="keeps the vectors of an index and finds the nearest",
        protocol="varkit.interfaces:Engine",
        supplied=("folder", "channel"),
        check="varkit.testing.engines:check_engine",
        template="engine.py",
    ),
    Kind(
        name="sampler",
        plural="samplers",
        summary="which clips of a long video the encoder looks at",
        protocol="varkit.interfaces:Sampler",
        supplied=("truth",),
        slots=(Slot("samplers", "Which clips the encoders look at, by name.", named=True),),
        check="varkit.testing.samplers:check_sampler",
        template="sampler.py",
    ),
    Kind(
        name="detector",
        plural="detectors",
        summary="how anomalous every clip is",
        protocol="varkit.interfaces:Detector",
        supplied=("width",),
        slots=(
            Slot(
                "detector",
                "How anomalous every clip is.",
                settings="varkit.interfaces.settings:DetectorSettings",
            ),
        ),
        check="varkit.testing.detectors:check_detector",
        template="detector.py",
    ),
    Kind(
        name="encoder",
        plural="encoders",
        summary="a video, a caption or a sound becomes a representation",
        protocol="varkit.interfaces:Encoder",
        supplied=(*_MODEL, "widths"),
        slots=(
            Slot("video", "The encoder of videos.", required=True),
            Slot("query", "The encoder of queries.", required=True),
        ),
        check="varkit.testing.encoders:check_encoder",
        template="encoder.py",
    ),
    Kind(
        name="alignment",
        plural="alignments",
        summary="how similar a video and a query are",
        protocol="varkit.interfaces:Alignment",
        supplied=(*_MODEL, *_ENCODERS),
        slots=(
            Slot(
                "alignments",
                "The similarities that are summed, by name.",
                named=True,
                required=True,
                settings="varkit.interfaces.settings:AlignmentSettings",
            ),
        ),
        check="varkit.testing.alignments:check_alignment",
        template="alignment.py",
    ),
    Kind(
        name="pretext",
        plural="pretexts",
        summary="further losses, used in training only",
        protocol="varkit.interfaces:PretextTask",
        supplied=(*_MODEL, *_ENCODERS, "alignments"),
        slots=(
            Slot(
                "pretexts",
                "Further losses, by name.",
                named=True,
                settings="varkit.interfaces.settings:PretextSettings",
            ),
        ),
        check="varkit.testing.pretexts:check_pretext",
        template="pretext.py",
    ),
    Kind(
        name="objective",
        plural="objectives",
        summary="the ranking loss over a batch of similarities",
        protocol="varkit.interfaces:Objective",
        supplied=(*_MODEL, *_ENCODERS),
        slots=(Slot("objective", "The ranking loss.", required=True),),
        check="varkit.testing.objectives:check_objective",
        template="objective.py",
    ),
)

KINDS: dict[str, Kind] = {row.name: row for row in _ROWS}
"""Every kind by its name, in the order in which they are listed."""


def kind_named(name: str) -> Kind:
    """Return a kind.

    Raises:
        PluginError: there is no such kind; the message lists all kinds and the nearest match.
    """
    if name not in KINDS:
        meant, known = did_you_mean(name, KINDS), ", ".join(KINDS)
        raise PluginError(f"no kind {name!r}.{meant} Known: {known}.")
    return KINDS[name]
