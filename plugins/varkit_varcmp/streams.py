"""Which stream an encoder reads, and that it has the width of the common space."""

from __future__ import annotations

from collections.abc import Mapping

from varkit.errors import VarkitError, did_you_mean


def only_expert(encoder: str, experts: tuple[str, ...]) -> str:
    """Return the one expert's name.

    Raises:
        VarkitError: there are several.
    """
    if len(experts) != 1:
        raise VarkitError(
            f"{encoder} needs exactly one expert; the recipe has {', '.join(experts)}",
            hint="let model.experts name only the stream of frames, as in [clip]",
        )
    return experts[0]


def only_stream(encoder: str, widths: Mapping[str, int], dim: int) -> str:
    """Return the name of a query's only stream.

    Raises:
        VarkitError: there is not exactly one stream, or it is not D wide.
    """
    if len(widths) != 1:
        raise VarkitError(
            f"{encoder}: a query has exactly one stream; these have {len(widths)}: "
            f"{', '.join(widths) or 'none'}",
            hint="the queries must be features, not captions; docs/data.md says how",
        )
    (name,) = widths
    check_width(encoder, name, widths, dim)
    return name


def check_width(
    encoder: str, stream: str, widths: Mapping[str, int], dim: int, *, several: bool = False
) -> None:
    """Check that a stream exists and is D wide, or with ``several`` a multiple of D.

    Raises:
        VarkitError: it is not.
    """
    if stream not in widths:
        raise VarkitError(
            f"{encoder}: there is no stream {stream!r}; the data has "
            f"{', '.join(widths) or 'none'}.{did_you_mean(stream, widths)}",
            hint="use the data's streams in model.experts and in the encoder's options",
        )
    width = widths[stream]
    if width % dim if several else width != dim:
        wanted = f"a multiple of model.dim = {dim}" if several else f"model.dim = {dim}"
        raise VarkitError(
            f"{encoder}: stream {stream!r} is {width} wide; it must be {wanted}, since videos and "
            "queries are compared in the features' own space",
            hint="use patches of the frames' width" if several else f"set model.dim={width}",
        )
