"""CLIP- and SigLIP-like models give what transformers gives, in one space for both sides."""

import io
import json
import os
import socket

import pytest
import torch
from tokenizers import pre_tokenizers
from torch.nn import functional as F

pytest.importorskip("transformers")

from transformers import (
    AutoTokenizer,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    SiglipProcessor,
)
from varkit_extractors.joint import Joint, write_tiny

from tests.support.calls import call, passed
from varkit.errors import RecipeError, VarkitError
from varkit.interfaces import PictureClips
from varkit.media.extractors import Wanted, build_extractors
from varkit.plugins.loading import load_plugins

TEXTS = ["a man hits two people", "fire", "the old car is in the street " * 5]
KINDS = {
    "clip": (CLIPConfig, CLIPModel, {"projection_dim": 12}),
    "siglip": (SiglipConfig, SiglipModel, {}),
}


@pytest.fixture(params=KINDS)
def model(request, tmp_path):
    config, cls, options = KINDS[request.param]
    write_tiny(tmp_path, config, cls, **options)
    return request.param, tmp_path, cls.from_pretrained(tmp_path).eval()


@pytest.fixture
def clip(tmp_path):
    write_tiny(tmp_path, CLIPConfig, CLIPModel, projection_dim=12)
    return tmp_path


def pictures(count=3, side=32):
    chance = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 1, side, side, 3), generator=chance, dtype=torch.uint8)


def test_pictures_are_where_the_library_puts_them(model):
    _, folder, theirs = model
    ours = Joint(model=str(folder))
    processor = CLIPImageProcessor(
        **json.loads((folder / "preprocessor_config.json").read_text()), do_center_crop=False
    )
    shown = processor(list(pictures()[:, 0].numpy()), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        expected = F.normalize(theirs.get_image_features(pixel_values=shown).pooler_output, dim=-1)
        made = ours(pictures())["features"]
    torch.testing.assert_close(made, expected, rtol=1e-5, atol=1e-5)


def test_sentences_are_where_the_library_puts_them(model):
    kind, folder, theirs = model
    ours = Joint(model=str(folder))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    padding = "max_length" if kind == "siglip" else True
    tokens = tokenizer(TEXTS, padding=padding, max_length=12, truncation=True, return_tensors="pt")
    tokens.pop("token_type_ids", None)
    if kind == "siglip":
        tokens.pop("attention_mask")
    with torch.inference_mode():
        expected = theirs.get_text_features(**tokens).pooler_output
    torch.testing.assert_close(ours.encode_text(TEXTS), F.normalize(expected, dim=-1))
    alone = torch.cat([ours.encode_text([text]) for text in TEXTS])
    torch.testing.assert_close(ours.encode_text(TEXTS), alone, rtol=1e-4, atol=1e-5)


def clip_processor(folder):
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(letter + "</w>" for letter in letters)]
    words += ["fi", "re</w>", "fire</w>", "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\nf i\nr e</w>\nfi re</w>\n")
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    look = CLIPImageProcessor(size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32})
    return CLIPProcessor(look, tokenizer)


def siglip_processor(folder):
    sentencepiece = pytest.importorskip("sentencepiece")
    from transformers import SiglipTokenizer

    content = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 20),
        model_writer=content,
        vocab_size=40,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (folder / "spiece.model").write_bytes(content.getvalue())
    tokenizer = SiglipTokenizer(str(folder / "spiece.model"))
    return SiglipProcessor(SiglipImageProcessor(size={"height": 32, "width": 32}), tokenizer)


@pytest.mark.parametrize(
    ("kind", "make", "short_side"), [("clip", clip_processor, 40), ("siglip", siglip_processor, 32)]
)
def test_a_folder_is_read_as_its_library_saves_it(kind, make, short_side, tmp_path):
    config, cls, options = KINDS[kind]
    write_tiny(tmp_path, config, cls, **options)
    for name in ("vocab.txt", "tokenizer_config.json", "preprocessor_config.json"):
        (tmp_path / name).unlink()
    processor = make(tmp_path)
    config = config.from_pretrained(tmp_path)
    words = config.text_config.vocab_size = len(processor.tokenizer)
    config.text_config.pad_token_id = config.text_config.eos_token_id = words - 1
    theirs = cls(config).eval()
    theirs.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    assert not (tmp_path / "preprocessor_config.json").exists()
    ours = Joint(model=str(tmp_path))
    assert ours.reads == PictureClips(1.0, short_side, 32)
    seen = pictures(side=short_side)
    edge = (short_side - 32) // 2
    inner = slice(edge, edge + 32)
    padding = "max_length" if kind == "siglip" else True
    tokens = processor(
        text=["FIRE, in the street!", *TEXTS],
        images=list(seen[:, 0].numpy()),
        padding=padding,
        max_length=12,
        truncation=True,
        return_tensors="pt",
    )
    shown = tokens.pop("pixel_values")
    if kind == "siglip":  # its published tokenizers say so: no mask
        tokens.pop("attention_mask")
    with torch.inference_mode():
        features = theirs.get_image_features(pixel_values=shown).pooler_output
        sentences = theirs.get_text_features(**tokens).pooler_output
        made = ours(seen[:, :, inner, inner])["features"]
    torch.testing.assert_close(made, F.normalize(features, dim=-1), rtol=1e-5, atol=1e-5)
    encoded = ours.encode_text(["FIRE, in the street!", *TEXTS])
    torch.testing.assert_close(encoded, F.normalize(sentences, dim=-1))


