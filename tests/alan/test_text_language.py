"""Finding and loading language models, without the network."""

import re
import shutil

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file
from varkit_alan.bert import Bert

from varkit.blocks.language_files import lacking, locate, obtain
from varkit.blocks.language_model import Language
from varkit.blocks.tiny_language import write_tiny_language
from varkit.errors import VarkitError
from varkit.system.files import sha256

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def own(tiny, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(tiny, tmp_path / "model")


@pytest.fixture
def package(tiny, tmp_path, monkeypatch):
    """An installed package with a model in a folder of its own, and a deeper one."""
    for place in ("model", "extra/older/model"):
        shutil.copytree(tiny, tmp_path / "packaged_model" / place)
    (tmp_path / "packaged_model" / "__init__.py").write_text("raise ImportError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "packaged_model"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub's client."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_a_folder_or_the_shallowest_model_of_a_package_which_is_not_imported(tiny, package):
    assert locate(str(tiny), None) == tiny
    assert locate("package:packaged_model", None) == package / "model"


@pytest.mark.parametrize(
    ("name", "revision", "message", "hint"),
    [
        ("nothing", None, "there is no folder", r"query\.revision"),
        ("model", None, r"has no model\.safetensors", ""),
        ("package:not_installed_anywhere", None, "no Python package", "pip install"),
        ("package:no/identifier", None, "no Python package", "pip install"),
        ("package:", None, "no Python package", "pip install"),
        ("package:json", None, "holds no folder", ""),
        ("package:packaged_model", COMMIT, "has no revision", ""),
    ],
)
def test_what_is_no_model(own, package, name, revision, message, hint):
    (own / "model.safetensors").unlink()
    place = name if name.startswith("package:") else str(own.parent / name)
    with pytest.raises(VarkitError, match=message) as caught:
        locate(place, revision)
    assert re.search(hint, caught.value.hint or "")


@pytest.mark.parametrize("revision", ["main", COMMIT[:12], COMMIT + "0", COMMIT.upper()])
def test_a_hub_name_needs_a_full_commit(revision):
    with pytest.raises(VarkitError, match="no full commit"):
        obtain("someone/tiny", revision, download=True)


def test_a_hub_model_in_the_cache(tiny, cache):
    folder = cache / "models--someone--tiny" / "snapshots" / COMMIT
    shutil.copytree(tiny, folder)
    assert locate("someone/tiny", COMMIT) == folder
    assert Language(folder, trainable=False, dropout=0.0).width == 32


def test_a_model_without_its_tokenizer_is_refused_wherever_it_is(own, package, cache):
    folder = cache / "models--someone--tiny" / "snapshots" / COMMIT
    shutil.copytree(own, folder)
    for place in (own, folder, *package.glob("**/model")):
        (place / "vocab.txt").unlink()
    for model, revision, hint in (
        (str(own), None, "copy it"),
        ("package:packaged_model", None, "--force-reinstall packaged-model"),
        ("someone/tiny", COMMIT, f"hf download someone/tiny --revision {COMMIT}"),
    ):
        with pytest.raises(VarkitError, match=r"no tokenizer file \(tokenizer\.json, or") as caught:
            locate(model, revision)
        assert hint in caught.value.hint
    assert lacking("someone/tiny", COMMIT, download=True) == []


def test_a_download_without_a_tokenizer_is_an_error(own, cache, monkeypatch):
    (own / "vocab.txt").unlink()
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **options: str(own))
    with pytest.raises(VarkitError, match=r"has no tokenizer file .* on the hub"):
        obtain("someone/tiny", COMMIT, download=True)


def test_a_hub_model_that_is_not_there_stays_off_the_network(cache, monkeypatch):
    def forbidden(*args, **options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", forbidden)
    with pytest.raises(VarkitError, match="not in the local hub cache") as caught:
        obtain("someone/tiny", COMMIT, download=False)
    assert f"hf download someone/tiny --revision {COMMIT}" in caught.value.hint


def test_a_failed_download_is_an_error(cache, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(VarkitError, match="cannot download someone/tiny"):
        obtain("someone/tiny", COMMIT, download=True)


def test_what_is_lacking_is_one_line(tiny, cache):
    assert lacking(str(tiny), None, download=False) == []
    assert lacking("someone/tiny", COMMIT, download=True) == []
    (line,) = lacking("someone/tiny", COMMIT, download=False)
    assert "not in the local hub cache; hf download" in line
    assert "\n" not in line
    assert lacking("someone/tiny", "main", download=True)
    assert Bert.missing(model=str(tiny), finetune=False) == []
    assert Bert.missing(model="package:not_installed_anywhere")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"model_type": "roberto"}', r"'roberto'.*Did you mean 'roberta'"),
        *((content, "names no model_type") for content in ("", "[]", "{}", "not json")),
    ],
)
def test_unknown_kinds_of_models_and_broken_configurations_are_refused(own, content, said):
    (own / "config.json").write_text(content)
    with pytest.raises(VarkitError, match=said):
        Language(own, trainable=True, dropout=0.1)


