"""Extractors: what turns the pictures and the sound of media files into streams."""

from varkit import hookimpl
from varkit.plugins.registry import Register


@hookimpl
def register_extractors(register: Register) -> None:
    """Register the extractors."""
