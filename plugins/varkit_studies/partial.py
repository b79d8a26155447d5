"""Selects some rows of a study, with the rows that they need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from varkit.errors import RecipeError, did_you_mean
from varkit_studies.study_file import Study


def choose_rows(study: Study, names: Sequence[str]) -> Study:
    """Return a study with some of its rows, in the file's order.

    These rows are added:

    - the rows whose models the chosen rows measure;
    - the reference, which differences are computed from;
    - rows that run nothing and that an exhibit names, since they cost nothing.

    Args:
        study: the whole study.
        names: the chosen rows.

    Raises:
        RecipeError: ``names`` is empty, or names rows that do not exist; all of these are listed.
    """
    known = study.rows
    if not any(names):
        raise RecipeError(
            [f"command line: --rows: name at least one row. Known: {', '.join(known)}."]
        )
    unknown = [name for name in names if name not in known]
    if unknown:
        raise RecipeError(
            [
                f"command line: --rows: no row {name!r}.{did_you_mean(name, known)} "
                f"Known: {', '.join(known)}."
                for name in unknown
            ]
        )
    needed = (*names, study.reference, *_shown_data(study))
    chosen = {row for name in needed for row in _with_bases(study, name)}
    return replace(
        study,
        rows={name: row for name, row in known.items() if name in chosen},
        left_out=tuple(name for name in known if name not in chosen),
    )


def _with_bases(study: Study, name: str) -> Iterator[str]:
    """Yield a row, the row that it measures, and so on up to the row that trains."""
    yield name
    base = study.rows[name].options.of
    if base is not None:
        yield from _with_bases(study, base)


def _shown_data(study: Study) -> Iterator[str]:
    """Yield the rows that run nothing and are named in an exhibit's options."""
    for shown in study.show:
        for value in shown.options.values():
            row = study.rows.get(value) if isinstance(value, str) else None
            if row is not None and not row.options.runs:
                yield row.name
