"""Annotations that limit what a recipe option accepts, or say what its text means."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt

Count = Annotated[int, Ge(1)]
"""A recipe option: a whole number of at least 1."""
Natural = Annotated[int, Ge(0)]
"""A recipe option: a whole number of at least 0."""
Positive = Annotated[float, Gt(0)]
"""A recipe option: a number above 0."""
NonNegative = Annotated[float, Ge(0)]
"""A recipe option: a number of at least 0."""
Fraction = Annotated[float, Ge(0), Le(1)]
"""A recipe option: a number from 0 to 1, both included."""
Rate = Annotated[float, Ge(0), Lt(1)]
"""A recipe option: a number from 0 to below 1, such as a dropout rate."""


@dataclass(frozen=True)
class IsPath:
    """Marks an option whose text is a path."""


Place = Annotated[str, IsPath()]
"""A recipe option: the path of a file or folder. If it is relative, it counts from the working
directory in which a run began, wherever the run is opened later."""