def test_truncated_weights(own):
    weights = own / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(VarkitError, match="cannot load the model"):
        Language(own, trainable=True, dropout=0.1)


def test_weights_that_would_be_random_are_refused(own):
    tensors = load_file(own / "model.safetensors")
    del tensors["embeddings.word_embeddings.weight"]
    save_file(tensors, own / "model.safetensors", {"format": "pt"})
    with pytest.raises(VarkitError, match=r"lacks weights .*word_embeddings"):
        Language(own, trainable=True, dropout=0.1)


def test_loading_says_nothing(tiny, capfd):
    Language(tiny, trainable=True, dropout=0.1)
    assert capfd.readouterr() == ("", "")


def test_a_trained_model_has_parameters_and_dropout(tiny):
    language = Language(tiny, trainable=True, dropout=0.3)
    assert language.model.config.hidden_dropout_prob == 0.3
    assert not any("pooler" in name for name, _ in language.named_parameters())
    assert len(language.state_dict()) == len(list(language.parameters())) > 0


def test_a_frozen_model_has_neither_but_computes_the_same(tiny):
    frozen = Language(tiny, trainable=False, dropout=0.3).train()
    trained = Language(tiny, trainable=True, dropout=0.3).eval()
    captions = frozen.tokenize(["a man walks", "fire"], 64)
    found = frozen.encode(captions.ids, captions.mask)
    for again in (trained, frozen):
        assert torch.equal(found, again.encode(captions.ids, captions.mask))
    assert not [*frozen.state_dict(), *frozen.parameters()]
    assert not found.requires_grad
    assert frozen.double().word_embeddings.dtype == torch.float64


def test_distilbert_too(tiny, tmp_path):
    from transformers import DistilBertConfig, DistilBertModel

    from varkit.blocks.pretrained import quiet

    config = DistilBertConfig(
        vocab_size=100, dim=16, n_layers=1, n_heads=2, hidden_dim=32, max_position_embeddings=40
    )
    with quiet():
        DistilBertModel(config).save_pretrained(tmp_path)
    for name in ("vocab.txt", "tokenizer_config.json"):
        shutil.copy(tiny / name, tmp_path)
    language = Language(tmp_path, trainable=True, dropout=0.2)
    captions = language.tokenize(["a man walks", "fire"], 40)
    assert language.encode(captions.ids, captions.mask).shape == (*captions.ids.shape, 16)
    assert language.model.config.dropout == 0.2
    assert language.longest == 40


def test_the_tiny_model_is_always_the_same_and_reads_every_letter(tiny, tmp_path):
    state = torch.get_rng_state()
    other = write_tiny_language(tmp_path / "other")
    assert torch.equal(torch.get_rng_state(), state)
    first, second = (Language(f, trainable=False, dropout=0.0) for f in (tiny, other))
    weights = sha256(tiny / "model.safetensors")
    assert first.fingerprint() == second.fingerprint() == weights
    captions = first.tokenize(["The quick brown Fox, jumping over a lazy dog."], 64)
    assert first.tokenizer.unk_token_id not in captions.ids
