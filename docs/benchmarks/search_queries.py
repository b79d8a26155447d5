"""Queries with which ``search_quality.py`` measures search, and what they should find.

All were written after looking at pictures of the videos, without hearing them, and before the first
search; none was changed, added or removed after a score was seen. The videos are public ones:
``bottle-detection``, ``car-detection`` and ``one-by-one-person-detection`` of intel-iot-devkit's
sample videos; ``car_accident``, ``earthquake`` and ``robbery`` of HolmesVAU's examples; two of
mmaction2's; ``nasa_13013`` of torchcodec's tests; two of video_features' samples (ActivityNet).
"""

from __future__ import annotations

from dataclasses import dataclass

BOTTLES, CARS, PERSONS = "bottle-detection", "car-detection", "one-by-one-person-detection"
CRASH, QUAKE, ROBBERY = "car_accident", "earthquake", "robbery"
WRESTLING, MAKEUP = "mmaction2_demo", "mmaction2_test"
TELESCOPE, WEIGHTS, DOG = "nasa_13013", "v_GGSY1Qvo990", "v_ZNVhz7ctTq0"


@dataclass(frozen=True)
class Query:
    """A sentence and what it describes.

    Attributes:
        text: the sentence.
        videos: the right videos, by the stems of their names.
        moments: start and end in seconds, where in the only right video it is to be seen; empty =
            in all of it, or in several videos.
    """

    text: str
    videos: tuple[str, ...]
    moments: tuple[tuple[float, float], ...] = ()


QUERIES = (
    Query("three plastic water bottles on a table", (BOTTLES,)),
    Query(
        "a hand takes a bottle away",
        (BOTTLES,),
        ((5.6, 7.3), (15.6, 18.0), (30.8, 32.2)),
    ),
    Query(
        "somebody puts a bottle down",
        (BOTTLES,),
        ((11.2, 13.5), (22.0, 24.6), (27.2, 28.9), (34.9, 36.6)),
    ),
    Query("one bottle stands alone", (BOTTLES,), ((18.1, 22.1),)),
    Query("cars on a car park seen from above", (CARS,)),
    Query("a red car drives past", (CARS,), ((15.2, 18.6),)),
    Query("a white car", (CARS,), ((4.4, 8.5), (25.3, 28.0))),
    Query("wet asphalt", (CARS,)),
    Query("a car is thrown into the air by an explosion", (CRASH,), ((0.2, 2.3),)),
    Query("white smoke rises behind a crowd on a square", (CRASH,)),
    Query("pedestrians run away from a blast", (CRASH,), ((1.6, 4.0),)),
    Query("people running in the street", (CRASH, QUAKE)),
    Query("an earthquake in a shopping street", (QUAKE,)),
    Query("a green van parked at the side of the road", (QUAKE,)),
    Query("a man in a white shirt crosses the street", (QUAKE,), ((5.8, 9.6),)),
    Query("two boys arm wrestling", (WRESTLING,)),
    Query("a boy with a white baseball cap at a wooden table", (WRESTLING,)),
    Query("people sit and eat in a school canteen", (WRESTLING,)),
    Query("a woman puts on eye shadow", (MAKEUP,)),
    Query("a makeup lesson in front of a webcam", (MAKEUP,)),
    Query("a woman's face close to the camera", (MAKEUP,)),
    Query("engineers work on a space telescope", (TELESCOPE,)),
    Query("golden hexagonal mirrors", (TELESCOPE,)),
    Query(
        "a technician in white overalls on a lifting platform, seen from near",
        (TELESCOPE,),
        ((5.5, 8.3),),
    ),
    Query("a person stands at a small round table", (PERSONS,)),
    Query(
        "a woman with long fair hair",
        (PERSONS,),
        ((6.8, 19.4), (50.2, 69.4)),
    ),
    Query("a man in a grey shirt and blue jeans", (PERSONS,), ((123.5, 136.0),)),
    Query("a wooden floor in an empty room", (PERSONS,)),
    Query("a burglar picks the lock of a door", (ROBBERY,), ((0.0, 6.5), (12.5, 18.5))),
    Query("a masked man comes close to a security camera", (ROBBERY,), ((29.7, 43.8),)),
    Query("a dark living room at night", (ROBBERY,), ((50.6, 98.8),)),
    Query("shoes on a shoe rack", (ROBBERY,), ((6.5, 29.0),)),
    Query("text messages on the screen of a phone", (ROBBERY,), ((98.8, 101.3),)),
    Query("a thief breaks into a flat", (ROBBERY,)),
    Query("weightlifting", (WEIGHTS,)),
    Query("a woman lifts a heavy barbell over her head", (WEIGHTS,)),
    Query("an athlete drops the weights on the floor", (WEIGHTS,), ((15.7, 17.6),)),
    Query("a training hall with advertisements on the wall", (WEIGHTS,)),
    Query("a small white dog on a leash", (DOG,)),
    Query("a child walks the dog", (DOG,)),
    Query("a lawn beside a path in a suburb", (DOG,)),
    Query("a fluffy puppy comes towards us on the pavement", (DOG,)),
)

ELSEWHERE = (
    "a sailing boat on the open sea",
    "a cat asleep on a cushion",
    "surgeons operate on a patient",
    "a penalty kick in a football stadium",
    "a horse jumps over a fence",
    "skiers race down a snowy slope",
    "an airliner lands on a runway",
    "a cook fries noodles in a wok",
    "a violinist plays in an orchestra",
    "elephants drink at a water hole",
    "a hot air balloon above the hills",
    "a surfer rides a big wave",
    "a lion hunts a zebra",
    "a steam train crosses a bridge",
    "a barber cuts a man's hair",
    "a couple dances a tango",
    "penguins on the ice",
    "a volcano spits lava",
    "a farmer milks a cow",
    "a potter shapes a bowl on the wheel",
    "a tennis player serves",
    "children build a sandcastle on the beach",
    "a bride cuts the wedding cake",
    "a diver among coral and fish",
    "a bee collects pollen from a flower",
    "a priest reads in church",
    "a fisherman pulls in a net",
    "a baby laughs in the bath",
    "fireworks over a harbour",
    "a helicopter picks up a climber",
    "a carpenter saws a board",
    "a drummer on a stage",
    "an eagle glides over a canyon",
    "a swimmer dives into a pool",
    "a waterfall in the jungle",
    "a tractor ploughs a field",
    "people play chess in a park",
    "a gymnast on the balance beam",
    "a snake swallows an egg",
    "a scientist looks through a microscope",
)
"""Sentences that describe nothing in these videos."""

SOUNDS = {
    "001 - Dog bark": "a dog barking",
    "002 - Rain": "rain falling",
    "003 - Sea waves": "waves of the sea",
    "004 - Baby cry": "a baby crying",
    "005 - Clock tick": "a clock ticking",
    "006 - Person sneeze": "a person sneezing",
    "007 - Helicopter": "a helicopter flying",
    "008 - Chainsaw": "a chainsaw running",
    "009 - Rooster": "a rooster crowing",
    "010 - Fire crackling": "a fire crackling",
}
"""Folder of ESC-10 -> what it sounds like."""

FIGHT = "people fighting"
