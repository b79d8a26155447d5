"""Videos described moment by moment: a query may be a sentence, or all of them as a paragraph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from varkit_datasets.importing.captions import Interval

Queries = Literal["paragraph", "sentences"]


def paragraph(
    texts: Sequence[str], moments: Sequence[Sequence[Interval]]
) -> tuple[list[str], list[Sequence[Interval]]]:
    """Return the sentences of a video as one query, in their order, and all of its moments.

    Retrieval of paragraphs is measured so (Zhang et al., ECCV 2018).
    """
    text = " ".join(text.strip() for text in texts if text.strip())
    return [text], [[moment for each in moments for moment in each]]
