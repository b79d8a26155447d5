"""What is wrong with a data set: every fault at once, before anything is trained on it."""

from __future__ import annotations

from dataclasses import dataclass

from varkit.interfaces import Dataset


@dataclass(frozen=True)
class Survey:
    """A data set opened in spite of its faults.

    Attributes:
        dataset: what could be opened; None = nothing.
        faults: what must be put right before anybody trains on it.
        remarks: what one should know.
    """

    dataset: Dataset | None
    faults: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
