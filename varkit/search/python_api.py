"""Making an index from Python, like ``varkit index``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from varkit.recipe.layers import changes_of
from varkit.search.index import Index, open_index
from varkit.search.make import make_index


def index(
    videos: str | Path | None = None,
    *,
    out: str | Path = "index",
    recipe: str | Path | None = None,
    device: str = "cpu",
    split: str = "test",
    **overrides: Any,
) -> Index:
    """Index a folder of videos, or bring its index up to date, and open it.

    Args:
        videos: a folder, a file, or a store of features; None = the videos of a run's data set.
        out: folder of the index.
        recipe: a search recipe or a trained run; None = as the index was made, else ``labels``.
        device: where to compute.
        split: of a run's data set.
        overrides: of the recipe, as in ``windows={"seconds": 20}``.

    Returns:
        The index, opened: ``with varkit.index("footage") as index: index.search("a dog barks")``.

    Raises:
        MediaError: there is no such folder, or nothing in it.
        RecipeError: the recipe is wrong, or something that it needs is missing here.
        DataError: the index is damaged, or was made in another way.
        WriteError: the disk is full or not writable, or another process writes the index.
    """
    make_index(
        None if videos is None else Path(videos),
        Path(out),
        with_=None if recipe is None else str(recipe),
        changes=[change.text for change in changes_of(overrides, "varkit.index")],
        device=device,
        split=split,
    )
    return open_index(out)
