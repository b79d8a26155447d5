"""A tokenizer is refused where its library would make one up or go on with a wrong one."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file
from tokenizers import pre_tokenizers
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    RobertaConfig,
    RobertaModel,
)

from varkit.blocks.language_files import TOKENIZER_FILES
from varkit.blocks.language_model import Language
from varkit.blocks.pretrained import quiet
from varkit.blocks.tiny_language import SPECIAL, write_tiny_language
from varkit.errors import VarkitError

SIZE = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "max_position_embeddings": 20,
}
UNCASED = ["a", "man", "runs", "in", "london", "##s"]
CASED = ["A", "Man", "runs", "in", "London", "##s"]
ACCENTS = ["a", "café", "naïve", "in", "london", "##é"]


def save(model, folder):
    with quiet():
        model.save_pretrained(folder)


@pytest.fixture
def write(tmp_path):
    def write(words, *, embeddings=None, says=None):
        vocabulary = [*SPECIAL, *words]
        save(BertModel(BertConfig(vocab_size=embeddings or len(vocabulary), **SIZE)), tmp_path)
        (tmp_path / "vocab.txt").write_text("\n".join(vocabulary))
        if says is not None:
            (tmp_path / "tokenizer_config.json").write_text(json.dumps(says))
        return tmp_path

    return write


@pytest.fixture
def roberta(tmp_path):
    """RoBERTa reads bytes; its positions start behind the padding token's, 1."""

    def write(**options):
        words = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
        words.append("<mask>")
        vocabulary = {word: number for number, word in enumerate(words)}
        save(RobertaModel(RobertaConfig(vocab_size=len(words), **SIZE, **options)), tmp_path)
        (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
        (tmp_path / "merges.txt").write_text("#version: 0.2\n")
        return tmp_path

    return write


def load(folder):
    return Language(folder, trainable=False, dropout=0.0)


def refused(folder):
    with pytest.raises(VarkitError) as caught:
        load(folder)
    return str(caught.value)


def test_without_its_files_a_tokenizer_would_know_only_the_special_tokens(write):
    folder = write(UNCASED)
    (folder / "vocab.txt").unlink()
    assert "knows 5 tokens, but the model has 11 word embeddings" in refused(folder)
    assert "vocab.txt" in refused(folder)


def test_files_of_another_kind_of_model_are_refused(roberta, tmp_path):
    folder = roberta()
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *UNCASED]))
    assert "knows 5 tokens, but the model has 261 word embeddings" in refused(folder)
    assert "vocab.json, merges.txt" in refused(folder)


def test_a_vocabulary_larger_than_the_model_is_refused_and_a_padded_model_is_not(write):
    assert "knows 11 tokens, but the model has 10" in refused(write(UNCASED, embeddings=10))
    assert "knows 11 tokens, but the model has 23" in refused(write(UNCASED, embeddings=23))
    assert load(write(UNCASED, embeddings=16)).vocabulary == 16


def test_a_vocabulary_without_a_special_token_is_refused(write):
    folder = write(UNCASED)
    vocabulary = (folder / "vocab.txt").read_text().replace("[UNK]", "other")
    (folder / "vocab.txt").write_text(vocabulary)
    assert "knows 12 tokens, but the model has 11" in refused(folder)


@pytest.mark.parametrize("says", [None, {}, {"do_lower_case": True}])
def test_a_cased_vocabulary_that_would_be_lowered_is_refused(write, says):
    said = refused(write(CASED, says=says))
    assert "reads 'A' as 'a'; so it never uses 3 of the 6 tokens" in said
    assert 'write {"do_lower_case": false} into' in said


def test_a_cased_vocabulary_that_is_called_cased_is_read_as_it_is(write):
    tokenizer = load(write(CASED, says={"do_lower_case": False})).tokenizer
    assert tokenizer.tokenize("A Man runs in London") == ["A", "Man", "runs", "in", "London"]


def test_a_case_that_only_tokenizer_json_states_is_not_lost_without_a_word(write):
    folder = write(CASED, says={"do_lower_case": False})
    AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    assert json.loads((folder / "tokenizer.json").read_text())["normalizer"]["lowercase"] is False
    (folder / "tokenizer_config.json").unlink()
    assert "reads 'A' as 'a'" in refused(folder)


