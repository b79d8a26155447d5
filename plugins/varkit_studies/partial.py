"""Some rows of a study alone, with what they rest on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from varkit.errors import RecipeError, did_you_mean
from varkit_studies.study import Study


def choose_rows(study: Study, names: Sequence[str]) -> Study:
    """Return a study of some of its rows, in the file's order.

    The rows whose models they measure come along, and so does the reference: without it nothing
    could be said of the others but their figures. So do rows that run nothing, where an exhibit
    names them: they cost nothing.

    Args:
        study: the whole.
        names: the rows.

    Raises:
        RecipeError: none is named; there is no such row, with all that there are not.
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
    taken = (*names, study.reference, *_shown_data(study))
    wanted = {one for name in taken for one in _with_bases(study, name)}
    return replace(
        study,
        rows={name: row for name, row in known.items() if name in wanted},
        left_out=tuple(name for name in known if name not in wanted),
    )


def _with_bases(study: Study, name: str) -> Iterator[str]:
    """Yield a row, the row that it measures, and so on to the one that trains."""
    yield name
    above = study.rows[name].options.of
    if above is not None:
        yield from _with_bases(study, above)


def _shown_data(study: Study) -> Iterator[str]:
    """Yield the rows that run nothing and that an exhibit's options name."""
    for shown in study.show:
        for value in shown.options.values():
            row = study.rows.get(value) if isinstance(value, str) else None
            if row is not None and not row.options.runs:
                yield row.name
