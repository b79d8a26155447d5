"""What an index is: the file ``index.json``, written once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from varkit.errors import DataError
from varkit.interfaces.searching import Channel, Streamed
from varkit.search.channels import from_json, to_json
from varkit.system.files import write_json
from varkit.system.inputs import read_user_file, reading

NAME = "index.json"
VERSION = 1


@dataclass(frozen=True)
class Chosen:
    """A component and its complete options."""

    use: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """What an index is made of.

    Attributes:
        name: of the recipe, or of the run.
        precision: of rows, ``float16`` or ``float32``.
        engine: keeps the rows.
        channels: by name.
        space: in which videos and queries are compared; None = a run's.
        run: folder, seed and checkpoint of a trained run; None = there is none.
        media: the folder of media; None = the videos of the run's data set.
        store: the folder of streams, if it is not the index's own.
        extract: extractor's name -> the component.
        hears: those of them that read sound.
        plugins: files of plugins.
        streams: what the space reads.
        fingerprints: of the extractors, by name.
        windows: options of :class:`varkit.search.windows.WindowOptions`; None = whole videos.
        concepts: the sentences that make a clip anomalous.
        origin: what decides the space's numbers.
        simulated: whether the videos are made by a program.
    """

    name: str
    precision: str
    engine: Chosen
    channels: Mapping[str, Channel]
    space: Chosen | None = None
    run: Mapping[str, Any] | None = None
    media: str | None = None
    store: str | None = None
    extract: Mapping[str, Chosen] = field(default_factory=dict)
    hears: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    streams: Mapping[str, Streamed] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    windows: Mapping[str, float] | None = None
    concepts: tuple[str, ...] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)
    simulated: bool = False

    def channel_for(self, asks: str) -> list[str]:
        """Return the channels that answer queries of a sort."""
        return [name for name, channel in self.channels.items() if asks in channel.answers]


def write_facts(root: Path, facts: Facts) -> None:
    """Write ``index.json``."""
    whole = asdict(facts)
    whole["channels"] = {name: to_json(channel) for name, channel in facts.channels.items()}
    write_json(root / NAME, {"version": VERSION, **whole})


def read_facts(root: Path) -> Facts:
    """Read ``index.json``.

    Raises:
        DataError: it is missing, damaged, or of another version.
    """
    path = root / NAME
    if not path.exists():
        raise DataError(
            f"there is no index {root}: it has no {NAME}",
            hint="varkit index VIDEOS makes one, in the folder index unless --out says otherwise",
        )
    with reading(path, hint="varkit index VIDEOS --out ANOTHER makes a new one"):
        value = json.loads(read_user_file(path))
        if not isinstance(value, dict) or value.pop("version", None) != VERSION:
            raise DataError(f"{path} is not of version {VERSION}, which this varkit reads")
        value["channels"] = {name: from_json(each) for name, each in value["channels"].items()}
        value["streams"] = {
            name: Streamed(each["key"], each["width"], tuple(each["classes"]))
            for name, each in value["streams"].items()
        }
        value["engine"] = Chosen(**value["engine"])
        value["space"] = None if value["space"] is None else Chosen(**value["space"])
        value["extract"] = {name: Chosen(**each) for name, each in value["extract"].items()}
        for key in ("hears", "plugins", "concepts"):
            value[key] = tuple(value[key])
        return Facts(**value)
