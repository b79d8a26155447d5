"""What encoders ask of a recipe before anything is built: streams and samplers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from varkit.errors import VarkitError, did_you_mean
from varkit.interfaces import Sampler


def expect_streams(encoder: str, experts: Sequence[str], widths: Mapping[str, int]) -> None:
    """Make sure that every expert has a stream.

    Raises:
        VarkitError: one has none.
    """
    for expert in experts:
        if expert not in widths:
            raise VarkitError(
                f"{encoder}: expert {expert!r} has no stream of that name; the data has "
                f"{', '.join(widths) or 'none'}.{did_you_mean(expert, widths)}",
                hint="let model.experts name the data's streams",
            )


def expect_samplers(encoder: str, samplers: Mapping[str, Sampler], *, count: int = 50) -> None:
    """Make sure that there is a sampler; ``count`` clips are what the hint asks for.

    Raises:
        VarkitError: there is none.
    """
    if not samplers:
        raise VarkitError(
            f"{encoder}: the recipe has no sampler to choose clips",
            hint=f"add to the recipe: samplers: {{fixed: {{use: fixed_frame, count: {count}}}}}",
        )
