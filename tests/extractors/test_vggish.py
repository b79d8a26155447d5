"""VGGish is the published network, and what follows it as published.

Its weights are in no package, so random ones stand for them: the published means and deviations of
its smoke test cannot be checked here.
"""

import numpy as np
import pytest
import torch
from varkit_extractors.log_mel import SAMPLES
from varkit_extractors.vggish import Network, VGGish

from tests.support.log_mel import log_mel
from tests.support.sound_networks import vggish
from tests.support.sounds import clips_of, decoded
from varkit.errors import CheckpointError
from varkit.interfaces import SoundClips
from varkit.system import tensors
from varkit.testing.probes import evaluation

PORT = {
    "features.0": (64, 1, 3, 3),
    "features.3": (128, 64, 3, 3),
    "features.6": (256, 128, 3, 3),
    "features.8": (256, 256, 3, 3),
    "features.11": (512, 256, 3, 3),
    "features.13": (512, 512, 3, 3),
    "embeddings.0": (4096, 12_288),
    "embeddings.2": (4096, 4096),
    "embeddings.4": (128, 4096),
}
"""The names and shapes of the weights in vggish-10086976.pth; each has a bias, too."""
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, (2, SAMPLES)).astype(np.float32)


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    return VGGish.example(tmp_path_factory.mktemp("vggish"))


def heard(extractor):
    with evaluation(extractor):
        return extractor(torch.from_numpy(NOISE))["features"].numpy()


def write_pca(path, seed=0):
    chance = np.random.default_rng(seed)
    arrays = {
        "pca_means": chance.normal(0, 0.1, 128),
        "pca_eigen_vectors": chance.normal(0, 0.3, (128, 128)),
    }
    np.savez(path, **arrays)
    return arrays


def test_embeddings_equal_the_slow_definition(options):
    """It flattens as TensorFlow does: height, width, channel."""
    state, _ = tensors.load(options["weights"])
    numbers = {name: tensor.numpy().astype(np.float64) for name, tensor in state.items()}
    expected = np.stack([vggish(numbers, log_mel(clip, 0.01)) for clip in NOISE])
    assert expected.std() > 0.1
    assert (expected < 0).any()
    raw = heard(VGGish(**options, relu=False))
    np.testing.assert_allclose(raw, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(heard(VGGish(**options)), np.maximum(raw, 0))


def test_the_names_of_the_weights_are_those_of_the_ports():
    with torch.device("meta"):
        state = Network(hidden=4096).state_dict()
    shapes = {f"{name}.weight": shape for name, shape in PORT.items()}
    shapes |= {f"{name}.bias": shape[:1] for name, shape in PORT.items()}
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == shapes


def test_the_files_of_the_ports_can_be_read(options, tmp_path):
    state, _ = tensors.load(options["weights"])
    for name, new in (("new.pth", True), ("old.pth", False)):
        path = tmp_path / name
        torch.save(state, path, _use_new_zipfile_serialization=new)
        np.testing.assert_array_equal(heard(VGGish(weights=str(path))), heard(VGGish(**options)))


def test_whitening_and_rounding_are_the_published_ones(options, tmp_path):
    path = tmp_path / "pca.npz"
    pca = write_pca(path)
    raw = heard(VGGish(**options, relu=False))
    whitened = (pca["pca_eigen_vectors"] @ (raw.T - pca["pca_means"][:, None])).T
    made = heard(VGGish(**options, relu=False, pca=str(path)))
    np.testing.assert_allclose(made, whitened, rtol=1e-6, atol=1e-6)
    codes = ((np.clip(whitened, -2, 2) + 2) * (255 / 4)).astype(np.uint8)
    made = heard(VGGish(**options, relu=False, pca=str(path), quantise=True))
    np.testing.assert_array_equal(made, codes)
    assert {0, 255} < set(codes.reshape(-1))


def test_the_published_parameters_of_the_whitening_can_be_read(options, real_data):
    path = real_data / "bmt_sample" / "vggish_pca_params.npz"
    extractor = VGGish(**options, relu=False, pca=str(path))
    with np.load(path) as file:
        np.testing.assert_array_equal(extractor.pca_means, file["pca_means"])
        np.testing.assert_array_equal(extractor.pca_eigen_vectors, file["pca_eigen_vectors"])
        assert (file["pca_means"] < 0).any()  # so no ReLU came before
    assert np.isfinite(heard(extractor)).all()


def test_a_real_video_has_as_many_patches_as_published_features(real_data, decoder):
    folder = real_data / "bmt_sample"
    published = np.load(folder / "women_long_jump_vggish.npy")
    samples = decoded(decoder, folder / "women_long_jump.mp4")
    assert len(clips_of(samples, SoundClips(samples=15_600, hop=15_360))) == len(published) == 36
    assert published.min() == 0  # a ReLU, and no whitening


def test_the_origin_says_the_weights_and_the_parameters(options, tmp_path):
    path = tmp_path / "pca.npz"
    write_pca(path)
    plain = VGGish(**options).origin
    first = VGGish(**options, pca=str(path)).origin
    write_pca(path, seed=1)
    second = VGGish(**options, pca=str(path)).origin
    assert len({origin["weights_sha256"] for origin in (plain, first, second)}) == 1
    assert first["pca_sha256"] != second["pca_sha256"]
    assert "pca_sha256" not in plain


def test_what_is_wrong_with_a_file_is_said(options, tmp_path):
    with pytest.raises(ValueError, match="quantise=true needs pca"):
        VGGish(**options, quantise=True)
    pca = tmp_path / "pca.npz"
    np.savez(pca, pca_means=np.zeros(128))
    with pytest.raises(CheckpointError, match=r"pca\.npz holds no array 'pca_eigen_vectors'"):
        VGGish(**options, pca=str(pca))
    np.savez(pca, pca_means=np.zeros(7), pca_eigen_vectors=np.zeros((128, 128)))
    with pytest.raises(CheckpointError, match=r"holds pca_means of shape \(7,\) instead of"):
        VGGish(**options, pca=str(pca))
    pca.write_bytes(b"PK")
    with pytest.raises(CheckpointError, match=r"pca\.npz cannot be read"):
        VGGish(**options, pca=str(pca))
    state, _ = tensors.load(options["weights"])
    state.pop("features.0.bias")
    path = tmp_path / "a.safetensors"
    tensors.save(path, state, {})
    with pytest.raises(CheckpointError, match=r"fit vggish: it lacks features\.0\.bias \(64,\)"):
        VGGish(weights=str(path))
