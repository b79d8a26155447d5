"""Which stream an encoder reads, and that it has the width of the common space."""

from __future__ import annotations

from collections.abc import Mapping

from varkit.errors import VarkitError, did_you_mean


def only_expert(encoder: str, experts: tuple[str, ...]) -> str:
    """Return the one expert's name.

    Raises:
        VarkitError: there are several: in one space there is nothing to weight them by.
    """
    if len(experts) != 1:
        raise VarkitError(
            f"{encoder}: a space of its own has one expert; the recipe has {', '.join(experts)}",
            hint="let model.experts name the stream of frames alone, as in [clip]",
        )
    return experts[0]


def only_stream(encoder: str, widths: Mapping[str, int], dim: int) -> str:
    """Return the name of a query's one stream, whatever it is.

    Raises:
        VarkitError: there is not exactly one, or it is not D wide.
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
    """Make sure that a stream is there and D wide, or a multiple of it.

    Raises:
        VarkitError: it is not.
    """
    if stream not in widths:
        raise VarkitError(
            f"{encoder}: there is no stream {stream!r}; the data has "
            f"{', '.join(widths) or 'none'}.{did_you_mean(stream, widths)}",
            hint="let model.experts and the encoder's options name the data's streams",
        )
    width = widths[stream]
    if width % dim if several else width != dim:
        wanted = f"a multiple of model.dim = {dim}" if several else f"model.dim = {dim}"
        raise VarkitError(
            f"{encoder}: stream {stream!r} is {width} wide; it must be {wanted}, since videos and "
            "queries are compared in the space they come in",
            hint="give patches of the frames' width" if several else f"set model.dim={width}",
        )