def test_an_uncased_vocabulary_must_be_read_in_lower_case(write):
    assert load(write(UNCASED)).tokenizer.tokenize("A Man") == ["a", "man"]
    said = refused(write(UNCASED, says={"do_lower_case": False}))
    assert "keeps capital letters, but its vocabulary has none" in said


def test_accents_of_the_vocabulary_must_be_kept(write):
    said = refused(write(ACCENTS))
    assert "reads 'café' as 'cafe'; so it never uses 3 of the 6" in said
    assert 'write {"strip_accents": false} into' in said
    tokenizer = load(write(ACCENTS, says={"strip_accents": False})).tokenizer
    assert tokenizer.tokenize("A café") == ["a", "café"]


def test_one_odd_token_of_many_and_words_without_case_are_no_fault(write):
    many = [first + second for first in "abcdefghijklmnop" for second in "abcdefghijklmnop"]
    assert load(write([*many, "USA"])).vocabulary == 262
    chinese = load(write(["男", "子"], says={"do_lower_case": False}))
    assert chinese.tokenizer.tokenize("男子") == ["男", "子"]


def test_a_tokenizer_that_puts_nothing_around_a_text_is_refused(write):
    folder = write(UNCASED)
    AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(content | {"post_processor": None}))
    names = ("cls", "sep", "pad", "mask", "unk")
    tokens = {f"{name}_token": f"[{name.upper()}]" for name in names}
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **tokens}))
    assert "does not put CLS and SEP around a text" in refused(folder)
    del tokens["pad_token"]
    config.write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **tokens}))
    assert "it lacks pad" in refused(folder)


def test_roberta_reads_as_many_tokens_as_it_has_positions_for(roberta):
    language = load(roberta())
    assert language.longest == 18
    captions = language.tokenize(["A" * 40, "b"], language.longest)
    assert language.encode(captions.ids, captions.mask).shape == (2, 18, 8)


def test_padding_with_a_token_that_the_positions_count_is_refused(roberta):
    assert "pads with token 1, but the model with 0" in refused(roberta(pad_token_id=0))


def test_weights_that_the_configuration_leaves_out_are_refused_but_heads_are_not(write):
    folder = write(UNCASED)
    save(BertForMaskedLM(BertConfig(vocab_size=11, **SIZE)), folder)
    assert load(folder).width == 8
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    assert "has weights that config.json does not describe: bert.encoder.layer.1" in refused(folder)


def test_old_files_with_position_numbers_are_read(write):
    folder = write(UNCASED)
    weights = load_file(folder / "model.safetensors")
    positions = BertModel(BertConfig(vocab_size=11, **SIZE)).embeddings.position_ids
    save_file(
        weights | {"embeddings.position_ids": positions.clone()},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    assert load(folder).width == 8


@pytest.mark.parametrize("longest", [3, 4, 6, 64])
def test_unknown_and_cut_tokens_are_counted_as_one_by_one(tmp_path, longest, monkeypatch):
    monkeypatch.setattr("varkit.blocks.language_model.CHUNK", 3)
    language = load(write_tiny_language(tmp_path))
    texts = [
        "a man runs",
        "a man runs away",
        "A man runs",
        "男 a 男子",
        "",
        "fire é!",
        "a dog",
        "a",
    ]
    tokens = {text: language.tokenizer.tokenize(text) for text in texts}
    room = longest - 2

    def joined(text):
        return any(
            tokens[other][:room] == tokens[text][:room] and tokens[other] != tokens[text]
            for other in texts
        )

    facts = language.facts([*texts, *texts[:3]], longest)
    assert facts.captions == len(texts)
    assert facts.tokens == sum(map(len, tokens.values()))
    assert facts.unknown == sum(own.count("[UNK]") for own in tokens.values()) > 0
    assert facts.cut == sum(len(own) > room for own in tokens.values())
    assert facts.equal == sum(map(joined, texts))
    assert (facts.equal > 0) == (longest < 6)


def test_every_group_of_tokenizer_files_counts(tmp_path):
    from varkit.blocks.language_files import locate

    folder = write_tiny_language(tmp_path / "model")
    (folder / "vocab.txt").unlink()
    for names in TOKENIZER_FILES:
        own = shutil.copytree(folder, tmp_path / names[0])
        for name in names:
            with pytest.raises(VarkitError, match="no tokenizer file"):
                locate(str(own), None)
            (own / name).touch()
        assert locate(str(own), None) == own
