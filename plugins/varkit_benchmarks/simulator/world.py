"""What can happen: scenes, actors, things, and events with their tools and targets.

A fixed camera shows one scene, so scene, actors and colours identify the *video*, while what moves
identifies the *event*.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from varkit_benchmarks.simulator.events import CRIMES, ORDINARY, VIOLENCE, Event

Task = Literal["text", "audio"]
Rng = np.random.Generator


SCENES = (
    "in a supermarket",
    "on the road",
    "at an intersection",
    "in a parking lot",
    "in front of a house",
    "in an office",
    "at a gas station",
    "in a restaurant",
    "on a bridge",
    "in a hotel lobby",
    "in a warehouse",
    "at a bus stop",
    "in a school yard",
    "in a bank",
    "in a park",
    "in a bar",
    "on a staircase",
    "in a hospital",
    "in a jewellery shop",
    "on a train platform",
)
COLOURS = ("black", "white", "red", "blue", "green", "yellow", "grey", "pink")
GARMENTS = ("shirt", "coat", "hat")
ACTORS = ("man", "woman", "boy", "old man")
COUNTS = ("one", "two", "several")
THINGS = ("bus", "truck", "tree", "shelf", "fence", "statue", "bicycle", "billboard")


@dataclass(frozen=True)
class Scenario:
    """What one video shows: one value a factor.

    ``scene`` to ``colour`` show in every clip; ``event`` to ``outcome`` in the event's clips only.
    """

    event: Event
    anomalous: bool
    target: str
    tool: str
    outcome: str
    scene: str
    night: bool
    actor: str
    count: str
    colour: str
    garment: str
    thing: str
    source: int

    def factors(self) -> dict[str, str]:
        """Return factor -> value, the names under which :mod:`.signals` shows them."""
        return {
            "event": self.event.name,
            "target": f"{self.event.name}/{self.target}",
            "tool": f"{self.event.name}/{self.tool}",
            "outcome": self.outcome,
            "scene": self.scene,
            "time": "night" if self.night else "day",
            "actor": f"{self.count} {self.actor}",
            "colour": f"{self.colour} {self.garment}",
            "thing": self.thing,
        }


def draw_scenario(rng: Rng, task: Task, *, anomalous: bool, test: bool, sources: int) -> Scenario:
    """Draw what a video shows.

    Args:
        rng: the video's own generator.
        task: captions (UCF-Crime's classes) or sounds (XD-Violence's).
        anomalous: whether something anomalous happens.
        test: whether the test split's shares of classes hold.
        sources: number of films and channels that videos are cut from.
    """
    events = (CRIMES if task == "text" else VIOLENCE) if anomalous else ORDINARY
    shares = np.array([event.share[test] for event in events], dtype=float)
    event = events[rng.choice(len(events), p=shares / shares.sum())]
    return Scenario(
        event=event,
        anomalous=anomalous,
        target=pick(rng, event.targets),
        tool=pick(rng, event.tools),
        outcome=pick(rng, event.outcomes),
        scene=pick(rng, SCENES),
        night=bool(rng.random() < event.night),
        actor=pick(rng, ACTORS),
        count=COUNTS[rng.choice(3, p=(0.6, 0.2, 0.2))],
        colour=COLOURS[rng.choice(8, p=(0.25, 0.25, 0.12, 0.12, 0.08, 0.06, 0.07, 0.05))],
        garment=pick(rng, GARMENTS),
        thing=pick(rng, THINGS),
        source=int(rng.integers(sources)),
    )


def near_copy(rng: Rng, scenario: Scenario) -> Scenario:
    """Return a scenario that differs in one factor of appearance only."""
    others = tuple(colour for colour in COLOURS if colour != scenario.colour)
    return replace(scenario, colour=pick(rng, others))


def pick(rng: Rng, values: tuple[str, ...]) -> str:
    """Draw one of some values, all equally likely."""
    return values[int(rng.integers(len(values)))]
