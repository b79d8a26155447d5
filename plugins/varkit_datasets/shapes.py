"""Shapes of feature files, from their headers; errors say which video a file belongs to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from varkit.errors import DataError
from varkit_datasets.arrays import shape
from varkit_datasets.features import check_shape
from varkit_datasets.sources import FeatureError, Source


@contextmanager
def named(where: str) -> Iterator[None]:
    """Add to an error in a feature file which video it belongs to."""
    try:
        yield
    except FeatureError as error:
        raise DataError(f"{where} {error}") from error


def shape_of(source: Source, width: int | None, where: str) -> tuple[int, ...]:
    """Return an array's (T, D) or (C, T, D).

    Args:
        source: the array.
        width: the D that is expected; None = any.
        where: the video it belongs to.

    Raises:
        DataError: the header cannot be read, or has another shape.
    """
    with named(f"{where}: {source}"):
        dims = shape(source)
        check_shape(dims, width)
    return dims


def common_width(sources: Iterable[tuple[Source, str]]) -> int:
    """Return the D that most of the readable arrays have.

    Args:
        sources: at least one array, each with the video it belongs to.

    Raises:
        DataError: none can be read, or their axes seem to be swapped.
    """
    shapes: list[tuple[int, ...]] = []
    unreadable: list[DataError] = []
    for source, where in sources:
        try:
            shapes.append(shape_of(source, None, where))
        except DataError as error:
            unreadable.append(error)
    if not shapes:
        raise unreadable[0]
    if order := _swapped_axes(shapes):
        right, axes, instead = "(T, D)", "-2, -1", ""
        if "crops" in order:
            right, axes, instead = "(crops, T, D)", "0, 1", ", or set a folder's option crops_axis"
        raise DataError(
            f"{where}: {source} and other files seem to hold {order}: expected {right}",
            hint=f"write them again after numpy's array.swapaxes({axes}){instead}",
        )
    return Counter(dims[-1] for dims in shapes).most_common(1)[0][0]


def _swapped_axes(shapes: Sequence[tuple[int, ...]]) -> str | None:
    """Return the axes in order if "T" is the same in all arrays but another axis is not."""
    if len({dims[-2] for dims in shapes}) > 1 or len(shapes) < 3:
        return None
    if _mostly_differ([dims[-1] for dims in shapes]):
        return "(D, T)"
    crops = [dims[0] for dims in shapes if len(dims) == 3]
    return "(T, crops, D)" if _mostly_differ(crops) else None


def _mostly_differ(values: Sequence[int]) -> bool:
    return len(set(values)) > max(1, len(values) // 2)
