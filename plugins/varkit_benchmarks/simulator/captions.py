"""What is said of a video: one English sentence in the manner of UCFCrime-AR.

A caption always names the event and to whom it happens; the rest it names with the probabilities
below, which give the benchmark's length (16 words) and its share of captions with a colour (39 %),
night (13.5 %) or day (7.6 %).
"""

from __future__ import annotations

from dataclasses import dataclass

from varkit_benchmarks.simulator.world import Rng, Scenario, pick

TOOL, SCENE, OUTCOME, THING = 0.85, 0.75, 0.5, 0.4
COLOUR = {True: 0.49, False: 0.32}
TIME = {True: 0.55, False: 0.08}


@dataclass(frozen=True)
class Phrase:
    """A part of a caption and the factor that it names.

    Attributes:
        factor: a name from :meth:`Scenario.factors`; empty for words that name nothing.
        text: the words.
    """

    factor: str
    text: str


def describe(rng: Rng, scenario: Scenario) -> list[Phrase]:
    """Return a caption's phrases, in order; :func:`sentence` joins them."""
    event = scenario.event
    verb = Phrase("event", pick(rng, event.verbs))
    target = Phrase("target", scenario.target)
    tool = [Phrase("tool", scenario.tool)]
    actor = _actor(rng, scenario)
    if event.subject == "target" and event.name == "RoadAccidents":
        body = [target, verb, *tool, Phrase("", "in front of"), *actor]
    elif event.subject == "target":
        body = [target, verb, *tool, Phrase("", "close to"), *actor]
    else:
        named = rng.random() < TOOL
        body = [*actor, verb, target, *(tool if named else [])]
    scene = [Phrase("scene", scenario.scene)] if rng.random() < SCENE else []
    if rng.random() < THING:
        scene += [Phrase("thing", f"near a {scenario.thing}")]
    time = Phrase("time", "at night" if scenario.night else "during the day")
    first = [time] if rng.random() < TIME[scenario.night] else []
    if rng.random() < 0.3:
        first, scene = [*first, *scene], []
    if first:
        first[-1] = Phrase(first[-1].factor, first[-1].text + ",")
    end: list[Phrase] = []
    if scenario.anomalous and event.subject != "target" and rng.random() < OUTCOME:
        end = [Phrase("", "and then"), Phrase("outcome", scenario.outcome)]
    elif not scenario.anomalous and rng.random() < OUTCOME:
        end = [Phrase("", pick(rng, ("as people came and went", "while cars drove by")))]
    return [*first, *body, *scene, *end]


def sentence(phrases: list[Phrase]) -> str:
    """Join phrases to a sentence."""
    text = " ".join(phrase.text for phrase in phrases)
    return text[0].upper() + text[1:] + "."


def _actor(rng: Rng, scenario: Scenario) -> list[Phrase]:
    if scenario.event.subject == "police":
        nouns = {"one": "a policeman", "two": "two policemen", "several": "several policemen"}
    else:
        many = {"man": "men", "woman": "women", "boy": "boys", "old man": "old men"}
        article = "an" if scenario.actor[0] == "o" else "a"
        nouns = {
            "one": f"{article} {scenario.actor}",
            "two": f"two {many[scenario.actor]}",
            "several": f"several {many[scenario.actor]}",
        }
    who = [Phrase("actor", nouns[scenario.count])]
    if rng.random() < COLOUR[scenario.anomalous]:
        one = scenario.count == "one"
        clothes = f"a {scenario.colour} {scenario.garment}"
        if not one:
            clothes = f"{scenario.colour} {scenario.garment}s"
        who.append(Phrase("colour", f"in {clothes}"))
    return who
