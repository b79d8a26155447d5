"""Words for captions that belong to no event: who, what they wear, when, and what else goes on."""

from __future__ import annotations

from collections.abc import Mapping

from varkit_benchmarks.simulator.events import Ways

SEVERAL_WORDS: Ways = ("several", "three", "many", "four", "a group of", "five", "six")

ADJECTIVES: Ways = (
    "tall", "thin", "strong", "bald", "bearded", "fat", "short-haired", "long-haired", "barefoot",
    "hooded", "foreign", "slim", "stocky", "well-dressed", "curly-haired", "middle-aged",
    "masked", "sturdy", "limping", "tattooed", "elegant", "sleepy", "freckled", "pregnant",
    "ragged", "nervous", "muscular", "sunburnt", "veiled", "unshaven", "skinny", "broad-shouldered",
)  # fmt: skip

WEAR: Mapping[str, Ways] = {
    "shirt": ("shirt", "T-shirt", "sweater", "vest", "top", "blouse", "pullover"),
    "coat": ("coat", "jacket", "hoodie", "down jacket", "overcoat", "raincoat", "suit"),
    "hat": ("hat", "cap", "helmet", "mask", "headscarf", "hood", "beanie"),
    "trousers": ("trousers", "pants", "shorts", "jeans", "leggings", "overalls"),
    "dress": ("dress", "robe", "skirt", "uniform", "apron", "gown"),
}
"""Garment -> ways to say it."""

TIMES: Mapping[str, Ways] = {
    "night": ("at night", "in the evening", "late at night", "in the dark", "on a rainy night"),
    "day": ("during the day", "in the daytime", "in broad daylight", "on a sunny day"),
}

MANNERS: Mapping[bool, Ways] = {
    False: (
        "slowly", "quietly", "calmly", "patiently", "carefully", "cheerfully", "constantly",
        "quickly", "busily", "repeatedly", "leisurely", "politely", "casually", "skilfully",
    "gently", "eagerly", "silently", "thoroughly", "absently", "lazily", "happily", "neatly",
    "gracefully", "attentively", "reluctantly", "swiftly", "thoughtfully", "wearily", "proudly",
    ),
    True: (
        "quickly", "violently", "secretly", "repeatedly", "viciously", "brutally", "recklessly",
        "boldly", "hastily", "savagely", "furtively", "abruptly", "wildly", "deliberately",
    "ruthlessly", "angrily", "fiercely", "openly", "coldly", "maliciously", "blindly", "cruelly",
    "shamelessly", "clumsily", "stealthily", "frantically", "senselessly", "cunningly", "madly",
    ),
}  # fmt: skip
"""Whether it is an anomaly -> adverbs."""

DETAILS: Ways = (
    "for a long time", "in a hurry", "in the corner", "from the left side", "on the right side",
    "in the background", "without a word", "in the distance", "for no reason", "in plain view",
    "with some effort", "at a slow pace", "in silence", "under a lamp", "by the window",
    "in heavy rain", "in the snow", "in thick fog", "for half a minute", "without any help",
    "under an awning", "behind a curtain", "through the crowd", "against the wind", "at noon",
    "beneath a chandelier", "among parked scooters", "beyond the barrier", "along the wall",
    "at the edge of the picture", "on the upper floor", "near the emergency exit", "by mistake",
    "in bright sunshine", "under the eyes of a guard", "with trembling hands", "with a limp",
    "amid fallen leaves", "on wet asphalt", "on a gravel path", "outside the fire station",
    "opposite a church", "between wooden crates", "at the foot of a ladder", "by candlelight",
    "with surprising strength", "in front of a security guard", "behind an advertising pillar",
)  # fmt: skip

