"""The components of an index, built from what ``index.json`` says; without torch."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from varkit.errors import DataError
from varkit.interfaces.searching import Engine, Space
from varkit.plugins.loading import Plugins, load_plugins
from varkit.search.facts import Chosen, Facts
from varkit.system.inputs import check_user_file, reading

ENGINES = "engines"
KEPT = "space.safetensors"


def plugins_of(facts: Facts) -> Plugins:
    """Load the plugins that an index needs."""
    return load_plugins([Path(file) for file in facts.plugins])


def open_engine(root: Path, facts: Facts, channel: str, plugins: Plugins) -> Engine:
    """Open the engine that keeps the rows of a channel.

    Raises:
        PluginError: there is no such engine.
        DataError: what it keeps is damaged.
    """
    folder = root / ENGINES / channel
    supplies = {"folder": folder, "channel": facts.channels[channel]}
    engine: Engine = _built(plugins, "engine", facts.engine, supplies)
    return engine


def open_space(root: Path, facts: Facts, plugins: Plugins) -> Space:
    """Open the space of an index.

    Raises:
        PluginError: there is no such space.
        DataError: it is another one than the index was made with.
    """
    assert facts.space is not None
    supplies = {"streams": facts.streams, "kept": read_kept(root)}
    space: Space = _built(plugins, "space", facts.space, supplies)
    if dict(space.origin) != dict(facts.origin):
        raise DataError(
            f"{root} was made in another space {facts.space.use!r}: {dict(facts.origin)}; here it "
            f"is {dict(space.origin)}",
            hint="make the index again with varkit index VIDEOS --out ANOTHER",
        )
    return space


def read_kept(root: Path) -> dict[str, NDArray[Any]]:
    """Return what the space of an index keeps."""
    path = root / KEPT
    if not path.exists():
        return {}
    with reading(path):
        check_user_file(path)
        with safe_open(path, framework="np") as file:
            kept = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        for key, values in kept.items():
            if not np.isfinite(values).all():
                raise DataError(f"{path}: {key} holds NaN or infinity")
        return kept


def _built(plugins: Plugins, kind: str, chosen: Chosen, supplies: Mapping[str, Any]) -> Any:
    """Build a component whose options were checked when the index was made."""
    entry = plugins.get(kind, chosen.use)
    with entry.contained():
        cls = entry.load()
        positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
        names = [
            name
            for name, parameter in inspect.signature(cls).parameters.items()
            if parameter.kind is positional
        ]
        try:
            return cls(*(supplies[name] for name in names), **chosen.options)
        except TypeError as error:
            raise DataError(f"{kind} {chosen.use!r} does not take {chosen.options}") from error
