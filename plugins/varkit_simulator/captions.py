"""Captions: one English sentence per video, in the style of UCFCrime-AR.

A caption always names the event and its target. An :class:`Outline` sets its length and what else
it must mention; more words are added while there is room. Lengths and mentions are drawn for all
captions of a split together, so that their shares match the benchmark's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from varkit_simulator.draws import (
    Rng,
    apportion,
    choose,
    deal,
    interpolate,
    pick,
    stratified,
    wording,
)
from varkit_simulator.events import NORMAL, Ways
from varkit_simulator.scenarios import SCENES, THINGS, Scenario

SEVERAL: Ways = ("several", "three", "many", "four", "a group of", "five", "six")

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
"""Garment -> words for it."""

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


@dataclass(frozen=True)
class Outline:
    """The length of a caption, and what it mentions.

    Attributes:
        words: approximate number of words.
        colour: whether it names a colour.
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
    # share by class; 0.02 for a class that is not listed
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


def draw_outlines(rng: Rng, split: str, kinds: Sequence[str]) -> list[Outline]:
    """Draw the outlines of a split's captions, from the videos' classes."""
    outlines = [Outline(0)] * len(kinds)
    for anomalous in (False, True):
        places = [i for i, kind in enumerate(kinds) if (kind != NORMAL) == anomalous]
        count = len(places)
        drawn = interpolate(_WORDS[split, anomalous], stratified(rng, count))
        words = deal(drawn.round().astype(int), rng.random(count))
        own = [kinds[place] for place in places]
        named: dict[str, set[int]] = {}
        for what, share in _NAMED[split, anomalous].items():
            taken = named["night"] if what == "day" else set()
            weights = [0 if i in taken else max(w - 5, 0.2) for i, w in enumerate(words)]
            named[what] = _choose(rng, _BY_CLASS.get(what, {}), own, weights, round(share * count))
        for i, (place, length) in enumerate(zip(places, words, strict=True)):
            mentions = {what: i in those for what, those in named.items()}
            outlines[place] = Outline(int(length), **mentions)
    return outlines


def _choose(
    rng: Rng,
    shares: Mapping[str, float],
    kinds: Sequence[str],
    weights: Sequence[float],
    count: int,
) -> set[int]:
    """Return ``count`` places, shared between classes by ``shares``, within a class by weight."""
    every = sorted({*kinds})
    members = [[i for i, k in enumerate(kinds) if k == kind] for kind in every]
    expected = [shares.get(kind, 0.02) * len(own) for kind, own in zip(every, members, strict=True)]
    chosen: set[int] = set()
    for own, part in zip(members, apportion(count, expected), strict=True):
        chosen |= {own[i] for i in choose(rng, [weights[i] for i in own], part)}
    return chosen


NOUN, VERB = "noun", "verb"
"""Factors of real captions' phrases: shown in every clip, or only in those of the event."""


@dataclass(frozen=True)
class Phrase:
    """A part of a caption, and the factor that it names.

    Attributes:
        factor: a name from :meth:`Scenario.factors`, :data:`NOUN` or :data:`VERB`; empty for words
            that name nothing.
        text: the words.
    """

    factor: str
    text: str


def describe(rng: Rng, scenario: Scenario, outline: Outline) -> tuple[Phrase, ...]:
    """Return a caption's phrases in order; :func:`sentence` joins them."""
    return _Caption(rng, scenario, outline).phrases()


def sentence(phrases: Sequence[Phrase]) -> str:
    """Join phrases to a caption."""
    text = " ".join(phrase.text for phrase in phrases)
    return text[0].upper() + text[1:] + "."


Filled = tuple[str, Sequence[Phrase]]
"""A slot of a caption, and the phrases in it."""
ORDERS = ("and then", "and later", "and after that", "and finally")


