"""What is said of a video: one English caption in the manner of UCFCrime-AR.

A caption always names the event and to whom it happens; everything else is named where a
:class:`~.wishes.Wish` asks for it or where words are left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from varkit_benchmarks.simulator.events import Ways
from varkit_benchmarks.simulator.quantiles import Rng
from varkit_benchmarks.simulator.wishes import Wish
from varkit_benchmarks.simulator.words import (
    ADJECTIVES,
    AROUND,
    DETAILS,
    MANNERS,
    REMARKS,
    SEVERAL_WORDS,
    TIMES,
    WEAR,
    plural,
)
from varkit_benchmarks.simulator.world import SCENES, THINGS, Scenario, pick, way


@dataclass(frozen=True)
class Phrase:
    """A part of a caption and the factor that it names.

    Attributes:
        factor: a name from :meth:`Scenario.factors`; empty for words that name nothing.
        text: the words.
    """

    factor: str
    text: str


def describe(rng: Rng, scenario: Scenario, wish: Wish) -> tuple[Phrase, ...]:
    """Return a caption's phrases, in order; :func:`sentence` joins them."""
    return _Caption(rng, scenario, wish).phrases()


def sentence(phrases: Sequence[Phrase]) -> str:
    """Join phrases to a caption."""
    text = " ".join(phrase.text for phrase in phrases)
    return text[0].upper() + text[1:] + "."


Said = tuple[str, Sequence[Phrase]]
"""A slot of a caption, and what is said there."""
ORDERS = ("and then", "and later", "and after that", "and finally")


class _Caption:
    """A caption that grows: slots in the order in which they are said, each filled or not."""

    ORDER = (
        "time first", "scene first", "actor", "subject colour", "subject", "colour", "manner",
        "verb", "target", "tool", "detail", "bystander", "thing", "scene", "time", "outcome",
        "around", "remark",
    )  # fmt: skip

    def __init__(self, rng: Rng, scenario: Scenario, wish: Wish) -> None:
        self.rng, self.scenario, self.wish = rng, scenario, wish
        self.room = wish.words
        self.slots: dict[str, list[Phrase]] = {}
        self.acting = scenario.event.subject == "actor"
        self._clause()
        self._wished()
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
        self.room -= sum(len(phrase.text.split()) for phrase in phrases)

    def told(self, known: Sequence[Ways], value: str) -> str:
        """Return a way to say a value; short ones where the caption is to be short."""
        found = next(ways for ways in known if ways[0] == value)
        return way(self.rng, found if self.wish.words > 7 else (min(found, key=len),))

    def _clause(self) -> None:
        """Say who does what to whom, in as few words as can be."""
        scenario, event = self.scenario, self.scenario.event
        target = self.told(event.targets, scenario.target)
        verb = Phrase("event", way(self.rng, event.verbs))
        if self.acting:
            self.say("actor", [Phrase("actor", self._actor())])
            self.say("verb", [verb])
            self.say("target", [Phrase("target", target)])
            return
        if event.subject == "vehicle":
            if self.wish.colour:
                article = "an" if scenario.colour[0] == "o" else "a"
                self.say("subject colour", [Phrase("colour", f"{article} {scenario.colour}")])
                target = target.split(" ", 1)[1]
            self.say("target", [Phrase("tool", self.told(event.tools, scenario.tool))])
        self.say("subject", [Phrase("target", target)])
        self.say("verb", [verb])

    def _wished(self) -> None:
        """Say what was wished for."""
        scenario, wish = self.scenario, self.wish
        worn = wish.colour and scenario.event.subject != "vehicle"
        if not self.acting and (wish.counted or worn):
            self.say(*self._bystander())
        if worn:
            self.say("colour" if self.acting else "bystander", [Phrase("colour", self._colour())])
        if wish.night or wish.day:
            time = way(self.rng, TIMES[scenario.time])
            first = self.rng.random() < 0.6
            self.say("time first" if first else "time", [Phrase("time", time)])
        if wish.ordered:
            draw = self.rng.random()
            if draw < 0.6:
                self.say(*self._outcome(pick(self.rng, ORDERS)))
            elif draw < 0.8 and scenario.anomalous:
                self.say("manner", [Phrase("", "suddenly")])
            else:
                self.say(*self._around("while"))

    def _fill(self) -> None:
        """Say more of the video until the words are used up."""
        known_for_place = self.scenario.place in ("shop", "road")
        more: dict[Callable[[], Said], float] = {  # and how eagerly
            self._tool: 0 if self.scenario.event.subject == "vehicle" else 4.0,
            self._scene: 36.0 if known_for_place else 12.0,
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
            if sum(len(phrase.text.split()) for phrase in phrases) <= longest:
                self.say(slot, phrases)
        if self.room > 0 and "manner" not in self.slots:
            self.say("manner", [Phrase("", way(self.rng, MANNERS[self.scenario.anomalous]))])
        for place in self.rng.permutation(len(REMARKS)):
            if len(REMARKS[place].split()) <= self.room + 1:
                self.say("remark", [Phrase("", REMARKS[place])])

    def _tool(self) -> Said:
        return "tool", [Phrase("tool", self.told(self.scenario.event.tools, self.scenario.tool))]

    def _scene(self) -> Said:
        scene = Phrase("scene", self.told(SCENES[self.scenario.place], self.scenario.scene))
        return "scene first" if self.rng.random() < 0.45 else "scene", [scene]

    def _thing(self) -> Said:
        thing = self.told(THINGS[self.scenario.place], self.scenario.thing)
        near = pick(self.rng, ("near", "next to", "beside", "in front of"))
        return "thing", [Phrase("thing", f"{near} {thing}")]

    def _detail(self) -> Said:
        return "detail", [Phrase("", pick(self.rng, DETAILS))]

    def _outcome(self, joint: str = "and") -> Said:
        text = self.told(self.scenario.event.outcomes, self.scenario.outcome)
        if text.startswith("was ") and self.acting and self.scenario.count != "one":
            text = "were" + text[3:]
        return "outcome", [Phrase("", joint), Phrase("outcome", text)]

    def _around(self, joint: str = "as") -> Said:
        return "around", [Phrase("", f"{joint} {pick(self.rng, AROUND[self.scenario.place])}")]

    def _bystander(self) -> Said:
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
        if self.wish.counted:
            return f"{way(rng, SEVERAL_WORDS)} {plural(noun)}"
        return plural(noun) if rng.random() < 0.7 else f"some {plural(noun)}"

    def _colour(self) -> str:
        scenario, rng = self.scenario, self.rng
        garment = way(rng, WEAR[scenario.garment])
        worn = pick(rng, ("in", "wearing", "with", "dressed in"))
        if scenario.count != "one":
            return f"{worn} {scenario.colour} {garment if garment[-1] == 's' else garment + 's'}"
        if garment[-2:] in ("ts", "ns", "gs"):
            return f"{worn} {scenario.colour} {garment}"
        return f"{worn} {'an' if scenario.colour[0] == 'o' else 'a'} {scenario.colour} {garment}"
