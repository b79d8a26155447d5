"""Noun and verb phrases of a caption, found by spaCy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from varkit.blocks.english import load_english

Span = tuple[int, int]
"""Characters [start, end) of a caption."""

_PARTS_OF_A_VERB = frozenset({"aux", "auxpass", "neg", "prt"})


class PhraseFinder:
    """Finds what may be masked in a caption; parsed captions are cached.

    Args:
        units: ``phrases``: noun chunks, except lone pronouns; and verbs with adjacent
            auxiliaries, negations, particles and adverbs ("were not running away quickly"). spaCy
            finds no verb phrases and the paper gives no rule.
            ``words``: single nouns and single verbs (ALAN, Table VI).

    Raises:
        VarkitError: spaCy or its pipeline is missing, or the pipeline has no tagger or parser.
    """

    def __init__(self, units: Literal["phrases", "words"]) -> None:
        self.units = units
        self._pipeline = load_english()
        self._cache: dict[str, Mapping[str, tuple[Span, ...]]] = {}

    def __call__(self, text: str) -> Mapping[str, tuple[Span, ...]]:
        """Return the spans of ``"noun"`` and of ``"verb"``, each from left to right."""
        if text not in self._cache:
            doc = self._pipeline(text)
            nouns, verbs = (
                (_noun_phrases(doc), _verb_phrases(doc))
                if self.units == "phrases"
                else (_words(doc, "NOUN"), _words(doc, "VERB"))
            )
            self._cache[text] = {"noun": tuple(nouns), "verb": tuple(verbs)}
        return self._cache[text]


def _noun_phrases(doc: Any) -> Iterator[Span]:
    for chunk in doc.noun_chunks:
        if any(token.pos_ != "PRON" for token in chunk):
            yield chunk.start_char, chunk.end_char


def _verb_phrases(doc: Any) -> Iterator[Span]:
    for verb in doc:
        if verb.pos_ != "VERB":
            continue
        parts = {child.i for child in verb.children if _belongs_to_verb(child)}
        first = last = verb.i
        while first - 1 in parts:
            first -= 1
        while last + 1 in parts:
            last += 1
        yield doc[first].idx, doc[last].idx + len(doc[last])


def _belongs_to_verb(child: Any) -> bool:
    return child.dep_ in _PARTS_OF_A_VERB or (child.dep_ == "advmod" and child.pos_ == "ADV")


def _words(doc: Any, part_of_speech: str) -> Iterator[Span]:
    for token in doc:
        if token.pos_ == part_of_speech:
            yield token.idx, token.idx + len(token)