def test_the_logits_of_the_library_are_scaled_cosines(clip):
    theirs, ours = CLIPModel.from_pretrained(clip).eval(), Joint(model=str(clip))
    shown = (pictures()[:, 0].permute(0, 3, 1, 2) - ours.mean) * ours.scale
    tokens = AutoTokenizer.from_pretrained(clip)(
        TEXTS, padding=True, max_length=12, truncation=True, return_tensors="pt"
    )
    tokens.pop("token_type_ids", None)
    with torch.inference_mode():
        logits = theirs(pixel_values=shown, **tokens).logits_per_image
        cosines = ours(pictures())["features"] @ ours.encode_text(TEXTS).T
    torch.testing.assert_close(ours.origin["logit_scale"] * cosines, logits, rtol=1e-4, atol=1e-4)


def test_places_are_means_of_projected_patches(clip):
    theirs = CLIPModel.from_pretrained(clip).eval()
    ours = Joint(model=str(clip), places=4)
    assert ours.streams["patches"].width == 4 * 12
    with torch.inference_mode():
        made = ours(pictures())["patches"].reshape(3, 4, 12)
        shown = (pictures()[:, 0].permute(0, 3, 1, 2) - ours.mean) * ours.scale
        tokens = theirs.vision_model(pixel_values=shown).last_hidden_state[:, 1:]
        projected = theirs.visual_projection(theirs.vision_model.post_layernorm(tokens))
    grid = projected.reshape(3, 4, 4, 12)
    for place, (top, left) in enumerate([(0, 0), (0, 2), (2, 0), (2, 2)]):
        mean = grid[:, top : top + 2, left : left + 2].mean(dim=(1, 2))
        torch.testing.assert_close(made[:, place], F.normalize(mean, dim=-1))


@pytest.mark.parametrize("places", [3, 25])
def test_places_that_cannot_be_are_refused(places, clip):
    with pytest.raises(ValueError, match="a square number up to 16"):
        Joint(model=str(clip), places=places)


def test_the_fingerprint_is_of_the_weights_and_not_of_the_folder(model, tmp_path_factory):
    import shutil

    _, folder, _ = model
    other = tmp_path_factory.mktemp("other") / "copy"
    shutil.copytree(folder, other)
    plugins = load_plugins()

    def mark(place):
        wanted = Wanted("joint", "joint", {"model": str(place)})
        return build_extractors([wanted], plugins)[0].fingerprint

    assert mark(folder) == mark(other)
    settings = json.loads((other / "preprocessor_config.json").read_text())
    settings["image_mean"] = [0.1, 0.2, 0.3]
    (other / "preprocessor_config.json").write_text(json.dumps(settings))
    assert mark(folder) != mark(other)


def test_nothing_is_downloaded_and_no_code_of_the_folder_runs(clip, monkeypatch):
    def refuse(*_):
        raise AssertionError("a call over the network")

    for name in ("connect", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    config = json.loads((clip / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "mine.Mine", "AutoConfig": "mine.Config"}
    (clip / "config.json").write_text(json.dumps(config))
    (clip / "mine.py").write_text(f"open({str(clip / 'canary')!r}, 'w')\n")
    assert Joint(model=str(clip)).streams
    assert not (clip / "canary").exists()
    with pytest.raises(RecipeError, match="models are not downloaded"):
        build_extractors(
            [Wanted("joint", "joint", {"model": "openai/clip-vit-base-patch32"})], load_plugins()
        )


def test_pickled_weights_are_refused_with_a_command_that_converts_them(clip):
    from safetensors.torch import load_file

    weights = clip / "model.safetensors"
    torch.save(load_file(weights), clip / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(VarkitError) as caught:
        Joint(model=str(clip))
    passed(call(*caught.value.hint.split()[1:]))
    assert Joint(model=str(clip)).streams


def test_what_siglips_tokenizer_needs_is_said_first(clip, monkeypatch):
    (clip / "spiece.model").touch()
    monkeypatch.setattr("varkit_extractors.joint.find_spec", lambda name: None)
    assert "pip install sentencepiece" in Joint.missing(model=str(clip))[1]


def cut(path):
    path.write_bytes(path.read_bytes()[:-50])


def says(**changed):
    def change(folder):
        file = folder / "preprocessor_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changed))

    return change


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda f: (f / "config.json").write_text('{"model_type": "clop"}'), "Did you mean 'clip'"),
        (lambda f: (f / "config.json").write_text("{"), "config.json names no model_type"),
        (lambda f: (f / "config.json").unlink(), "config.json cannot be read: No such file"),
        (lambda f: os.mkfifo(f / "merges.txt"), "merges.txt cannot be read: it is a pipe"),
        (lambda f: (f / "model.safetensors").unlink(), "no weights as safetensors"),
        (lambda f: cut(f / "model.safetensors"), "cannot load the model"),
        (lambda f: (f / "vocab.txt").unlink(), "knows 5 tokens, but the model has 128"),
        (lambda f: (f / "preprocessor_config.json").unlink(), "No such file"),
        (lambda f: (f / "preprocessor_config.json").write_text("[]"), "cannot be read"),
        (lambda f: (f / "processor_config.json").write_text("{"), "/processor_config.json cannot"),
        (says(size=64), "the model reads 32"),
        (says(size={"height": 32, "width": 48}), "not the size of a square"),
        (says(crop_size=48), "it says sides 32, 48"),
        (says(image_std=[1, 0, 1]), "it says"),
        (says(image_mean=[0, float("nan"), 0]), "it says"),
        (says(do_normalize=False), "are supported"),
        (says(do_rescale=False), "are supported"),
        (says(rescale_factor=1.0), "are supported"),
    ],
)
def test_damaged_folders_are_errors_that_say_what(change, what, clip):
    change(clip)
    with pytest.raises(VarkitError, match=what):
        Joint(model=str(clip))
