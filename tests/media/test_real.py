"""Real files, where they are present, have the same pictures as a plain loop of PyAV."""

import av
import numpy as np
import pytest

from tests.support.videos import collect
from varkit.media.chunks import View


@pytest.mark.parametrize(
    "name", ["videos/car_accident.mp4", "videos/mmaction2_test.avi", "videos/mmaction2_demo.mp4"]
)
def test_a_real_video_is_decoded_as_by_a_plain_loop(decoder, real_data, name):
    path = real_data / name
    [(frames, times), (_, seconds)], sound, decoding = collect(
        decoder, path, View(), View(fps=1, short_side=64), sound=True
    )
    with av.open(str(path)) as file:
        stream = file.streams.best("video")
        start = file.start_time / av.time_base
        size = {"height": frames.shape[1], "width": frames.shape[2]}  # their pixels are not square
        expected = [
            (frame.time - start, frame.to_ndarray(format="rgb24", **size))
            for frame in file.decode(stream)
        ]
    if path.suffix == ".avi":  # PyAV's times skip and repeat where there are B-frames
        np.testing.assert_allclose(times, np.arange(len(expected)) / decoding.facts.fps)
    else:
        np.testing.assert_allclose(times, [time for time, _ in expected], atol=1e-3)
    for frame, (_, image) in zip(frames, expected, strict=True):
        assert np.abs(frame.astype(int) - image).max() <= 2
    assert len(seconds) == np.ceil(decoding.outcome.pictures.declared - 1e-3)
    assert decoding.outcome.status == "ok"
    assert bool(sound) == (decoding.facts.sound_codec is not None)
