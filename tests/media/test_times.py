"""Pictures have the times at which a player shows them, whatever the container does to them."""

from fractions import Fraction

import numpy as np
import pytest

from tests.support.videos import collect, make_video, number, picture
from varkit.media.chunks import View

STEADY = range(0, 1200, 40)
VARIABLE = [0, 40, 80, 130, 400, 440, 1000, 1033, 1066, 1700, 1740, 2400]
TONE = 0.5 * np.sin(np.arange(48_000) / 20)[None]


def shown_at(times, tick):
    """What a player shows: the latest picture that has begun."""
    return max((i for i, time in enumerate(times) if time <= tick + 1), default=0)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("steady.mp4", {}),
        ("steady.mkv", {}),
        ("steady.ts", {}),
        ("steady.flv", {"b_frames": 0}),
        ("steady.mov", {"codec": "mpeg4"}),
        ("steady.avi", {"codec": "mpeg4", "unit": Fraction(1, 25), "times": range(30)}),
        ("b-frames.avi", {"unit": Fraction(1, 25), "times": range(30)}),
        ("steady.webm", {"codec": "libvpx"}),
        ("stream.h264", {}),
        ("variable.mp4", {"times": VARIABLE}),
        ("variable.mkv", {"times": VARIABLE}),
        ("variable-long-b.mp4", {"times": VARIABLE, "b_frames": 4}),
        ("offset.mkv", {"times": [t + 5000 for t in VARIABLE]}),
        ("offset.mp4", {"times": [t + 5000 for t in VARIABLE]}),
        ("wrapping.ts", {"options": {"output_ts_offset": "95443"}}),  # 33 bits at 90 kHz end soon
        ("odd.webm", {"codec": "libvpx", "size": (65, 47)}),
        ("ten-bit.mkv", {"codec": "ffv1", "pixels": "yuv420p10le"}),
        ("fast.mkv", {"unit": Fraction(1, 240), "times": range(60), "codec": "ffv1"}),
    ],
)
def test_every_picture_has_its_own_time(decoder, tmp_path, name, how):
    how = {"times": STEADY, **how}
    times = np.array(how["times"]) * float(how.get("unit", Fraction(1, 1000)))
    path = make_video(tmp_path / name, **how)
    [(frames, got)], _, decoding = collect(decoder, path, View())
    assert [number(frame) for frame in frames] == list(range(len(times)))
    np.testing.assert_allclose(got, times - times[0], atol=0.001)
    assert decoding.outcome.status == "ok"
    assert decoding.outcome.coverage == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_pictures_before_the_start_are_not_shown(decoder, tmp_path, suffix):
    early = {"output_ts_offset": "-0.4", "avoid_negative_ts": "0"}
    path = make_video(tmp_path / f"a.{suffix}", STEADY, options=early)
    [(frames, times)], _, _ = collect(decoder, path, View())
    assert [number(frame) for frame in frames] == list(range(10, 30))
    np.testing.assert_allclose(times, np.arange(20) / 25, atol=0.001)


@pytest.mark.parametrize("fps", [1, 7, 25, 30, 1000 / 33])
@pytest.mark.parametrize(("name", "times"), [("a.mp4", STEADY), ("b.mkv", VARIABLE)])
def test_a_tick_has_what_a_player_shows_then(decoder, tmp_path, fps, name, times):
    path = make_video(tmp_path / name, times)
    [(frames, got)], _, _ = collect(decoder, path, View(fps=fps))
    end = times[-1] + 40
    ticks = [k for k in range(3000) if 1000 * k / fps < end - 1]
    np.testing.assert_allclose(got, [k / fps for k in ticks])
    assert [number(f) for f in frames] == [shown_at(times, 1000 * k / fps) for k in ticks]


def test_views_of_one_pass_do_not_depend_on_each_other(decoder, tmp_path):
    path = make_video(tmp_path / "a.mp4", VARIABLE, size=(96, 64))
    views = [View(fps=25, short_side=48), View(fps=3, short_side=48, crop=32), View()]
    together, _, _ = collect(decoder, path, *views, views[0])
    for view, (frames, times) in zip(views, together, strict=False):
        [(alone, own)], _, _ = collect(decoder, path, view)
        np.testing.assert_array_equal(frames, alone)
        np.testing.assert_array_equal(times, own)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("late", ["sound", "pictures"])
