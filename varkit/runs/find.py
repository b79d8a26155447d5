"""Finds runs by name, for every verb and function that takes one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from varkit.errors import RunError, did_you_mean
from varkit.system.records import read_json

RUNS = Path("runs")
"""Where runs lie unless ``--out`` says otherwise."""
LATEST = "latest"


def find_run(name: str | Path) -> Path:
    """Return the folder of a run.

    Args:
        name: the folder, or its path below :data:`RUNS`. The last part may be ``latest``: the
            newest run of a recipe, finished or not; ``latest`` alone is the newest of all recipes.

    Raises:
        RunError: there is no such run; with the nearest that there is.
    """
    places = (Path(name), RUNS / name)
    for place in places:
        if (place / "run.json").exists():
            return place
    if places[0].name == LATEST and (newest := _newest(place.parent for place in places)):
        return newest
    own = [run for place in places for run in trained_runs(place.parent)]
    every = {str(run): None for run in [*own, *trained_runs(RUNS)] if run not in places}
    recipes = {str(Path(run).parent / LATEST): None for run in every}
    absent = "there is no run" if not places[0].exists() else "is not a run: it has no run.json"
    what = f"{absent} {name}" if not places[0].exists() else f"{name} {absent}"
    near = did_you_mean(str(name), [*every, *recipes]) or did_you_mean(str(places[1]), recipes)
    hint = "name a folder runs/<recipe>/<time>-<id>, or runs/<recipe>/latest"
    raise RunError(
        f"{what}.{near}", hint=hint if every else "varkit run RECIPE makes a run, below runs/"
    )


def trained_runs(folder: Path) -> list[Path]:
    """Return the runs in a folder and one level below it, oldest first; no measurements of others.

    Runs with a damaged ``run.json`` are left out.
    """
    runs = []
    for file in [*folder.glob("*/run.json"), *folder.glob("*/*/run.json")]:
        facts = _facts(file)
        if "started" in facts and "measured_from" not in facts:
            runs.append((str(facts["started"]), file.stat().st_mtime_ns, file.parent))
    return [run for _, _, run in sorted(runs)]


def _newest(folders: Iterable[Path]) -> Path | None:
    """Return the newest run in the first of these folders that has any."""
    return next((runs[-1] for folder in folders if (runs := trained_runs(folder))), None)


def _facts(file: Path) -> dict[str, Any]:
    try:
        return read_json(file, dict[str, Any])
    except RunError:
        return {}
