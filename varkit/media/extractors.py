"""Extractors by name: built from options, and known by a fingerprint of all that decides them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

from torch import nn
from typing_extensions import TypedDict

from varkit.errors import PluginError, RecipeError, VarkitError, did_you_mean
from varkit.interfaces import Extractor, PictureClips
from varkit.interfaces.checks import absent_members
from varkit.media.chunks import View
from varkit.media.clips import view_of
from varkit.plugins.loading import Plugins
from varkit.recipe import yaml
from varkit.recipe.layers import Layers, read_changes
from varkit.recipe.options import check_options, construct, options_of

LIBRARIES = ("varkit", "av", "soxr", "numpy", "torch")
"""Their versions are recorded beside the fingerprint; they do not change it."""


@dataclass(frozen=True)
class Wanted:
    """An extractor as a user asks for it.

    Attributes:
        name: the first part of its streams' names.
        use: its name in the registry.
        options: as written; defaults are added.
    """

    name: str
    use: str
    options: Mapping[str, Any] = field(default_factory=dict)


def read_wanted(use: Sequence[str], changes: Sequence[str]) -> list[Wanted]:
    """Return the extractors that a command line asks for.

    Args:
        use: ``USE`` or ``NAME=USE``, each also several with commas between.
        changes: options, as in ``image.fps=2``.

    Raises:
        RecipeError: a change is malformed, or is not of an extractor in ``use``.
    """
    pairs = [each.strip().partition("=") for text in use for each in text.split(",")]
    named = {name.strip(): (other or name).strip() for name, _, other in pairs if name.strip()}
    if not named:
        raise RecipeError(["name at least one extractor"], hint="varkit plugins --kind extractor")
    values = Layers(yaml.Document("command line", {}, {(): (1, 1)}), read_changes(changes)).value
    problems = []
    for name, options in values.items():
        if name not in named:
            close = did_you_mean(name, named)
            problems.append(f"{name}: no such extractor is used.{close} Used: {', '.join(named)}.")
        elif not isinstance(options, Mapping):
            problems.append(f"{name}: options are written {name}.OPTION=VALUE")
    if problems:
        raise RecipeError(problems)
    return [Wanted(name, use, values.get(name, {})) for name, use in named.items()]


class StreamRecord(TypedDict):
    """What a store knows of a stream."""

    width: int
    crops: int
    classes: list[str]


class Record(TypedDict):
    """What a store knows of an extractor.

    Attributes:
        use: its name in the registry.
        options: all but paths.
        reads: the clips that it reads.
        streams: name -> stream, without the extractor's name.
        origin: as the extractor says.
    """

    use: str
    options: dict[str, Any]
    reads: dict[str, Any]
    streams: dict[str, StreamRecord]
    origin: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Named:
    """An extractor that is built.

    Attributes:
        name: the first part of its streams' names.
        extractor: the component.
        record: all that decides its numbers.
    """

    name: str
    extractor: Extractor
    record: Record

    @property
    def view(self) -> View | None:
        """The view that it needs, or None if it hears."""
        reads = self.extractor.reads
        return view_of(reads) if isinstance(reads, PictureClips) else None

    @property
    def fingerprint(self) -> str:
        """16 hex digits of a hash of the record."""
        return fingerprint(self.record)


def fingerprint(record: Record) -> str:
    """Return 16 hex digits of a hash of what decides an extractor's numbers."""
    text = json.dumps(record, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def versions() -> dict[str, str]:
    """Return the versions of the libraries that compute."""
    return {name: version(name) for name in LIBRARIES}


def build_extractors(wanted: Sequence[Wanted], plugins: Plugins) -> list[Named]:
    """Build extractors.

    Raises:
        RecipeError: options are wrong, two have one name, or this machine lacks what one needs.
        PluginError: there is no such extractor, or it fails.
    """
    for name in (names := [each.name for each in wanted]):
        if not name.isidentifier():
            raise RecipeError([f"extractor {name!r}: its name must be letters, digits and _"])
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise RecipeError([f"two extractors are named {name!r}" for name in doubled])
    return [_build(each, plugins) for each in wanted]


def _build(wanted: Wanted, plugins: Plugins) -> Named:
    entry = plugins.get("extractor", wanted.use)
    with entry.contained():
        cls = entry.load()
        options, problems = check_options(cls, wanted.options)
        if problems:
            lines = [f"{wanted.name}.{'.'.join(map(str, at))}: {text}" for at, text in problems]
            raise RecipeError(lines)
        lacking = cls.missing(**options) if hasattr(cls, "missing") else []
        if lacking:
            raise RecipeError([f"extractor {wanted.name!r}: missing here: {x}" for x in lacking])
        extractor: Extractor = construct(cls, options, {})
        if absent := absent_members(extractor, Extractor):
            raise VarkitError(
                f"extractor {wanted.use!r} has no {' and no '.join(absent)}",
                hint=entry.check_command,
            )
        if "times" in extractor.streams:
            raise PluginError(f"extractor {wanted.use!r}: no stream may be called 'times'")
        if isinstance(extractor, nn.Module):
            extractor.eval()
        paths = {name for name, option in options_of(cls).items() if option.is_path}
        record = Record(
            use=wanted.use,
            options={name: value for name, value in options.items() if name not in paths},
            reads=asdict(extractor.reads),
            streams={
                name: StreamRecord(
                    width=stream.width, crops=stream.crops, classes=list(stream.classes)
                )
                for name, stream in extractor.streams.items()
            },
            origin=dict(extractor.origin),
        )
    plain: Record = json.loads(json.dumps(record, allow_nan=False))  # tuples become lists
    return Named(wanted.name, extractor, plain)
