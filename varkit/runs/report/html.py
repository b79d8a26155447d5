"""The only Jinja environment; it escapes all values."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from varkit.runs.report.tables import plain
from varkit.system.inputs import read_user_file


def render(template: Path, **values: Any) -> str:
    """Return a page; its template may include ``style.css`` of this folder.

    Args:
        template: the file.
        values: its variables; a missing variable is an error.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    environment.filters["data_uri"] = data_uri
    return environment.get_template(template.name).render(**values)


def data_uri(picture: Path) -> str:
    """Return a PNG file as a ``data:`` URI."""
    return f"data:image/png;base64,{base64.b64encode(read_user_file(picture)).decode()}"