class _Caption:
    """A growing caption: slots in a fixed order, of which some get filled."""

    ORDER = (
        "time first", "scene first", "actor", "subject colour", "subject", "colour", "manner",
        "verb", "target", "tool", "detail", "bystander", "thing", "scene", "time", "outcome",
        "around", "remark",
    )  # fmt: skip

    def __init__(self, rng: Rng, scenario: Scenario, outline: Outline) -> None:
        self.rng, self.scenario, self.outline = rng, scenario, outline
        self.room = outline.words
        self.slots: dict[str, list[Phrase]] = {}
        self.acting = scenario.event.subject == "actor"
        self._clause()
        self._mention()
        self._fill()

    def phrases(self) -> tuple[Phrase, ...]:
        for slot in ("scene first", "time first"):
            if slot in self.slots:
                (phrase,) = self.slots[slot]
                self.slots[slot] = [Phrase(phrase.factor, phrase.text + ",")]
                break
        return tuple(phrase for slot in self.ORDER for phrase in self.slots.get(slot, []))

    def say(self, slot: str, phrases: Sequence[Phrase]) -> None:
        self.slots[slot] = [*self.slots.get(slot, []), *phrases]
        self.room -= _length(phrases)

    def words(self, known: Sequence[Ways], value: str) -> str:
        """Return words for a value, the shortest ones in short captions."""
        ways = next(ways for ways in known if ways[0] == value)
        return wording(self.rng, ways if self.outline.words > 7 else (min(ways, key=len),))

    def _clause(self) -> None:
        """Add who does what to whom, in as few words as possible."""
        scenario, event = self.scenario, self.scenario.event
        target = self.words(event.targets, scenario.target)
        verb = Phrase("event", wording(self.rng, event.verbs))
        if self.acting:
            self.say("actor", [Phrase("actor", self._actor())])
            self.say("verb", [verb])
            self.say("target", [Phrase("target", target)])
            return
        if event.subject == "vehicle":
            if self.outline.colour:
                article = "an" if scenario.colour[0] == "o" else "a"
                self.say("subject colour", [Phrase("colour", f"{article} {scenario.colour}")])
                target = target.split(" ", 1)[1]
            self.say("target", [Phrase("tool", self.words(event.tools, scenario.tool))])
        self.say("subject", [Phrase("target", target)])
        self.say("verb", [verb])

    def _mention(self) -> None:
        """Add what the outline requires."""
        scenario, outline = self.scenario, self.outline
        worn = outline.colour and scenario.event.subject != "vehicle"
        if not self.acting and (outline.counted or worn):
            self.say(*self._bystander())
        if worn:
            self.say("colour" if self.acting else "bystander", [Phrase("colour", self._colour())])
        if outline.night or outline.day:
            time = wording(self.rng, TIMES[scenario.time])
            first = self.rng.random() < 0.6
            self.say("time first" if first else "time", [Phrase("time", time)])
        if outline.ordered:
            draw = self.rng.random()
            if draw < 0.6:
                self.say(*self._outcome(pick(self.rng, ORDERS)))
            elif draw < 0.8 and scenario.anomalous:
                self.say("manner", [Phrase("", "suddenly")])
            else:
                self.say(*self._around("while"))

    def _fill(self) -> None:
        """Add more about the video until the words are used up."""
        place_matters = self.scenario.place in ("shop", "road")
        more: dict[Callable[[], Filled], float] = {  # what may be added, by weight
            self._tool: 0 if self.scenario.event.subject == "vehicle" else 4.0,
            self._scene: 36.0 if place_matters else 12.0,
            self._outcome: 0 if "outcome" in self.slots else 2.6,
            self._around: 0 if "around" in self.slots else 1.4,
            self._thing: 0.4,
            self._detail: 0.5,
            self._bystander: 0 if self.acting or "bystander" in self.slots else 0.4,
        }
        while self.room > 1 and any(more.values()):
            draw = pick(self.rng, tuple(more), tuple(more.values()))
            more[draw] = 0
            slot, phrases = draw()
            longest = self.room + (self.rng.random() < 0.3)
            if _length(phrases) <= longest:
                self.say(slot, phrases)
        if self.room > 0 and "manner" not in self.slots:
            self.say("manner", [Phrase("", wording(self.rng, MANNERS[self.scenario.anomalous]))])
        for place in self.rng.permutation(len(REMARKS)):
            if len(REMARKS[place].split()) <= self.room + 1:
                self.say("remark", [Phrase("", REMARKS[place])])

    def _tool(self) -> Filled:
        return "tool", [Phrase("tool", self.words(self.scenario.event.tools, self.scenario.tool))]

    def _scene(self) -> Filled:
        scene = Phrase("scene", self.words(SCENES[self.scenario.place], self.scenario.scene))
        return "scene first" if self.rng.random() < 0.45 else "scene", [scene]

    def _thing(self) -> Filled:
        thing = self.words(THINGS[self.scenario.place], self.scenario.thing)
        near = pick(self.rng, ("near", "next to", "beside", "in front of"))
        return "thing", [Phrase("thing", f"{near} {thing}")]

    def _detail(self) -> Filled:
        return "detail", [Phrase("", pick(self.rng, DETAILS))]

    def _outcome(self, joint: str = "and") -> Filled:
        text = self.words(self.scenario.event.outcomes, self.scenario.outcome)
        if text.startswith("was ") and self.acting and self.scenario.count != "one":
            text = "were" + text[3:]
        return "outcome", [Phrase("", joint), Phrase("outcome", text)]

    def _around(self, joint: str = "as") -> Filled:
        return "around", [Phrase("", f"{joint} {pick(self.rng, AROUND[self.scenario.place])}")]

    def _bystander(self) -> Filled:
        near = pick(self.rng, ("in front of", "close to", "next to"))
        return "bystander", [Phrase("", near), Phrase("actor", self._actor())]

    def _actor(self) -> str:
        scenario, rng = self.scenario, self.rng
        noun = scenario.actor
        if self.acting and scenario.event.actors and rng.random() < 0.45:
            noun = pick(rng, scenario.event.actors)
        if self.room > 6 and rng.random() < 0.15:
            noun = f"{pick(rng, ADJECTIVES)} {noun}"
        if scenario.count == "one":
            return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
        if scenario.count == "two":
            return f"two {plural(noun)}"
        if self.outline.counted:
            return f"{wording(rng, SEVERAL)} {plural(noun)}"
        return plural(noun) if rng.random() < 0.7 else f"some {plural(noun)}"

    def _colour(self) -> str:
        scenario, rng = self.scenario, self.rng
        garment = wording(rng, WEAR[scenario.garment])
        worn = pick(rng, ("in", "wearing", "with", "dressed in"))
        if scenario.count != "one":
            return f"{worn} {scenario.colour} {garment if garment[-1] == 's' else garment + 's'}"
        if garment[-2:] in ("ts", "ns", "gs"):
            return f"{worn} {scenario.colour} {garment}"
        return f"{worn} {'an' if scenario.colour[0] == 'o' else 'a'} {scenario.colour} {garment}"


def _length(phrases: Sequence[Phrase]) -> int:
    return sum(len(phrase.text.split()) for phrase in phrases)
