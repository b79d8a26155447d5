"""varkit: find the long video, and the moment in it, that a sentence or a sound describes.

Importing this package is cheap: it imports neither torch nor any plugin. The functions below are
imported when they are first used; ``docs/python.md`` shows them at work.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from varkit.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from varkit.runs.python_api import evaluate, open_dataset, train
    from varkit.search.hits import Hit, Moment
    from varkit.search.index import Index, open_index
    from varkit.search.model import Encoded, Match, Model, load
    from varkit.search.python_api import index
    from varkit.search.query import Filters

__version__ = "0.1.0"
__all__ = [
    "Encoded",
    "Filters",
    "Hit",
    "Index",
    "Match",
    "Model",
    "Moment",
    "__version__",
    "evaluate",
    "hookimpl",
    "index",
    "load",
    "open_dataset",
    "open_index",
    "train",
]
_LAZY = {
    **dict.fromkeys(("evaluate", "open_dataset", "train"), "varkit.runs.python_api"),
    **dict.fromkeys(("Encoded", "Match", "Model", "load"), "varkit.search.model"),
    **dict.fromkeys(("Hit", "Moment"), "varkit.search.hits"),
    **dict.fromkeys(("Index", "open_index"), "varkit.search.index"),
    "Filters": "varkit.search.query",
    "index": "varkit.search.python_api",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'varkit' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
