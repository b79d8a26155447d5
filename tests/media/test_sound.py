"""Sound comes as 16 kHz mono, without anything added, cut or moved."""

import numpy as np
import pytest

from tests.support.videos import collect, make_video
from varkit.media.chunks import SOUND_RATE, View


def tone(hertz, seconds, rate, *, channels=1, level=0.5):
    wave = level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[None], channels, axis=0)


def heard(decoder, path):
    _, parts, decoding = collect(decoder, path, sound=True)
    assert decoding.outcome.status == "ok"
    for part in parts:
        assert part.samples.dtype == np.float32
        assert np.abs(part.samples).max() <= 1
    starts = [part.start for part in parts]
    lengths = np.cumsum([0, *(len(part.samples) for part in parts)])
    np.testing.assert_allclose(starts, starts[0] + lengths[:-1] / SOUND_RATE)
    return np.concatenate([part.samples for part in parts])


@pytest.mark.parametrize(
    ("name", "codec", "form", "layout", "rate"),
    [
        ("a.wav", "pcm_s16le", "s16", "mono", 16_000),
        ("a.wav", "pcm_u8", "u8", "mono", 8_000),
        ("a.wav", "pcm_f32le", "flt", "stereo", 44_100),
        ("a.mkv", "pcm_s16le", "s16", "7.1", 48_000),
        ("a.flac", "flac", "s16", "stereo", 96_000),
        ("a.mkv", "libopus", "flt", "mono", 48_000),
        ("a.mp4", "aac", "fltp", "mono", 44_100),
        ("a.avi", "pcm_s16le", "s16", "mono", 22_050),
    ],
)
def test_a_tone_keeps_its_pitch_its_phase_and_its_length(
    decoder, tmp_path, name, codec, form, layout, rate
):
    channels = {"mono": 1, "stereo": 2, "7.1": 8}[layout]
    wave = tone(440, 1.0, rate, channels=channels)
    path = make_video(
        tmp_path / name, sound=wave, sound_codec=codec, sound_format=form, layout=layout, rate=rate
    )
    samples = heard(decoder, path)
    assert len(samples) == pytest.approx(SOUND_RATE, abs=700)
    middle = slice(4_000, 12_000)
    expected = tone(440, 1.0, SOUND_RATE)[0, middle]
    tolerance = {"pcm_u8": 0.015, "libopus": 0.03, "aac": 0.03}.get(codec, 0.001)
    np.testing.assert_allclose(samples[middle], expected, atol=tolerance)


def test_channels_are_averaged(decoder, tmp_path):
    left = tone(440, 1.0, 16_000)
    path = make_video(
        tmp_path / "a.wav",
        sound=np.concatenate([left, 0 * left]),
        sound_codec="pcm_s16le",
        sound_format="s16",
        layout="stereo",
        rate=16_000,
    )
    np.testing.assert_allclose(heard(decoder, path), left[0] / 2, atol=1e-4)


def test_what_the_new_rate_cannot_carry_is_gone(decoder, tmp_path):
    path = make_video(
        tmp_path / "a.wav",
        sound=tone(9_000, 1.0, 44_100),
        sound_codec="pcm_f32le",
        sound_format="flt",
        rate=44_100,
    )
    assert np.abs(heard(decoder, path)[2_000:-2_000]).max() < 1e-4


def test_what_is_not_a_number_is_silence_and_too_loud_is_clipped(decoder, tmp_path):
    wave = tone(440, 1.0, 16_000, level=3.0)
    wave[0, 100:200] = np.nan
    wave[0, 300] = np.inf
    path = make_video(
        tmp_path / "a.wav", sound=wave, sound_codec="pcm_f32le", sound_format="flt", rate=16_000
    )
    samples = heard(decoder, path)
    assert (samples[100:200] == 0).all()
    assert samples.max() == 1.0
    assert samples.min() == -1.0


@pytest.mark.parametrize("seconds", [0.3, 0.02])
def test_short_sound_is_whole(decoder, tmp_path, seconds):
    wave = tone(440, seconds, 48_000)
    path = make_video(
        tmp_path / "a.mkv",
        range(0, 400, 40),
        sound=wave,
        sound_codec="pcm_s16le",
        sound_format="s16",
    )
    [(_, times)], parts, decoding = collect(decoder, path, View(), sound=True)
    assert len(times) == 10
    assert sum(len(part.samples) for part in parts) == round(seconds * SOUND_RATE)
    assert decoding.outcome.status == "ok"


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "flv"])
def test_sound_may_last_longer_than_pictures(decoder, tmp_path, suffix):
    path = make_video(tmp_path / f"a.{suffix}", range(0, 400, 40), sound=tone(440, 3, 48_000))
    [(_, times)], parts, decoding = collect(decoder, path, View(fps=25), sound=True)
    assert len(times) == pytest.approx(10, abs=1)
    assert sum(len(part.samples) for part in parts) == pytest.approx(3 * SOUND_RATE, abs=1_000)
    assert decoding.outcome.status == "ok"
    assert decoding.facts.duration == pytest.approx(3, abs=0.1)


def test_a_pause_between_two_recordings_is_a_jump_and_not_damage(decoder, tmp_path):
    import av

    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for start in (0, 80_000):
            wave = (tone(440, 1.0, 16_000) * 32_767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16_000, start
            file.mux(stream.encode(frame))
    _, parts, decoding = collect(decoder, path, sound=True)
    assert [part.start for part in parts] == [0.0, 5.0]
    assert [len(part.samples) for part in parts] == [16_000, 16_000]
    assert decoding.outcome.sound.decoded == pytest.approx(2.0)


def test_a_file_without_the_streams_that_were_asked_for(decoder, tmp_path):
    silent = make_video(tmp_path / "a.mp4", range(0, 400, 40))
    [(_, times)], parts, decoding = collect(decoder, silent, View(), sound=True)
    assert (len(times), parts, decoding.facts.sound_codec) == (10, [], None)
    assert (decoding.outcome.sound, decoding.outcome.status) == (None, "ok")
    dark = make_video(
        tmp_path / "a.ogg", sound=tone(440, 1, 48_000), sound_codec="libopus", sound_format="flt"
    )
    [(_, times)], parts, decoding = collect(decoder, dark, View(), sound=True)
    assert len(times) == 0
    assert parts
    assert decoding.facts.picture_codec is None
    assert (decoding.outcome.pictures, decoding.outcome.status) == (None, "ok")


def test_a_cover_picture_is_not_a_video(decoder, tmp_path):
    import av

    path = tmp_path / "a.mp3"
    with av.open(str(path), "w") as file:
        music = file.add_stream("libmp3lame", rate=44_100, layout="mono")
        cover = file.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        image = np.zeros((48, 64, 3), np.uint8)
        file.mux(cover.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        wave = tone(440, 1.0, 44_100).astype(np.float32)
        for start in range(0, 44_000, 1152):
            part = np.ascontiguousarray(wave[:, start : start + 1152])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44_100, start
            file.mux(music.encode(frame))
        file.mux(music.encode())
    [(_, times)], parts, decoding = collect(decoder, path, View(), sound=True)
    assert decoding.facts.picture_codec is None
    assert len(times) == 0
    assert parts
