"""Sound that is short, silent, slow or in many channels gives sensible features."""

import numpy as np
import pytest
import torch
from varkit_extractors.vggish import VGGish
from varkit_extractors.yamnet import YAMNet, class_names

from tests.support.sounds import clips_of, decoded
from tests.support.videos import make_video
from varkit.testing.probes import evaluation


@pytest.fixture(scope="module", params=[VGGish, YAMNet], ids=lambda kind: kind.__name__)
def extractor(request, tmp_path_factory):
    """With random weights, which any machine has."""
    return request.param(**request.param.example(tmp_path_factory.mktemp("weights")))


def tone(hertz, seconds, rate, channels=1):
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[None], channels, axis=0)


def written(path, wave, rate, layout="mono"):
    return make_video(
        path, sound=wave, sound_codec="pcm_s16le", sound_format="s16", layout=layout, rate=rate
    )


def heard(extractor, clips):
    with evaluation(extractor):
        streams = extractor(clips)
    for name, stream in extractor.streams.items():
        assert streams[name].shape == (len(clips), stream.width)
        assert torch.isfinite(streams[name]).all()
    return streams["features"]


def features(extractor, decoder, path):
    return heard(extractor, clips_of(decoded(decoder, path), extractor.reads))


def test_three_tenths_of_a_second_are_one_clip_with_zeros_behind(extractor, decoder, tmp_path):
    made = features(extractor, decoder, written(tmp_path / "a.wav", tone(440, 0.3, 16_000), 16_000))
    clip = torch.zeros(1, extractor.reads.samples)
    clip[0, :4_800] = torch.from_numpy(tone(440, 0.3, 16_000)[0])
    assert made.shape[0] == 1
    assert torch.cosine_similarity(made, heard(extractor, clip)).min() > 0.99


def test_silence_is_finite_and_always_the_same(extractor, decoder, tmp_path):
    made = features(extractor, decoder, written(tmp_path / "a.wav", np.zeros((1, 48_000)), 16_000))
    assert len(made) == 3
    torch.testing.assert_close(made, made[:1].expand(3, -1))


@pytest.mark.parametrize(
    ("rate", "layout", "channels"), [(8_000, "mono", 1), (44_100, "stereo", 2), (48_000, "7.1", 8)]
)
def test_a_tone_is_the_same_at_any_rate_and_in_any_channels(
    extractor, decoder, tmp_path, rate, layout, channels
):
    made = features(
        extractor,
        decoder,
        written(tmp_path / "a.mkv", tone(440, 1.2, rate, channels), rate, layout),
    )
    plain = torch.from_numpy(tone(440, 1.2, 16_000)[0]).float()
    expected = heard(extractor, clips_of(plain, extractor.reads))
    assert torch.cosine_similarity(made, expected).min() > 0.99


def test_the_packaged_weights_call_silence_silence(decoder, tmp_path):
    if lacking := YAMNet.missing():
        pytest.skip(lacking[0])
    extractor = YAMNet()
    samples = decoded(decoder, written(tmp_path / "a.wav", np.zeros((1, 48_000)), 16_000))
    with evaluation(extractor):
        scores = extractor(clips_of(samples, extractor.reads))["classes"]
    assert {class_names()[n] for n in scores.argmax(1)} == {"Silence"}
