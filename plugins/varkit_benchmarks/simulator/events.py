"""What an event is, and the violent ones of XD-Violence.

UCF-Crime's are in :mod:`.crimes`, what happens on ordinary days in :mod:`.daily`. Their words are
written as ``a dog | a puppy / a child``: values apart by a slash, ways to say one by a bar. What is
meant shows in the features; how it is said does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Ways = tuple[str, ...]
"""Ways to say a value; the first is its name."""

Subject = Literal["actor", "vehicle", "target"]


@dataclass(frozen=True)
class Event:
    """A kind of event.

    Attributes:
        name: the class, or what ordinary people do.
        places: kinds of scenes where it happens, from :data:`.world.SCENES`; the likelier ones
            are there more than once.
        verbs: ways to say it; they look the same.
        targets: to whom or what it happens; one is drawn, and shows.
        tools: with what, or how; one is drawn, and shows.
        outcomes: how it ends.
        actors: words for who does it that tell no more than the event does.
        subject: what a caption's first clause is about. ``vehicle``: the target does something to
            the tool ("a truck hit a tree"); ``target``: it happens to it ("a truck exploded").
    """

    name: str
    places: tuple[str, ...]
    verbs: Ways
    targets: tuple[Ways, ...]
    tools: tuple[Ways, ...]
    outcomes: tuple[Ways, ...]
    actors: tuple[str, ...] = ()
    subject: Subject = "actor"


def values(words: str) -> tuple[Ways, ...]:
    """Return the values of a line of words, each with its ways to say it.

    >>> values("a dog | a puppy / a child")
    (('a dog', 'a puppy'), ('a child',))
    """
    return tuple(tuple(way.strip() for way in value.split("|")) for value in words.split(" / "))


def make_event(
    name: str,
    places: str,
    verbs: str,
    targets: str,
    tools: str,
    outcomes: str,
    *,
    actors: str = "",
    subject: Subject = "actor",
) -> Event:
    """Return an event from lines of words."""
    return Event(
        name,
        tuple(places.split()),
        values(verbs)[0],
        values(targets),
        values(tools),
        values(outcomes),
        tuple(way for (way, *_) in values(actors)) if actors else (),
        subject,
    )


def _violence(name: str, targets: str, tools: str) -> Event:
    return make_event(name, "street road indoor public", name.lower(), targets, tools, "ended")


_VIOLENCE = (
    _violence(
        "Fighting", "two fighters / a crowd / guards", "with fists / with sticks / with chairs"
    ),
    _violence(
        "Shooting",
        "soldiers / gangsters / policemen",
        "with a pistol / with a rifle / from a car",
    ),
    _violence("Riot", "a square / a street / a stadium", "with fire / with stones / with shields"),
    _violence("Abuse", "a child / a prisoner / a woman", "with a belt / with hands / with words"),
    _violence(
        "Car accident",
        "a car / a truck / a motorcycle",
        "into a wall / over the edge / into a bus",
    ),
    _violence("Explosion", "a house / a tank / a plane", "with smoke / with flames / with debris"),
)
VIOLENCE: Mapping[str, Event] = {event.name: event for event in _VIOLENCE}
