"""What a run's text encoder makes of its captions: told and checked before the first step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from typing_extensions import TypedDict

from varkit.data.batches import caption_of
from varkit.errors import DataError, PluginError, RecipeError
from varkit.interfaces import CaptionFacts, Dataset

SPLITS = ("train", "val", "test")
MOST_UNKNOWN = 0.5
"""The largest share of unknown tokens with which a run trains."""
NOTABLE = 0.05
"""The share of unknown tokens above which a remark is made."""

if TYPE_CHECKING:
    CaptionCounts = dict[str, int]
else:  # what a file must hold
    CaptionCounts = TypedDict("CaptionCounts", {f.name: int for f in fields(CaptionFacts)})

Facts = Mapping[str, CaptionCounts]
"""Split -> :class:`varkit.interfaces.CaptionFacts` as a dictionary."""


def read_captions(encoder: Any, dataset: Dataset) -> dict[str, dict[str, int]]:
    """Return what a text encoder says of the captions of each split.

    Args:
        encoder: of the queries; see :class:`varkit.interfaces.TextEncoder`.
        dataset: gives the captions.

    Returns:
        :data:`Facts`; empty if queries are sounds or the encoder says nothing.

    Raises:
        RecipeError: the encoder does not know most of the tokens of a split.
        PluginError: its method returns something else.
    """
    describe = getattr(encoder, "caption_facts", None)
    if describe is None or dataset.query_kind != "captions":
        return {}
    facts: dict[str, dict[str, int]] = {}
    for split in SPLITS:
        try:
            items = dataset.split(split)
        except DataError:  # the data set has no such split
            continue
        own = describe([caption_of(dataset, query) for item in items for query in item.queries])
        if not isinstance(own, CaptionFacts):
            raise PluginError(
                f"{type(encoder).__name__}.caption_facts returned {type(own).__name__} instead of "
                "CaptionFacts"
            )
        facts[split] = asdict(own)
    problems = [
        f"query: the text encoder does not know {_share(own):.0%} of the words or word pieces in "
        f"the {split} captions"
        for split, own in facts.items()
        if _share(own) > MOST_UNKNOWN
    ]
    if problems:
        raise RecipeError(
            problems,
            hint="its vocabulary must be of the captions' language, and cased only if they are",
        )
    return facts


def told(facts: Facts) -> Iterator[str]:
    """Yield a sentence on the captions of each split, and remarks."""
    for split in filter(facts.__contains__, SPLITS):
        own = facts[split]
        yield (
            f"{split} captions: {own['captions']:,} distinct; {_share(own):.1%} of their "
            f"{own['tokens']:,} tokens are unknown to the text encoder; {own['cut']:,} are cut, "
            f"{own['equal']:,} are then equal to another"
        )
        if _share(own) > NOTABLE:
            yield f"remark: do the {split} captions and the text encoder have the same language?"
        if own["equal"]:
            yield (
                f"remark: the text encoder must read more tokens (query.max_tokens) to tell all "
                f"{split} captions apart"
            )


def _share(own: Mapping[str, int]) -> float:
    return own["unknown"] / max(own["tokens"], 1)