def test_pictures_and_sound_share_a_clock_if_one_starts_late(decoder, tmp_path, suffix, late):
    lag, base = 500, 3000
    times = [t + base + lag * (late == "pictures") for t in STEADY]
    click = np.zeros((1, 48_000))
    click[0, 24_000:24_100] = 0.9  # half a second after the sound begins
    path = make_video(
        tmp_path / f"a.{suffix}", times, sound=click, sound_start=base + lag * (late == "sound")
    )
    [(frames, got)], heard, decoding = collect(decoder, path, View(), sound=True)
    np.testing.assert_allclose(got[0], 0.5 if late == "pictures" else 0.0, atol=0.025)
    assert number(frames[0]) == 0
    samples = np.concatenate([part.samples for part in heard])
    loudest = heard[0].start + np.argmax(samples > 0.45) / 16_000
    assert loudest == pytest.approx(1.0 if late == "sound" else 0.5, abs=0.025)
    # The distance between them is exact, even where the container shifts both.
    assert loudest - got[0] == pytest.approx(1.0 if late == "sound" else 0.0, abs=0.002)
    assert decoding.outcome.status == "ok"


def test_a_first_picture_that_is_a_little_late_counts_for_the_first_tick(decoder, tmp_path):
    path = make_video(tmp_path / "a.mkv", [80, 120, 160], sound=TONE[:, :12_000])
    [(_, slow), (_, fast)], _, _ = collect(decoder, path, View(fps=1), View(fps=25), sound=True)
    assert slow.tolist() == [0]
    np.testing.assert_allclose(fast, [0.08, 0.12, 0.16])


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_picture_is_turned_as_a_player_turns_it(decoder, tmp_path, turn):
    path = make_video(tmp_path / "a.mp4", STEADY[:14], turn=turn)
    (whole, small), _, _ = collect(decoder, path, View(), View(short_side=24, crop=24))
    expected = np.rot90(picture(13, 64, 48), turn // 90)
    assert whole[0][13].shape == expected.shape
    assert np.abs(whole[0][13].astype(int) - expected).mean() < 12
    assert small[0].shape[1:] == (24, 24, 3)


def test_pixels_that_are_not_square_become_square(decoder, tmp_path):
    path = make_video(tmp_path / "a.mkv", STEADY, aspect=Fraction(16, 11))
    [(frames, _), (small, _)], _, _ = collect(decoder, path, View(), View(short_side=24))
    assert frames.shape[1:3] == (48, 93)
    assert small.shape[1:3] == (24, 47)


def test_colours_are_right(decoder, tmp_path):
    import av

    red = np.zeros((48, 64, 3), np.uint8) + np.array([200, 30, 60], np.uint8)
    with av.open(str(tmp_path / "a.mkv"), "w") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        for _ in range(3):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(red, format="rgb24")))
        file.mux(stream.encode())
    [(frames, _)], _, _ = collect(decoder, tmp_path / "a.mkv", View(short_side=24))
    assert np.abs(frames.astype(int) - red[0, 0]).max() <= 3


def test_a_picture_size_that_changes_is_brought_to_the_first(decoder, tmp_path):
    for name, size in (("a", (64, 48)), ("b", (128, 64))):
        make_video(tmp_path / f"{name}.h264", STEADY, size=size, container="h264")
    both = tmp_path / "both.h264"
    both.write_bytes((tmp_path / "a.h264").read_bytes() + (tmp_path / "b.h264").read_bytes())
    [(frames, times)], _, _ = collect(decoder, both, View())
    assert frames.shape[1:] == (48, 64, 3)
    assert [number(f) for f in frames] == [*range(30), *range(30)]
    np.testing.assert_allclose(np.diff(times), 0.04)


@pytest.mark.parametrize(
    "wrong", [{"fps": 0}, {"fps": float("nan")}, {"short_side": 0}, {"short_side": 8, "crop": 9}]
)
def test_an_impossible_view_is_refused(wrong):
    with pytest.raises(ValueError, match=r"fps|short_side|crop"):
        View(**wrong)
