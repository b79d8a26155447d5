"""What batch normalisation needs to be trained."""

from __future__ import annotations

from varkit.errors import VarkitError
from varkit.system import distributed


def expect_batch(part: str, rows: int, *, instead: str = "") -> None:
    """Make sure that there is more than one row to take statistics of.

    Over W ranks the statistics are of all ranks' rows, which are at least W.

    Args:
        part: what is normalised, for the message.
        rows: of this rank.
        instead: another way out than a larger batch, for the hint.

    Raises:
        VarkitError: there is one row.
    """
    if rows == 1 and distributed.world_size() == 1:
        raise VarkitError(
            f"{part}: batch normalisation cannot train on a batch of 1",
            hint="set train.batch_size to at least 2" + (f", or {instead}" if instead else ""),
        )
