"""The kinds of events: their classes, how often they occur, and the words for them.

Classes and shares are those of UCF-Crime (its training and test lists) and XD-Violence; verbs,
nouns and how often it is night follow the benchmark's captions of each class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Event:
    """A kind of event.

    Attributes:
        name: the class.
        share: how often it occurs in training and in test, relative to events of its side.
        verbs: ways to say it; they look the same.
        targets: to whom or what it happens; one is drawn, and shows.
        tools: with what, or how; one is drawn, and shows.
        night: how often it happens at night.
        subject: who does it in the caption's first place: an actor, the police, or the target.
        outcomes: how it ends.
    """

    name: str
    share: tuple[float, float]
    verbs: tuple[str, ...]
    targets: tuple[str, ...]
    tools: tuple[str, ...]
    night: float = 0.1
    subject: Literal["actor", "police", "target"] = "actor"
    outcomes: tuple[str, ...] = ("fled", "drove away", "was caught", "left quickly")


def _event(
    name: str,
    share: tuple[float, float],
    verbs: str,
    targets: str,
    tools: str,
    night: float = 0.1,
    subject: Literal["actor", "police", "target"] = "actor",
) -> Event:
    verb_words, target_words, tool_words = (
        tuple(words.split(" / ")) for words in (verbs, targets, tools)
    )
    return Event(name, share, verb_words, target_words, tool_words, night, subject)


CRIMES = (
    _event(
        "Abuse",
        (50, 2),
        "beat / kicked / pushed",
        "a dog / a child / an old woman",
        "with a stick / with a belt / with bare hands",
        0.15,
    ),
    _event(
        "Arrest",
        (50, 5),
        "arrested / handcuffed / pressed down",
        "a driver / a thief / a drunk man",
        "with a police dog / with drawn guns / after a chase",
        0.1,
        "police",
    ),
    _event(
        "Arson",
        (50, 9),
        "set fire to / ignited / burned",
        "the door of a house / a parked car / a pile of garbage",
        "with gasoline / with a torch / with a Molotov cocktail",
        0.9,
    ),
    _event(
        "Assault",
        (50, 3),
        "attacked / beat up / knocked down",
        "a passer-by / a waiter / a bus driver",
        "with a bat / with a bottle / from behind",
        0.5,
    ),
    _event(
        "Burglary",
        (100, 13),
        "broke into / forced open / stole from",
        "a house / a cash machine / an office",
        "with a crowbar / with a hammer / through the window",
        0.5,
    ),
    _event(
        "Explosion",
        (50, 21),
        "exploded / blew up / burst",
        "a gas tank / a truck / a factory",
        "with thick smoke / with a huge flame / with flying glass",
        0.3,
        "target",
    ),
    _event(
        "Fighting",
        (50, 5),
        "fought with / punched / beat",
        "a group of youths / the guards / another customer",
        "with chairs / with sticks / with fists",
        0.3,
    ),
    _event(
        "RoadAccidents",
        (150, 23),
        "crashed into / collided with / hit",
        "a truck / a motorcycle / a bus",
        "a tree / a cyclist / another car",
        0.3,
        "target",
    ),
    _event(
        "Robbery",
        (150, 5),
        "robbed / threatened / held up",
        "the clerk / an old couple / a taxi driver",
        "with a gun / with a knife / with an axe",
        0.2,
    ),
    _event(
        "Shooting",
        (50, 23),
        "shot / fired at / opened fire on",
        "a policeman / a rival / a dog",
        "with a pistol / with a rifle / from a car",
        0.25,
    ),
    _event(
        "Shoplifting",
        (50, 21),
        "hid / stuffed / pocketed",
        "some clothes / a phone / bottles of wine",
        "in a bag / under the coat / in a stroller",
        0.05,
    ),
    _event(
        "Stealing",
        (100, 5),
        "stole / took away / made off with",
        "a motorcycle / a package / a bicycle",
        "from the yard / with a van / after cutting the lock",
        0.6,
    ),
    _event(
        "Vandalism",
        (50, 5),
        "smashed / kicked in / destroyed",
        "the door of the store / a car window / a traffic sign",
        "with a stone / with an iron bar / with a shopping cart",
        0.9,
    ),
)

VIOLENCE = (
    _event(
        "Fighting",
        (481, 126),
        "fought",
        "two fighters / a crowd / guards",
        "with fists / with sticks / with chairs",
    ),
    _event(
        "Shooting",
        (442, 104),
        "shot",
        "soldiers / gangsters / policemen",
        "with a pistol / with a rifle / from a car",
    ),
    _event(
        "Riot",
        (384, 101),
        "rioted",
        "a square / a street / a stadium",
        "with fire / with stones / with shields",
    ),
    _event(
        "Abuse",
        (50, 11),
        "abused",
        "a child / a prisoner / a woman",
        "with a belt / with hands / with words",
    ),
    _event(
        "CarAccident",
        (444, 106),
        "crashed",
        "a car / a truck / a motorcycle",
        "into a wall / over the edge / into a bus",
    ),
    _event(
        "Explosion",
        (382, 103),
        "exploded",
        "a house / a tank / a plane",
        "with smoke / with flames / with debris",
    ),
)

ORDINARY = (
    _event(
        "Walking",
        (3, 3),
        "walked past / strolled by / passed",
        "the entrance / the counter / a fountain",
        "with a dog / with a stroller / holding an umbrella",
        0.08,
    ),
    _event(
        "Shopping",
        (2, 2),
        "bought / picked out / paid for",
        "some fruit / a newspaper / new shoes",
        "with a basket / with a credit card / in no hurry",
        0.05,
    ),
    _event(
        "Working",
        (2, 2),
        "worked on / repaired / typed at",
        "a computer / a machine / the ceiling lamp",
        "with a screwdriver / on a ladder / wearing a helmet",
        0.05,
    ),
    _event(
        "Parking",
        (2, 2),
        "parked / moved / turned around",
        "a delivery van / a taxi / a trailer",
        "next to the kerb / with the help of a guard / in one go",
        0.12,
    ),
    _event(
        "Talking",
        (2, 2),
        "talked to / greeted / joked with",
        "a neighbour / the receptionist / a postman",
        "over coffee / while smoking / holding a phone",
        0.05,
    ),
    _event(
        "Waiting",
        (1, 1),
        "waited for / looked out for / queued for",
        "a train / a friend / the lift",
        "sitting on a bench / leaning on the wall / reading",
        0.1,
    ),
    _event(
        "Cleaning",
        (1, 1),
        "cleaned / swept / wiped",
        "the floor / the windows / a table",
        "with a mop / with a broom / with a cloth",
        0.1,
    ),
    _event(
        "Playing",
        (1, 1),
        "played with / chased / threw",
        "a ball / a kite / a toy car",
        "on a skateboard / laughing / in the rain",
        0.05,
    ),
)
