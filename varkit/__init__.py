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
    from varkit.search.model import Encoded, Hit, Model, load

__version__ = "0.1.0"
__all__ = [
    "Encoded",
    "Hit",
    "Model",
    "__version__",
    "evaluate",
    "hookimpl",
    "load",
    "open_dataset",
    "train",
]
_LAZY = {
    **dict.fromkeys(("evaluate", "open_dataset", "train"), "varkit.runs.python_api"),
    **dict.fromkeys(("Encoded", "Hit", "Model", "load"), "varkit.search.model"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'varkit' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
