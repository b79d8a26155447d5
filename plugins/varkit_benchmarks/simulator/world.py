"""What a fixed camera shows: a scene, who is in it, and an event with its target and tool.

Scene, actors and colours identify the *video*; what moves identifies the *event*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np

from varkit_benchmarks.simulator.daily import ORDINARY, SHARES
from varkit_benchmarks.simulator.events import Event, Ways, values
from varkit_benchmarks.simulator.quantiles import Rng as Rng
from varkit_benchmarks.simulator.quantiles import Values

Task = Literal["text", "audio"]
Item = TypeVar("Item")

SCENES: Mapping[str, tuple[Ways, ...]] = {
    "shop": values(
        "in a supermarket | in the fresh food section of a supermarket / "
        "in a convenience store | in a grocery store / "
        "in a clothing store | in a fashion boutique / in a jewellery store | in a gold shop / "
        "in a phone shop | in an electronics store / in a shopping mall | in a department store / "
        "in a pharmacy | in a drugstore / in a bakery | in a cake shop / "
        "in a liquor store | in a wine shop / in a hardware store | in a furniture store / "
        "in a flower shop | in a bookstore / at a market | at a fruit stall / "
        "in a pawn shop | in a barber shop"
    ),
    "road": values(
        "on the road | in the middle of the road / "
        "at an intersection | at a crossroads | at a T-junction / "
        "on a highway | on the motorway | on the expressway / on a bridge | under a bridge / "
        "at a roundabout | on a ring road / in a tunnel | in an underpass / "
        "on a mountain road | on a country lane / at a railway crossing | at a level crossing"
    ),
    "street": values(
        "on the street | on a street corner / on the sidewalk | on the pavement / "
        "in an alley | in a narrow lane / on a zebra crossing | on a crosswalk / "
        "at a bus stop | at a tram stop / on a square | in a plaza / "
        "in front of a theatre | in front of a cinema / in a pedestrian zone"
    ),
    "parking": values(
        "in a parking lot | in an open-air parking lot / in a garage | in an underground garage / "
        "at a gas station | at a petrol station / in a driveway | on a gravel drive / "
        "at a car wash | in a repair garage / at the roadside | by the side of the road"
    ),
    "home": values(
        "in front of a house | at the door of a house / "
        "in a yard | in a courtyard | in a backyard / in a bedroom | in a dormitory / "
        "in a living room | in a parlour / on a porch | on a veranda / "
        "in a kitchen | in a dining room / at the gate of a villa | in a residential area / "
        "in a garden | in an orchard"
    ),
    "indoor": values(
        "in an office | in an open-plan office / in a hotel lobby | at a reception desk / "
        "in a bank | in a bank branch / "
        "in a restaurant | in a fast food restaurant | in a noodle house / "
        "in a bar | in a pub | in a nightclub / in a hospital ward | in a clinic | in a hospital / "
        "in a corridor | in a hallway / in an elevator | in a lift / "
        "in a classroom | in a kindergarten / in a waiting room | in a lounge / "
        "in a gym | in a billiard hall / in a bus | inside a subway carriage / "
        "in a cafe | in a teahouse"
    ),
    "industry": values(
        "in a warehouse | in a storeroom / in a factory | in a factory building / "
        "in a workshop | in a machine shed / on a construction site | on a building site / "
        "at a loading dock | at a freight yard / at a power plant | at a chemical plant / "
        "in a barn | on a farm"
    ),
    "public": values(
        "in a park | on a lawn / on a train platform | in a subway station / "
        "at an airport | in a departure hall / in a stadium | on a sports field / "
        "on a playground | in a school yard / at a swimming pool | on a beach / "
        "in an exhibition hall | in a museum / in a library | in a town hall / "
        "at a ticket office | in a station hall"
    ),
}
"""Kind of place -> scenes."""

THINGS: Mapping[str, tuple[Ways, ...]] = {
    "shop": values(
        "a shelf | a rack / a refrigerator | a freezer / a counter | a checkout / "
        "a mannequin | a poster / a mirror | a display case"
    ),
    "road": values(
        "a traffic light | a signal light / a bus | a coach / a truck | a trailer / "
        "a billboard | a road sign / a crash barrier | traffic cones / a crane | a lamp post"
    ),
    "street": values(
        "a tree | a row of trees / a bus shelter | a bench / a kiosk | a newsstand / "
        "a statue | a fountain / a dustbin | a hydrant / a parked bicycle | a bicycle rack"
    ),
    "parking": values(
        "a truck | a tow truck / a minivan | a row of cars / a fuel pump | an air pump / "
        "a pillar | a concrete wall / a motor home | a container"
    ),
    "home": values(
        "a fence | a hedge / a staircase | a ladder / a sofa | an armchair / "
        "a gate | an iron gate / a lawn mower | a garden hose / a kennel | a swing"
    ),
    "indoor": values(
        "a table | a desk / a plant | a flower pot / a door | a glass door / "
        "a television | a large screen / a wardrobe | a filing cabinet / a clock | a painting"
    ),
    "industry": values(
        "a stack of boxes | a pile of pallets / a forklift | a lifting platform / "
        "a machine | a conveyor belt / a tank | a pipe / a heap of sand | a heap of bricks"
    ),
    "public": values(
        "a fence | a railing / a statue | a monument / a ticket machine | an information desk / "
        "a tent | a stage / a tree | a flower bed / a flag | a banner"
    ),
}
"""Kind of place -> things that stand around there."""

COLOURS = ("white", "black", "red", "blue", "yellow", "green", "grey", "orange", "pink", "brown")
COLOUR_SHARES = (0.3, 0.27, 0.11, 0.11, 0.05, 0.05, 0.04, 0.03, 0.02, 0.02)
GARMENTS = ("shirt", "coat", "hat", "trousers", "dress")
ACTORS = ("man", "woman", "young man", "boy", "girl", "old man", "old woman")
ACTOR_SHARES = (0.46, 0.22, 0.1, 0.07, 0.05, 0.06, 0.04)
CREW = "policeman"
"""Who arrests, whatever actor is drawn."""
SEVERAL = {"one": 0.8, "several": 0.2}
"""How many act where the caption does not count them."""
COUNTED = {"two": 0.5, "several": 0.5}
"""How many where it does."""


ALTERABLE = ("colour", "scene", "tool", "target", "thing")
"""Factors in which a video may differ from its like."""


@dataclass(frozen=True)
class Scenario:
    """What one video shows: one value a factor, empty where a factor is not known.

    ``scene`` to ``thing`` show in every clip; ``event`` to ``outcome`` in the event's clips only.
    """

    event: Event
    anomalous: bool
    target: str = ""
    tool: str = ""
    outcome: str = ""
    place: str = ""
    scene: str = ""
    time: str = ""
    actor: str = ""
    count: str = ""
    colour: str = ""
    garment: str = ""
    thing: str = ""

    def factors(self) -> dict[str, str]:
        """Return factor -> value, the names under which :mod:`.signals` shows them."""
        found = {
            "event": self.event.name,
            "target": self.target and f"{self.event.name}/{self.target}",
            "tool": self.tool and f"{self.event.name}/{self.tool}",
            "outcome": self.outcome,
            "scene": self.scene,
            "time": self.time,
            "actor": f"{self.count} {self.actor}".strip(),
            "colour": f"{self.colour} {self.garment}".strip(),
            "thing": self.thing,
        }
        return {factor: value for factor, value in found.items() if value}


def draw_scenario(
    rng: Rng, event: Event, *, anomalous: bool, night: bool = False, counted: bool = False
) -> Scenario:
    """Draw what a video shows.

    Args:
        rng: the video's own generator.
        event: what happens.
        anomalous: whether that is an anomaly.
        night: whether it happens at night.
        counted: whether it is more than one who do it.
    """
    counts = COUNTED if counted else SEVERAL
    place = event.places[int(rng.integers(len(event.places)))]
    garment = "vehicle" if event.subject == "vehicle" else pick(rng, GARMENTS)
    actor = pick(rng, ACTORS, ACTOR_SHARES)
    return Scenario(
        event=event,
        anomalous=anomalous,
        target=pick(rng, event.targets)[0],
        tool=pick(rng, event.tools)[0],
        outcome=pick(rng, event.outcomes)[0],
        place=place,
        scene=pick(rng, SCENES[place])[0],
        time="night" if night else "day",
        actor=CREW if event.name == "Arrest" else actor,
        count=pick(rng, tuple(counts), tuple(counts.values())),
        colour=pick(rng, COLOURS, COLOUR_SHARES),
        garment=garment,
        thing=pick(rng, THINGS[place])[0],
    )


def draw_ordinary(rng: Rng) -> Event:
    """Draw what happens where nothing anomalous does."""
    return pick(rng, ORDINARY, [SHARES[event.name] for event in ORDINARY])


def altered(rng: Rng, scenario: Scenario, factor: str) -> Scenario:
    """Return a scenario that differs in one of the factors :data:`ALTERABLE`."""
    known: Mapping[str, Sequence[Ways]] = {
        "target": scenario.event.targets,
        "tool": scenario.event.tools,
        "scene": SCENES[scenario.place],
        "colour": [(colour,) for colour in COLOURS],
        "thing": THINGS[scenario.place],
    }
    others = [ways[0] for ways in known[factor] if ways[0] != getattr(scenario, factor)]
    changed: dict[str, Any] = {factor: pick(rng, others)}
    return replace(scenario, **changed)


def pick(rng: Rng, items: Sequence[Item], shares: Sequence[float] | Values | None = None) -> Item:
    """Draw one of some items: by their shares, or the earlier the likelier (Zipf's law)."""
    weights = np.asarray(shares if shares is not None else 1 / np.arange(1, len(items) + 1))
    return items[int(rng.choice(len(items), p=weights / weights.sum()))]


def way(rng: Rng, ways: Ways) -> str:
    """Draw a way to say something; the first is much the commonest, as with all words."""
    return pick(rng, ways, np.arange(1.0, len(ways) + 1) ** -1.6)
