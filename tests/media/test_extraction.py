"""One pass over a file feeds all extractors, and what is damaged leaves a gap in the times."""

import socket
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support import extractors as tiny
from tests.support.videos import make_video
from varkit.errors import PluginError
from varkit.interfaces import PictureClips, Stream
from varkit.media.extraction import extract, place
from varkit.media.extractors import Named, Wanted, build_extractors
from varkit.plugins.loading import load_plugins

CPU = torch.device("cpu")
PLUGIN = Path(tiny.__file__)
TONE = 0.3 * np.sin(np.arange(3 * 48_000) / 20)[None]


def built(*wanted):
    extractors = build_extractors(wanted, load_plugins([PLUGIN]))
    place(extractors, CPU)
    return extractors


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("one") / "a.mp4"
    return make_video(path, list(range(0, 3000, 40)), sound=TONE)


def test_each_extractor_gets_what_it_would_get_alone(decoder, video):
    eye, slow, ear = (
        Wanted("eye", "eye"),
        Wanted("slow", "eye", {"fps": 2.0, "frames": 3, "stride": 2}),
        Wanted("ear", "ear"),
    )
    together = extract(decoder, video, built(eye, slow, ear), device=CPU)
    assert set(together.made) == {"eye", "slow", "ear"}
    for wanted in (eye, slow, ear):
        alone = extract(decoder, video, built(wanted), device=CPU).made[wanted.name]
        made = together.made[wanted.name]
        np.testing.assert_array_equal(made.times, alone.times)
        for name, stream in alone.streams.items():
            np.testing.assert_array_equal(made.streams[name], stream)
    assert together.made["slow"].streams["size"].tolist() == [[3], [3]]
    np.testing.assert_allclose(together.made["slow"].times, [[0, 1], [1, 2]])


def test_crops_come_first(decoder, video):
    made = extract(decoder, video, built(Wanted("eye", "eye", {"crops": 5})), device=CPU).made
    light = made["eye"].streams["light"]
    assert light.shape == (5, 15, 24)
    np.testing.assert_array_equal(light[:, 0, 0], np.arange(5))
    assert made["eye"].streams["size"].shape == (15, 1)


def test_a_video_shorter_than_a_clip_is_one_clip(decoder, tmp_path):
    short = make_video(tmp_path / "a.mp4", [0, 200, 400], sound=TONE[:, :4800])
    wanted = built(Wanted("eye", "eye", {"frames": 16, "stride": 16}), Wanted("ear", "ear"))
    made = extract(decoder, short, wanted, device=CPU).made
    assert made["eye"].streams["light"].shape == (1, 24)
    assert made["ear"].streams["loudness"].shape == (1, 1)
    assert made["ear"].times[0, 1] == pytest.approx(0.1, abs=0.05)


def test_what_is_damaged_leaves_a_gap_in_the_times(decoder, tmp_path):
    import av

    random, path = np.random.default_rng(0), tmp_path / "a.mp4"
    with av.open(str(path), "w", container_options={"movflags": "faststart"}) as file:
        shown = file.add_stream("libx264", rate=25)
        shown.width, shown.height, shown.pix_fmt = 96, 64, "yuv420p"
        shown.codec_context.gop_size = 10
        for _ in range(200):
            noise = random.integers(0, 255, (64, 96, 3), np.uint8)
            file.mux(shown.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        file.mux(shown.encode())
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) * 2 // 3] = bytes(len(data) * 2 // 3 - len(data) // 2)
    path.write_bytes(data)
    extracted = extract(decoder, path, built(Wanted("eye", "eye")), device=CPU)
    assert extracted.outcome.status == "partial"
    starts = extracted.made["eye"].times[:, 0]
    assert np.diff(starts).max() > 0.5
    assert np.diff(starts).min() > 0
    assert len(starts) / 5 == pytest.approx(8 * extracted.outcome.coverage, abs=0.8)


def test_it_stops_when_it_has_seen_enough(decoder, tmp_path):
    long = make_video(tmp_path / "a.mp4", list(range(0, 150_000, 1000)))
    made = extract(decoder, long, built(Wanted("eye", "eye")), device=CPU, seconds=1.0).made
    assert 5 <= len(made["eye"].times) < 600
    made = extract(decoder, long, built(Wanted("eye", "eye")), device=CPU).made
    assert len(made["eye"].times) == pytest.approx(750, abs=5)


class Wrong:
    reads = PictureClips(fps=2.0, short_side=16)
    batch = 2

    def __init__(self, make):
        self.make, self.origin, self.streams = make, {}, {"a": Stream(3)}

    def __call__(self, clips):
        return self.make(len(clips))


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda n: {"a": torch.ones(n, 4)}, r"must have shape \(2, 3\); it made shape \(2, 4\)"),
        (lambda n: {"a": torch.ones(n + 1, 3)}, r"it made shape \(3, 3\)"),
        (lambda n: {"b": torch.ones(n, 3)}, "it made nothing"),
    ],
)
def test_an_extractor_that_makes_something_else_is_named(make, what, decoder, video):
    named = Named("mine", Wrong(make), {})
    with pytest.raises(PluginError, match=rf"extractor 'mine', stream 'a'.*{what}"):
        extract(decoder, video, [named], device=CPU)


def test_nothing_is_called_over_the_network(decoder, video, monkeypatch):
    def refuse(*_):
        raise AssertionError("a call over the network")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    extracted = extract(
        decoder, video, built(Wanted("eye", "eye"), Wanted("ear", "ear")), device=CPU
    )
    assert extracted.outcome.status == "ok"
