"""What can happen: the anomalous classes of UCF-Crime and XD-Violence, and the words for them.

Words are written as ``a dog | a puppy / a child``: a slash separates values, a bar the ways to say
a value. Features show the value, not the way it is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Task = Literal["text", "audio"]
"""``text``: UCF-Crime's classes and captions; ``audio``: XD-Violence's classes and sounds."""

NORMAL = "Normal"
"""The class of videos in which nothing anomalous happens."""

UCF_CRIME: Mapping[str, tuple[int, int]] = {
    # class: videos in training, in test
    NORMAL: (800, 150),
    "Abuse": (48, 2),
    "Arrest": (45, 5),
    "Arson": (41, 9),
    "Assault": (47, 3),
    "Burglary": (87, 13),
    "Explosion": (29, 21),
    "Fighting": (45, 5),
    "RoadAccidents": (127, 23),
    "Robbery": (145, 5),
    "Shooting": (27, 23),
    "Shoplifting": (29, 21),
    "Stealing": (95, 5),
    "Vandalism": (45, 5),
}

XD_CLASSES: Mapping[str, str] = {
    "A": NORMAL,
    "B1": "Fighting",
    "B2": "Shooting",
    "B4": "Riot",
    "B5": "Abuse",
    "B6": "Car accident",
    "G": "Explosion",
}

XD_LABELS: Mapping[str, tuple[int, int]] = {
    # label in the file's name: videos in training, in test
    "A": (2049, 300), "B1-0-0": (376, 107), "B6-0-0": (375, 93), "B4-0-0": (374, 99),
    "G-0-0": (272, 85), "B2-0-0": (232, 62), "B5-0-0": (31, 7), "B1": (1, 0), "G": (1, 0),
    "B1-B2-0": (47, 11), "B2-G-0": (44, 8), "G-B2-0": (27, 5), "B2-B6-0": (25, 4),
    "B2-B1-0": (19, 6), "B6-B2-0": (9, 2), "G-B6-0": (9, 0), "B2-G-B6": (5, 0), "B6-G-0": (5, 1),
    "B2-B5-0": (4, 2), "B1-B2-B6": (4, 1), "B1-B5-0": (4, 0), "B1-B2-G": (3, 0), "G-B2-B1": (3, 0),
    "B1-G-0": (3, 0), "B2-B6-G": (2, 2), "B4-B1-0": (2, 0), "B4-B2-B1": (2, 0), "B5-B2-0": (2, 0),
    "B6-B2-G": (2, 0), "B2-B6-B1": (2, 0), "B1-B6-0": (2, 1), "B1-B4-0": (2, 0),
    "B1-B2-B5": (2, 0), "B5-B1-B2": (2, 0), "B6-G-B2": (1, 0), "B5-B1-0": (1, 0),
    "B4-B1-G": (1, 0), "B2-B5-G": (1, 0), "G-B2-B6": (1, 1), "B6-B4-0": (1, 0), "G-B1-0": (1, 0),
    "B1-B5-B6": (1, 0), "B2-B1-B5": (1, 0), "B2-G-B1": (1, 0), "B4-B2-0": (1, 0),
    "B4-B5-B1": (1, 0), "B4-G-0": (0, 1), "B5-B6-0": (0, 1), "B4-B5-0": (0, 1),
}  # fmt: skip


def classes_of(label: str) -> tuple[str, ...]:
    """Return the classes of a label in its order; ``0`` is padding.

    >>> classes_of("G-B2-0")
    ('Explosion', 'Shooting')
    """
    return tuple(XD_CLASSES[part] for part in label.split("-") if part != "0")


Ways = tuple[str, ...]
"""Ways to say a value; the first is its name."""

Subject = Literal["actor", "vehicle", "target"]


@dataclass(frozen=True)
class Event:
    """A kind of event.

    Attributes:
        name: the class, or an everyday activity.
        places: where it happens, keys of :data:`.scenarios.SCENES`; likely ones are repeated.
        verbs: ways to say it, which look the same in a video.
        targets: to whom or what it happens; a video shows one.
        tools: with what, or how; a video shows one.
        outcomes: how it ends.
        actors: words for the people who do it that add nothing to the event.
        subject: what a caption begins with. ``actor``: someone does it to the target; ``vehicle``:
            the target does it to the tool ("a truck hit a tree"); ``target``: it happens to the
            target ("a truck exploded").
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


