"""How many words captions have and what they mention, by split and class, as in UCFCrime-AR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from varkit_benchmarks.simulator.classes import NORMAL
from varkit_benchmarks.simulator.quantiles import (
    Rng,
    apportion,
    choose,
    deal,
    interpolate,
    stratified,
)


@dataclass(frozen=True)
class Wish:
    """What a caption is to be like.

    Attributes:
        words: how many, at about.
        colour: whether it names one.
        night: whether it says that it is night.
        day: whether it says that it is day.
        counted: whether it says that more than one did it.
        ordered: whether it says what came before, after or meanwhile.
    """

    words: int
    colour: bool = False
    night: bool = False
    day: bool = False
    counted: bool = False
    ordered: bool = False


_WORDS: Mapping[tuple[str, bool], Mapping[float, float]] = {
    # (split, anomalous): percent -> words
    ("train", False): {0.13: 4, 5: 7, 10: 8, 25: 10, 50: 13, 75: 18, 90: 22, 95: 25, 99.87: 44},
    ("train", True): {0.13: 6, 5: 9, 10: 10, 25: 13, 50: 17, 75: 21, 90: 25, 95: 28, 99.87: 45},
    ("test", False): {0.67: 9, 5: 11, 10: 12, 25: 14, 50: 18.5, 75: 22, 90: 28, 95: 32, 99.33: 46},
    ("test", True): {0.72: 9, 5: 11, 10: 13, 25: 16, 50: 18, 75: 21, 90: 25, 95: 29, 99.28: 33},
}
_NAMED: Mapping[tuple[str, bool], Mapping[str, float]] = {
    # (split, anomalous): share of captions that name something
    ("train", False): {
        "colour": 0.296, "night": 0.048, "day": 0.054, "counted": 0.341, "ordered": 0.118,
    },
    ("train", True): {
        "colour": 0.506, "night": 0.227, "day": 0.088, "counted": 0.412, "ordered": 0.263,
    },
    ("test", False): {
        "colour": 0.307, "night": 0.047, "day": 0.113, "counted": 0.367, "ordered": 0.12,
    },
    ("test", True): {
        "colour": 0.371, "night": 0.193, "day": 0.014, "counted": 0.25, "ordered": 0.186,
    },
}  # fmt: skip
_BY_CLASS: Mapping[str, Mapping[str, float]] = {
    # share by class; where a class is absent, 0.02
    "colour": {
        NORMAL: 0.3, "Abuse": 0.6, "Arrest": 0.54, "Arson": 0.16, "Assault": 0.08,
        "Burglary": 0.51, "Explosion": 0.22, "Fighting": 0.34, "RoadAccidents": 0.67,
        "Robbery": 0.67, "Shooting": 0.42, "Shoplifting": 0.4, "Stealing": 0.56,
        "Vandalism": 0.3,
    },
    "night": {
        NORMAL: 0.05, "Abuse": 0.08, "Arrest": 0.04, "Arson": 0.54, "Assault": 0.3,
        "Burglary": 0.3, "Explosion": 0.18, "Fighting": 0.2, "RoadAccidents": 0.19,
        "Robbery": 0.11, "Shooting": 0.14, "Stealing": 0.33, "Vandalism": 0.54,
    },
    "day": {
        NORMAL: 0.06, "Arson": 0.06, "Assault": 0.14, "Burglary": 0.12, "RoadAccidents": 0.25,
        "Stealing": 0.08,
    },
}  # fmt: skip


def draw_wishes(rng: Rng, split: str, kinds: Sequence[str]) -> list[Wish]:
    """Draw what the captions of a split are to be like, from the videos' classes."""
    wishes = [Wish(0)] * len(kinds)
    for anomalous in (False, True):
        places = [i for i, kind in enumerate(kinds) if (kind != NORMAL) == anomalous]
        count = len(places)
        drawn = interpolate(_WORDS[split, anomalous], stratified(rng, count))
        words = deal(drawn.round().astype(int), rng.random(count))
        of = [kinds[place] for place in places]
        named: dict[str, set[int]] = {}
        for what, share in _NAMED[split, anomalous].items():
            taken = named["night"] if what == "day" else set()
            weights = [0 if i in taken else max(w - 5, 0.2) for i, w in enumerate(words)]
            named[what] = _choose(rng, _BY_CLASS.get(what, {}), of, weights, round(share * count))
        for i, (place, length) in enumerate(zip(places, words, strict=True)):
            wishes[place] = Wish(int(length), **{what: i in found for what, found in named.items()})
    return wishes


def _choose(
    rng: Rng,
    shares: Mapping[str, float],
    kinds: Sequence[str],
    weights: Sequence[float],
    count: int,
) -> set[int]:
    """Return ``count`` places: to every class its share of them, within a class by weight."""
    members = {kind: [i for i, other in enumerate(kinds) if other == kind] for kind in {*kinds}}
    expected = [shares.get(kind, 0.02) * len(found) for kind, found in sorted(members.items())]
    chosen: set[int] = set()
    for (_, found), part in zip(sorted(members.items()), apportion(count, expected), strict=True):
        few = choose(rng, [weights[i] for i in found], part)
        chosen |= {found[i] for i in few}
    return chosen
