"""A plugin file with one small component of each kind, and a recipe that uses them."""

from pathlib import Path

from varkit.plugins.loading import Plugins, load_plugins

PLUGIN = '''
"""Small components."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from varkit import hookimpl
from varkit.interfaces import Count, Fraction, Positive


class Folder:
    """Reads a folder.

    Args:
        root: where it lies.
        streams: stream -> column.
    """

    def __init__(self, *, root: str, streams: Mapping[str, str] = {"object": "rgb"}) -> None: ...

    @staticmethod
    def missing(*, root: str, **options: Any) -> list[str]:
        return [] if Path(root).is_dir() else [f"no folder {root}: make it"]


class Made:
    """Makes data."""

    def __init__(self, *, videos: Count = 8, gone: bool = False) -> None: ...

    @staticmethod
    def missing(*, videos: int, gone: bool) -> list[str]:
        return ["no generator"] if gone else []


class First:
    """The first clips."""

    def __init__(self, *, count: Count = 4, temperature: Positive = 1, plan: Plan = "even"): ...


class Every:
    """Every clip."""

    def __init__(self, *, step: Count) -> None: ...


class Net:
    """A detector."""

    def __init__(self, width: int, *, hidden: tuple[Count, ...] = (8, 4)) -> None: ...


class Video:
    """An encoder of clips."""

    def __init__(self, dim: int, widths: Unknown, *, rate: Fraction | None = None) -> None: ...


class Cosine:
    """A similarity."""


class Ranking:
    """A loss."""

    def __init__(self, *, margin: Positive = 0.1) -> None: ...


class Greedy:
    """Takes a key that recipes use themselves."""

    def __init__(self, *, weight: float = 1.0) -> None: ...


Plan = Literal["even", "random"]


@hookimpl
def register_datasets(register):
    register("a_folder", Folder, summary="a folder")
    register("made", Made, summary="made up")


@hookimpl
def register_samplers(register):
    register("first", First, summary="the first clips")
    register("every", Every, summary="every so many")


@hookimpl
def register_detectors(register):
    register("net", Net, summary="a net")


@hookimpl
def register_encoders(register):
    register("plain", Video, summary="clips")
    register("gone", "no_such_module:Encoder", summary="cannot be imported")


@hookimpl
def register_alignments(register):
    register("cosine", Cosine, summary="cosine")


@hookimpl
def register_pretexts(register):
    register("greedy", Greedy, summary="greedy")


@hookimpl
def register_objectives(register):
    register("ranking", Ranking, summary="ranking")
'''

RECIPE = """\
# varkit run toy.yaml
version: 1
plugins: [toy_plugin.py]
data: {use: a_folder, root: nowhere}
model: {dim: 16}
samplers:
  fixed: {use: first, count: 3}
  other: {use: every, step: 2}
detector: {use: net, weight: 0.2}
video: {use: plain}
query: {use: plain, rate: 0.5}
alignments:
  all: {use: cosine, weight: 1.0}
objective: {use: ranking}
train:
  epochs: 2
  lr: 1e-3
  lr_factors: {query.language: 0.1}
"""

EMBEDDED = """\
embedded:
  data: {use: made, videos: 4}
  model: {dim: 8}
  samplers:
    fixed: {count: 2}
"""


def write(folder: Path, text: str = RECIPE) -> Path:
    """Write a recipe and its plugin; return the recipe's file."""
    (folder / "toy_plugin.py").write_text(PLUGIN)
    path = folder / "toy.yaml"
    path.write_text(text)
    return path


def toy_plugins(folder: Path) -> Plugins:
    """Load the toy plugin and nothing that is installed."""
    (folder / "toy_plugin.py").write_text(PLUGIN)
    return load_plugins([folder / "toy_plugin.py"], installed=[])
