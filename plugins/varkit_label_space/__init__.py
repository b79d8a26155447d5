"""Search in words with classifiers: what they see and hear, matched with a sentence."""

from varkit import hookimpl
from varkit.plugins.registry import Register


@hookimpl
def register_spaces(register: Register) -> None:
    """Register the space."""
    register(
        "labels",
        "varkit_label_space.labels:Labels",
        summary="classes seen and heard, matched with a sentence through a text model",
    )


@hookimpl
def register_engines(register: Register) -> None:
    """Register the default engine, which is part of the core."""
    register(
        "exact",
        "varkit.search.exact:Exact",
        summary="a matrix product over a memory-mapped file: exact, the default",
    )
