"""Noun and verb phrases of captions, and the word pieces that they hide."""

import importlib.util

import pytest
import torch
from varkit_alan.masking import hide_phrase, hide_share
from varkit_alan.phrases import PhraseFinder

from varkit.blocks import english
from varkit.blocks.english import find_english
from varkit.blocks.language_model import Language
from varkit.errors import VarkitError
from varkit.interfaces import Draws

CAPTION = "She left quickly, and two armed men were not running away from the police car."


@pytest.fixture(scope="module")
def finder():
    try:
        return PhraseFinder("phrases")
    except VarkitError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def language(tiny):
    return Language(tiny, trainable=False, dropout=0.0)


def texts(caption, spans):
    return [caption[start:end] for start, end in spans]


def test_noun_phrases_are_chunks_without_pronouns(finder):
    assert texts(CAPTION, finder(CAPTION)["noun"]) == ["two armed men", "the police car"]


@pytest.mark.parametrize(
    ("caption", "verbs"),
    [
        (CAPTION, ["left quickly", "were not running away"]),
        ("The man picked up a bag.", ["picked up"]),
        ("The thief was arrested.", ["was arrested"]),
        ("The man opened the door slowly.", ["opened"]),
    ],
)
def test_verb_phrases_take_what_touches_the_verb(finder, caption, verbs):
    assert texts(caption, finder(caption)["verb"]) == verbs


def test_single_words(finder):
    found = PhraseFinder("words")(CAPTION)
    assert texts(CAPTION, found["noun"]) == ["men", "police", "car"]
    assert texts(CAPTION, found["verb"]) == ["left", "running"]


@pytest.mark.parametrize("caption", ["", "   ", "...", "He", "it was him"])
def test_captions_without_phrases(finder, caption):
    assert finder(caption) == {"noun": (), "verb": ()}


def test_a_caption_is_parsed_once(finder):
    assert finder(CAPTION) is finder(CAPTION)


def test_missing_pipeline_says_what_to_install(monkeypatch):
    monkeypatch.setattr(english, "PIPELINES", ("en_not_there",))
    with pytest.raises(VarkitError, match="no English spaCy pipeline") as caught:
        find_english()
    assert "spacy download" in caught.value.hint


def test_a_pipeline_that_tags_nothing_is_refused(tmp_path, monkeypatch):
    spacy = pytest.importorskip("spacy")
    spacy.blank("en").to_disk(tmp_path / "en_blank")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(english, "PIPELINES", ("en_blank",))
    with pytest.raises(VarkitError, match="en_blank has no tagger or no parser"):
        PhraseFinder("words")
    (tmp_path / "en_blank" / "config.cfg").write_text("[nlp]")
    with pytest.raises(VarkitError, match="cannot load the spaCy pipeline en_blank"):
        PhraseFinder("words")


def test_missing_spacy_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(VarkitError, match="spaCy is not installed") as caught:
        find_english()
    assert "varkit[text]" in caught.value.hint


def pieces(language, captions, hidden, b):
    return language.tokenizer.convert_ids_to_tokens(captions.ids[b][hidden[b]].tolist())


def test_every_word_piece_of_the_phrase_is_hidden(language):
    captions = language.tokenize(["a man kicks it", "fire", ""], 64)
    hidden = hide_phrase(captions, [[(6, 11)], [(0, 4)], []], Draws(0, ("a", "b", "c")))
    assert pieces(language, captions, hidden, 0) == ["k", "##i", "##c", "##k", "##s"]
    assert pieces(language, captions, hidden, 1) == ["fire"]
    assert not hidden[2].any()


@pytest.mark.parametrize(("span", "expected"), [((0, 4), ["fire"]), ((5, 11), ["street"])])
def test_what_touches_the_phrase_is_not_hidden(language, span, expected):
    captions = language.tokenize(["fire,street"], 64)
    hidden = hide_phrase(captions, [[span]], Draws(0, ("a",)))
    assert pieces(language, captions, hidden, 0) == expected


def test_phrases_are_chosen_with_equal_chances(language):
    captions = language.tokenize(["a man walks"] * 3000, 64)
    draws = Draws(0, tuple(map(str, range(3000))))
    hidden = hide_phrase(captions, [[(0, 1), (2, 5), (6, 11)]] * 3000, draws)
    assert (hidden.sum(1) == 1).all()
    shares = hidden[:, 1:4].double().mean(0)
    # Four standard deviations of a share of one third.
    assert (shares - 1 / 3).abs().max() < 4 * (2 / 9 / 3000) ** 0.5


def test_what_tokenising_cut_off_cannot_be_chosen(language):
    captions = language.tokenize(["a man walks fire"] * 50, 4)  # [CLS] a man [SEP]
    draws = Draws(0, tuple(map(str, range(50))))
    hidden = hide_phrase(captions, [[(2, 5), (6, 16)]] * 50, draws)
    assert torch.equal(hidden, torch.tensor([[False, False, True, False]]).expand(50, 4))
    assert not hide_phrase(captions, [[(6, 16)]] * 50, draws).any()


@pytest.mark.parametrize(("words", "expected"), [(0, 0), (1, 1), (3, 1), (10, 2), (40, 6)])
def test_share_of_word_pieces(language, words, expected):
    captions = language.tokenize([" ".join(["fire"] * words), "a " * 50], 64)
    hidden = hide_share(captions, 0.15, Draws(0, ("a", "b")))
    assert hidden[0].sum() == expected
    assert not (hidden & ~captions.words).any()


def test_word_pieces_are_chosen_with_equal_chances(language):
    captions = language.tokenize(["fire " * 10] * 2000, 64)
    hidden = hide_share(captions, 0.15, Draws(0, tuple(map(str, range(2000)))))
    shares = hidden[:, 1:11].double().mean(0)
    # Two of ten; four standard deviations of a share of one fifth.
    assert (shares - 1 / 5).abs().max() < 4 * (4 / 25 / 2000) ** 0.5


def test_share_depends_on_neither_neighbours_nor_padding(language):
    together = language.tokenize(["a man walks " * 5, "a " * 60], 64)
    alone = language.tokenize(["a man walks " * 5], 64)
    found = hide_share(together, 0.15, Draws(0, ("a", "b")))[:1, : alone.ids.shape[1]]
    assert torch.equal(found, hide_share(alone, 0.15, Draws(0, ("a",))))