AROUND: Mapping[str, Ways] = {
    "shop": (
        "customers walked around the store", "the clerk arranged the shelves",
        "shoppers queued at the till",
        "the owner counted money", "people came and went", "the assistant weighed vegetables",
        "a child looked at the toys", "a salesman unpacked a carton", "a butcher sliced ham",
        "a jeweller polished rings", "a florist tied bouquets", "a tailor measured cloth",
    ),
    "road": (
        "vehicles kept passing", "traffic went on", "cars waited at the light",
        "the traffic came to a halt", "drivers sounded their horns", "a bus drove by",
        "pedestrians waited at the crossing", "a cyclist rode past", "a tractor crept uphill",
        "a convoy rumbled along", "snow ploughs cleared the lane", "headlights flashed",
    ),
    "street": (
        "people came and went", "pedestrians walked by", "onlookers gathered", "cars drove past",
        "passers-by stared", "a street vendor sold flowers", "residents leaned out of windows",
        "pigeons flew up", "a musician played the accordion", "a mailman emptied a box",
        "roller shutters were lowered", "a sprinkler watered the hedge", "neon signs flickered",
    ),
    "parking": (
        "cars came and went", "an attendant watched", "another driver reversed", "a barrier opened",
        "a motorist filled the tank", "an engine kept running", "a mechanic changed a tire",
        "a chauffeur polished the chrome", "petrol dripped from a hose", "a meter blinked",
    ),
    "home": (
        "a dog barked", "the neighbours watched", "the owner slept inside", "a light went on",
        "laundry hung on the line", "a television was running", "a cat sat on the wall",
        "the family ate dinner", "grandparents dozed in rocking chairs", "a parrot squawked",
        "a kettle whistled", "the gardener trimmed roses", "a barbecue smoked",
    ),
    "indoor": (
        "people sat at the tables", "the staff kept working", "a waiter carried plates",
        "guests looked on", "a telephone rang", "music was playing", "the receptionist wrote",
        "a nurse walked past", "a printer was running", "colleagues held a meeting",
        "a pianist practised scales", "a janitor emptied ashtrays", "bartenders mixed cocktails",
        "an accountant stapled invoices", "pupils recited poems", "a fan rotated overhead",
    ),
    "industry": (
        "the machines kept running", "workers looked on", "a crane lifted steel", "sparks flew",
        "a foreman gave instructions", "a forklift moved pallets", "a conveyor carried cartons",
        "welders bent over girders", "a siren announced lunch", "steam rose from a boiler",
        "bricklayers mixed mortar", "chickens pecked at grain",
    ),
    "public": (
        "spectators cheered", "travellers hurried past", "kids ran around", "people sat on benches",
        "an announcement was made", "a guide explained", "birds flew over the grass",
        "visitors took photographs", "a choir was singing", "joggers circled the pond",
        "a referee blew the whistle", "porters pushed trolleys", "swans glided over the lake",
        "a magician entertained toddlers", "lifeguards scanned the waves",
    ),
}  # fmt: skip
"""Kind of place -> what else goes on there."""

REMARKS: Ways = (
    "with the camera shaking", "with people standing around", "and nobody noticed anything",
    "and the picture is blurred", "and all of it was recorded from above",
    "and everything looked peaceful from the outside", "and an alarm went off in the building",
    "and the place was left in disorder", "and people talked about it for quite long",
    "and the camera turned to the other side", "and the crowd grew larger",
    "and the lens was covered with raindrops", "and an ambulance arrived much too late",
    "and the lights flickered for a moment", "and a journalist wrote down every detail",
    "and the footage ends with a frozen frame", "and puddles reflected the lamps",
    "and insurance experts examined the damage", "and helpers offered blankets and tea",
    "and the timestamp in the corner is unreadable", "and sunlight dazzled the sensor",
)  # fmt: skip
"""For long captions."""

_IRREGULAR = {"man": "men", "person": "people", "thief": "thieves", "passer-by": "passers-by"}


def plural(noun: str) -> str:
    """Return the plural of a noun.

    >>> plural("young woman"), plural("passer-by"), plural("boy")
    ('young women', 'passers-by', 'boys')
    """
    for ending, several in _IRREGULAR.items():
        if noun.endswith(ending):
            return noun.removesuffix(ending) + several
    return noun + "s"
