"""Looks after an index: is it whole, and what does it hold?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from varkit.errors import VarkitError
from varkit.search.facts import read_facts
from varkit.search.gallery import Gallery
from varkit.search.health import ailments
from varkit.search.parts import open_engine, plugins_of
from varkit.search.shards import check_shard, read_shard

PROBED = 64
"""Rows of each channel that are looked up by the engine."""


def verify(root: Path) -> list[str]:
    """Return everything that is wrong with an index.

    Every shard is compared with its hash. Every engine must have the ids of the catalogue, and
    score some rows as their shards do.

    Raises:
        DataError: the index or its catalogue cannot be read.
    """
    facts = read_facts(root)
    problems: list[str] = []
    with Gallery(root) as gallery:
        members = gallery.members()
    for member in members:
        try:
            check_shard(root, member.shard, member.sha256)
            spans = read_shard(root, member.shard).spans
            if len(spans) != member.windows:
                problems.append(f"{member.name}: {len(spans)} windows, not {member.windows}")
        except VarkitError as error:
            problems.append(f"{member.name}: {error.what}")
    every = [member.ids for member in members]
    ids = np.concatenate(every) if every else np.zeros(0, np.int64)
    plugins = plugins_of(facts)
    for name in facts.channels:
        engine: Any = open_engine(root, facts, name, plugins)
        try:
            there = engine.ids()
            for what, wrong in (
                ("lacks", np.setdiff1d(ids, there)),
                ("has unknown", np.setdiff1d(there, ids)),
            ):
                if len(wrong):
                    problems.append(f"engine of {name}: it {what} {len(wrong):,} rows")
            if not problems:
                problems += _probe(root, name, engine, members, facts)
        except VarkitError as error:
            problems.append(f"engine of {name}: {error.what}")
        finally:
            engine.close()
    return problems


def health(root: Path) -> list[str]:
    """Return what is wrong with the vectors of an index: see :mod:`varkit.search.health`.

    Raises:
        DataError: it cannot be read.
    """
    facts, problems = read_facts(root), []
    with Gallery(root) as gallery:
        members = gallery.members()
    shards = [read_shard(root, m.shard) for m in members[:: max(1, len(members) // PROBED)]]
    for name, channel in facts.channels.items():
        rows = np.array([shard.rows[name][0] for shard in shards], np.float32)
        problems += ailments(name, rows.reshape(-1, channel.width))
    return problems


def _probe(root: Path, name: str, engine: Any, members: Any, facts: Any) -> list[str]:
    """Compare what the engine says of some rows with their shards."""
    step, problems = max(1, len(members) // PROBED), []
    block, part = facts.channels[name].blocks[0], facts.channels[name].slices[0]
    for member in members[::step]:
        row = read_shard(root, member.shard).rows[name][0]
        query = np.zeros_like(row)
        query[part] = row[part]
        if not row[part].any() or block.log:
            continue
        found = engine.search(query[None], 1)[0]
        own = float(query @ row) * block.weight
        if len(found.scores) and found.scores[0] < own - 1e-2 * max(1.0, abs(own)):
            problems.append(f"engine of {name}: the row of {member.name} differs from its shard")
    return problems


def stats(root: Path) -> dict[str, Any]:
    """Return what an index holds.

    Raises:
        DataError: it cannot be read.
    """
    facts = read_facts(root)
    with Gallery(root) as gallery:
        members = gallery.members()
        cameras = gallery.cameras()
    size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
    starts = sorted(member.start for member in members if member.start is not None)
    from varkit.search.query import iso

    return {
        "index": str(root),
        "made_with": facts.name,
        "simulated": facts.simulated,
        "videos": len(members),
        "windows": sum(member.windows for member in members),
        "hours": round(sum(member.duration for member in members) / 3600, 2),
        "damaged": sum(1 for member in members if member.note),
        "cameras": len(cameras),
        "first_recording": iso(starts[0]) if starts else None,
        "last_recording": iso(starts[-1]) if starts else None,
        "channels": ", ".join(f"{n} ({c.width})" for n, c in facts.channels.items()),
        "engine": facts.engine.use,
        "megabytes": round(size / 1e6, 1),
    }