_CRIMES = (
    make_event(
        "Abuse",
        "home indoor indoor street",
        "beat | kicked | pushed | abused | slapped | hit | dragged | mistreated",
        "a dog | a puppy | the dog on the ground | a small pet / "
        "a child | a little kid | a toddler | the kids / "
        "an old woman | an elderly lady | the grandmother in the wheelchair / "
        "a patient | the patient on the bed | a disabled person / a cat | a kitten",
        "with a stick | with a broom | with a wooden rod / "
        "with a belt | with a leash | with a rope / "
        "with bare hands | with both fists | with the palm / by the hair | by the ears / "
        "with a slipper | with a heel",
        "walked away | went out / threw it to the ground | hurled it to the floor / "
        "went on beating | kept hitting / locked the door | shut the door / laughed | smiled",
        actors="teacher / nurse / carer / owner",
    ),
    make_event(
        "Arrest",
        "road street parking shop home",
        "arrested | handcuffed | pressed down | surrounded | caught | subdued | captured",
        "a suspect | the suspect | the criminal | a fugitive / "
        "a driver | the driver of the car | a motorist / a thief | the thief | a pickpocket / "
        "a drunk man | a drunkard | a troublemaker / a wanted woman | a female suspect",
        "with drawn guns | at gunpoint / with a police dog | with police dogs / "
        "following a chase | in a long pursuit | following a fierce struggle / "
        "on the ground | on the hood of a car / with an electric baton | with a taser",
        "put him into a police car | escorted him to the station / took him away | led him away / "
        "searched him | frisked him / called for help | asked for support",
        actors="policeman / police officer / officer / policeman",
    ),
    make_event(
        "Arson",
        "shop home street parking indoor",
        "set fire to | ignited | burned | lit | torched | set light to",
        "the door of a house | the front door | the entrance of a villa / "
        "a parked car | a sedan | a pickup truck | a car / "
        "a pile of garbage | a trash can | some rubbish | a heap of newspapers / "
        "a store | the shelves | a stall | a kiosk / a sofa | a mattress | the curtains / "
        "a Christmas tree | a haystack",
        "with gasoline | with petrol | with a can of gasoline | with flammable liquid / "
        "with a torch | with a burning rag / with a Molotov cocktail | with a burning bottle / "
        "with a lighter | with matches",
        "ran away | fled at once | escaped / watched the flames | looked at the blaze / "
        "was burned | hurt himself / left by bicycle | rode off",
        actors="arsonist / masked person / teenager",
    ),
    make_event(
        "Assault",
        "street indoor public indoor",
        "attacked | beat up | knocked down | assaulted | struck | ambushed | punched",
        "a passer-by | a pedestrian | a stranger / a waiter | a bartender | an employee / "
        "a bus driver | a driver / a student | a schoolboy | a classmate / "
        "a lone woman | a female jogger / a doorman | a bouncer",
        "with a bat | with a baseball bat | with a club / with a bottle | with a beer bottle / "
        "from behind | from the back / with an elbow | with a heavy punch | with a kick / "
        "with a hammer | with a brick",
        "fled | ran off | got away / took the wallet | grabbed the purse / "
        "left the victim on the ground | left him lying there / "
        "was stopped by guards | was held by bystanders",
        actors="attacker / hooligan / drunkard",
    ),
    make_event(
        "Burglary",
        "home shop parking indoor",
        "broke into | forced open | burgled | entered | pried open | sneaked into | climbed into",
        "a house | the villa | an apartment | the residence / "
        "a car | a parked car | a truck | a camper / "
        "a cash machine | the ATM | a cash box / a store | the shop | a boutique / "
        "an office | the meeting room | a workplace / a warehouse | a storeroom | the basement / "
        "a safe | a strongbox | a locker",
        "with a crowbar | with an iron rod | with pliers / "
        "with a hammer | with a sledgehammer | with an axe / "
        "through the window | through a broken window | through the skylight / "
        "through the back door | by picking the lock / with a car | with a truck and a rope",
        "stole the cash | took the money | emptied the drawers / "
        "carried off a television | removed the computers | took the laptop / "
        "escaped | slipped away | vanished / was scared by a dog | was frightened by the alarm / "
        "searched the rooms | rummaged through the cabinets",
        actors="thief / burglar / masked person / thief",
    ),
    make_event(
        "Explosion",
        "industry road parking street indoor",
        "exploded | blew up | burst | detonated | went up",
        "a gas tank | a gas cylinder | the fuel tank / a car | a vehicle | the engine of a car / "
        "a truck | a tanker | a lorry / a factory | the chemical plant | a workshop / "
        "a restaurant | the kitchen | a cooking stove / "
        "a mobile phone | a battery | a power bank / a transformer | an electric box",
        "with thick smoke | with clouds of smoke | with dense fumes / "
        "with a huge flame | with a fireball | with fierce flames / "
        "with flying glass | with flying debris | with shattered windows / "
        "with a loud bang | with a shock wave / with sparks | in a shower of sparks",
        "caught fire | burned fiercely | burst into flames / collapsed | fell apart / "
        "made people flee | drove everyone out / "
        "was put out by firefighters | was sprayed with foam",
        subject="target",
    ),
    make_event(
        "Fighting",
        "street public shop indoor",
        "fought with | punched | beat | brawled with | wrestled with | scuffled with",
        "the guards | the security guard | the bouncers / "
        "another customer | a rival customer | the cashier / "
        "a gang of youths | some youths | the students / a neighbour | the landlord | a relative / "
        "the players | an opponent | the referee / some strangers | other passengers",
        "with chairs | with stools | with tables / with sticks | with poles | with clubs / "
        "with fists | with fists and feet | hand to hand / with knives | with bottles / "
        "over a parking space | over a seat | over the bill",
        "fell to the ground | tumbled to the floor / was pulled apart | was separated by others / "
        "called the police | shouted for help / shook hands | made peace",
        actors="customer / young person / passenger",
    ),
    make_event(
        "RoadAccidents",
        "road road road street",
        "crashed into | collided with | hit | ran into | rammed | knocked down | bumped into | "
        "rear-ended",
        "a car | a sedan | a taxi | a sports car / a truck | a lorry | a pickup truck / "
        "a motorcycle | a motorbike | a scooter / a bus | a coach | a school bus / "
        "a van | a minivan | an ambulance / a train | a tram",
        "another car | the car ahead | an oncoming vehicle / "
        "a pedestrian | a passer-by | an old lady / a cyclist | a bicycle | a boy on a bike / "
        "a tree | a lamp post | a pole / "
        "the guardrail | the barrier | a concrete wall / "
        "a motorcyclist | a motorcycle | an electric bike / a cow | some sheep | a deer",
        "overturned | rolled over | flipped onto its roof / caught fire | began to burn / "
        "drove away | fled the scene | sped off / fell into the ditch | slid off the road / "
        "stopped | came to a halt / spun around | lost a wheel",
        subject="vehicle",
    ),
    make_event(
        "Robbery",
        "shop shop shop shop street indoor",
        "robbed | threatened | held up | snatched money from | overpowered",
        "the clerk | the store clerk | the cashier | the shop assistant | the shopkeeper / "
        "an old couple | an elderly person | a pensioner / "
        "a taxi driver | a courier | a delivery man / "
        "a bank teller | the bank staff | the counter staff / "
        "a woman with a handbag | a female customer | a lady / "
        "the guests | the diners | some customers",
        "with a gun | with a pistol | with a shotgun | at gunpoint / "
        "with a knife | with a machete | at knifepoint | with a dagger / "
        "with an axe | with a hammer | with an iron pipe / "
        "with a bag over the head | with violent blows | with bare hands / "
        "with pepper spray | with a syringe",
        "took the cash | emptied the register | grabbed the money in the drawer / "
        "fled on a motorcycle | drove off / ran away | escaped through the door | took flight / "
        "was hit by the owner | was chased by the clerk / tied up the staff | locked up the staff",
        actors="gunman / robber / masked person / armed person",
    ),
    make_event(
        "Shooting",
        "street road parking home shop indoor",
        "shot | fired at | shot at | gunned down",
        "a policeman | an officer | the patrol / a rival | a gangster | an enemy / "
        "a dog | a stray dog / the driver | a driver at the wheel | the passenger / "
        "a house | the windows | the front door / a shopkeeper | the owner | a guard",
        "with a pistol | with a handgun | with a revolver / "
        "with a rifle | with a shotgun | with a machine gun / "
        "from a car | through the car window | from a moving vehicle / "
        "from behind a wall | from the roof | from cover",
        "fled | ran away | escaped / fell to the ground | collapsed / was killed | was shot dead / "
        "hid behind a car | took cover / drove away | left by car",
        actors="gunman / shooter / sniper",
    ),
    make_event(
        "Shoplifting",
        "shop",
        "hid | stuffed | pocketed | stole | put | slipped",
        "some clothes | a dress | a pair of trousers | underwear / "
        "a phone | a tablet | headphones / bottles of wine | a bottle of liquor | cans of beer / "
        "a necklace | a bracelet | jewels | a ring / cosmetics | perfume | a lipstick / "
        "snacks | chocolate | packs of meat / a handbag | a wallet | shoes",
        "in a bag | in a backpack | in a handbag / "
        "under the coat | under the robe | under the skirt / "
        "in a stroller | in a pram | in a shopping cart / "
        "in a pocket | in the sleeve | in the waistband / under the hat | between the legs",
        "left | walked out | left the place calmly / paid for a drink | bought something small / "
        "distracted the clerk | chatted with the clerk / "
        "was noticed by the owner | was caught at the door",
        actors="customer / thief / shopper",
    ),
    make_event(
        "Stealing",
        "parking home home street road",
        "stole | took away | made off with | carried off | took | loaded up",
        "a motorcycle | a motorbike | things from a car | valuables from a truck / "
        "a car | a jeep | a parked car | a van / a bicycle | a mountain bike | a bike / "
        "the wheels of a car | the tires of a car | a car battery | a car radio / "
        "a package | a parcel | a box on the porch / fuel | diesel | copper cables / "
        "a suitcase | tools | a generator | a lawn mower",
        "with a van | with a truck | with a trailer / "
        "from the yard | from the courtyard | from the garden / "
        "by cutting the lock | by breaking the chain | by smashing a window / "
        "from the roadside | from the kerb | from the driveway / "
        "with a master key | with a wire | with a screwdriver",
        "drove away | sped away | left by car / rode off | pedalled away / "
        "ran away | climbed over the fence | jumped over the wall / looked around | kept watch / "
        "dropped it | left it at the corner",
        actors="thief / thief / masked person",
    ),
    make_event(
        "Vandalism",
        "street shop parking public",
        "smashed | kicked in | destroyed | scratched | broke | damaged | scribbled on | trashed",
        "a car window | a windshield | the side mirror | the paint of a car / "
        "the door of the store | the glass door | the front of a shop / "
        "a traffic sign | a road sign | a street lamp / a wall | a mural | a fence | a monument / "
        "a vending machine | a ticket machine | a parking meter / "
        "a mailbox | flower pots | a bench | the camera",
        "with a stone | with a rock | with a brick | with pebbles / "
        "with an iron bar | with a bat | with a golf club / "
        "with a shopping cart | with a trolley | with a barrier / "
        "with spray paint | with paint | with a marker / with a key | with a nail / "
        "with feet | with a flying kick",
        "ran away | fled | ran off laughing / walked on | strolled on / "
        "threw another one | went on smashing | did it once more / "
        "was stopped by a passer-by | was seen by a guard",
        actors="vandal / teenager / hooligan",
    ),
)

CRIMES: Mapping[str, Event] = {event.name: event for event in _CRIMES}
"""UCF-Crime's 13 classes."""


def _violence(name: str, targets: str, tools: str) -> Event:
    return make_event(name, "street road indoor public", name.lower(), targets, tools, "ended")


_VIOLENCE = (
    _violence(
        "Fighting", "two fighters / a crowd / guards", "with fists / with sticks / with chairs"
    ),
    _violence(
        "Shooting", "soldiers / gangsters / policemen", "with a pistol / with a rifle / from a car"
    ),
    _violence("Riot", "a square / a street / a stadium", "with fire / with stones / with shields"),
    _violence("Abuse", "a child / a prisoner / a woman", "with a belt / with hands / with words"),
    _violence(
        "Car accident", "a car / a truck / a motorcycle", "into a wall / over the edge / into a bus"
    ),
    _violence("Explosion", "a house / a tank / a plane", "with smoke / with flames / with debris"),
)
VIOLENCE: Mapping[str, Event] = {event.name: event for event in _VIOLENCE}
"""XD-Violence's 6 classes. No caption names them, so a few words are enough."""
