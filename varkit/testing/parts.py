"""Which parts an encoder gives, and which ones an alignment or a pretext task asks for.

Nobody declares them. They are seen when the component works on the kit's inputs, built from its
``example`` or its defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from varkit.interfaces import Representation
from varkit.testing.component import example
from varkit.testing.pretexts import make_inputs
from varkit.testing.probes import evaluation
from varkit.testing.stand_ins import TEXTS, make_clips, make_representation


@dataclass(frozen=True)
class Part:
    """A part of a representation.

    Attributes:
        name: such as ``vectors.cls`` or ``tokens.object``.
        shape: in the letters of :mod:`varkit.interfaces`, such as ``(B, E, D)``.
        side: whose representation; None for the encoder's own.
    """

    name: str
    shape: str
    side: Literal["video", "query"] | None = None


def parts_of(kind: str, component: type[Any]) -> tuple[Part, ...]:
    """Return the parts that an encoder gives, or that an alignment or a pretext task asks for.

    Args:
        kind: of the component; other kinds than these three have no parts.
        component: its class.

    Raises:
        ConformanceError: it cannot be built.
        MissingError: this machine cannot run it.
    """
    if kind not in ("encoder", "alignment", "pretext"):
        return ()
    with example(kind, component) as (built, _, supplied), evaluation(built):
        if kind == "encoder":
            return tuple(_given(built, supplied["widths"], supplied["dim"]))
        asked: dict[Part, None] = {}
        sizes = {"dim": supplied["dim"], "experts": supplied["experts"]}
        if kind == "alignment":
            video = _noted(make_representation("video", 3, **sizes), "video", asked)
            query = _noted(make_representation("query", 2, **sizes), "query", asked)
            built.similarity(video, query)
            built.factors(video, "video")
            built.factors(query, "query")
        else:
            video, query, batch = make_inputs(supplied["query_encoder"], **sizes)
            built(_noted(video, "video", asked), _noted(query, "query", asked), batch)
        return tuple(asked)


def _given(encoder: Any, widths: Mapping[str, int], dim: int) -> Iterator[Part]:
    clips = encoder.consumes == "clips"
    inputs = make_clips(widths) if clips else encoder.tokenize(TEXTS)
    made: Representation = encoder(inputs)
    length = inputs.mask.shape[1]
    yield from (Part(f"vectors.{name}", "(B, E, D)") for name in made.vectors)
    yield from (Part(f"weights.{name}", "(B, E)") for name in made.weights)
    for name, part in made.tokens.items():
        whole = "T" if clips else "L"
        count = whole if part.shape[1] == length else "1" if part.shape[1] == 1 else "N"
        width = "D" if part.shape[2] == dim else "H"
        yield Part(f"tokens.{name}", f"(B, {count}, {width})")
    if made.scores is not None:
        yield Part("scores", "(B, T)")
    yield from (Part(f"picks.{name}", "(B, N)") for name in made.picks)


def _noted(
    whole: Representation, side: Literal["video", "query"], asked: dict[Part, None]
) -> Representation:
    """Return a representation that notes which of its parts are read."""

    def noted(kind: str, shape: str) -> _Noted:
        parts: Mapping[str, Tensor] = getattr(whole, kind)

        def note(name: str) -> None:
            single = kind == "tokens" and name in parts and parts[name].shape[1] == 1
            own = shape.replace("L", "1") if single else shape
            asked[Part(f"{kind}.{name}", own, side)] = None

        return _Noted(parts, note)

    return Representation(
        vectors=noted("vectors", "(B, E, D)"),
        weights=noted("weights", "(B, E)"),
        tokens=noted("tokens", "(B, L, D)"),
        masks=whole.masks,
    )


class _Noted(dict[str, Tensor]):
    """Parts by name, with a function that is told each name that is read."""

    def __init__(self, parts: Mapping[str, Tensor], note: Callable[[str], None]) -> None:
        super().__init__(parts)
        self.note = note

    def __getitem__(self, name: str) -> Tensor:
        self.note(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401  # would call itself

    def values(self) -> Any:
        return [self[name] for name in self]

    def items(self) -> Any:
        return [(name, self[name]) for name in self]
