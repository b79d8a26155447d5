"""The report of a run: tables, charts and the page with both."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from varkit.errors import VarkitError


def write_report(run: Path) -> Path:
    """Write a run's page, ``report.html``, from the files of the run; return its path.

    Raises:
        VarkitError: the extra ``report`` is not installed.
        RunError: the folder is not a run, or one of its files is damaged.
    """
    absent = [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]
    if absent:
        raise VarkitError(
            f"the page of a run needs {' and '.join(absent)}",
            hint=f"pip install 'varkit[report]', then varkit report {run}",
        )
    from varkit.runs.report.page import write_page

    return write_page(Path(run))
