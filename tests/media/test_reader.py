"""A stored video read as clips: streams of other clocks, crops, gaps, damage."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.support.stores import SILENT, clock, made, make_store
from varkit.data.collate import segment_means
from varkit.errors import DataError
from varkit.media import reader as module
from varkit.media.extraction import Made
from varkit.media.reader import open_video, seen_at_centres
from varkit.media.store import Store, stream_file

STREAMS = {"object": "image.features", "motion": "i3d.features", "audio": "yamnet.features"}
ALL = 10**6


def opened(root, name="a.mp4", streams=STREAMS, **rest):
    with Store(root) as store:
        return open_video(store, name, streams, **rest)


def usual(seconds=8.0):
    """Eight seconds: a picture a second, I3D every 0.64 s, sound every 0.96 s."""
    every = {"image": 1.0, "i3d": 0.64, "yamnet": 0.96}
    return {name: made(name, clock(int(seconds / step), step)) for name, step in every.items()}


def slowly(spans, others):
    """Look at every clip: the last that has begun by the centre, or the next if it is nearer."""
    chosen = []
    for t, (start, end) in enumerate(others):
        if t + 1 < len(others):
            end = min(end, others[t + 1][0])
        centre = (start + end) / 2
        begun = max((s for s, (first, _) in enumerate(spans) if first <= centre), default=0)
        following = begun + 1
        if following < len(spans):
            behind, ahead = centre - spans[begun][1], spans[following][0] - centre
            if behind > 0 and ahead < behind:
                begun = following
        chosen.append(begun)
    return chosen


def test_the_clip_at_the_centre_is_the_one_that_a_slow_search_finds():
    random = np.random.default_rng(0)
    for _ in range(200):
        sides = []
        for _ in range(2):
            count, step = random.integers(1, 12), random.choice([0.25, 0.64, 0.96, 1.0])
            kept = np.sort(random.choice(20, count, replace=False))  # gaps
            starts = kept * step + random.choice([0, 0.4, 3])
            sides.append(np.stack([starts, starts + step * random.choice([0.5, 1, 2])], axis=1))
        assert seen_at_centres(*sides).tolist() == slowly(*sides)


def test_streams_are_resampled_by_their_real_times(tmp_path):
    video = opened(make_store(tmp_path, {"a.mp4": usual()}))
    assert video.length == 8
    assert video.times.dtype == np.float32
    np.testing.assert_allclose(video.times, clock(8, 1.0), rtol=1e-6)
    clips = video.means(ALL)
    assert clips.streams["object"][:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert clips.streams["motion"][:, 0].tolist() == [int((t + 0.5) / 0.64) for t in range(8)]
    assert clips.streams["audio"][:, 0].tolist() == [int((t + 0.5) / 0.96) for t in range(8)]
    by_sound = opened(tmp_path, clips_of="audio")
    np.testing.assert_allclose(by_sound.times, clock(8, 0.96), rtol=1e-6)
    assert by_sound.means(ALL).streams["object"][:, 0].tolist() == [
        int((t + 0.5) * 0.96) for t in range(8)
    ]


def test_streams_of_one_extractor_share_their_clips_without_a_search(tmp_path):
    video = opened(
        make_store(tmp_path, {"a.mp4": usual()}), streams={"x": "i3d.features", "y": "i3d.classes"}
    )
    tensors = load_file(stream_file(video.root, video.video))
    for stream, key in video.streams.items():
        np.testing.assert_array_equal(video.means(ALL).streams[stream], tensors[key])


def test_in_the_gap_of_a_damaged_file_the_nearer_clip_is_taken(tmp_path):
    pictures = np.concatenate([clock(2, 1.0), clock(2, 1.0, start=7.0)])
    videos = {"a.mp4": usual() | {"image": made("image", pictures)}}
    video = opened(make_store(tmp_path, videos), clips_of="audio")
    # Centres of sounds: 0.48, 1.44, 2.4, 3.36, 4.32, 5.28, 6.24, 7.2; the gap is from 2 to 7.
    assert video.means(ALL).streams["object"][:, 0].tolist() == [0, 1, 1, 1, 1, 2, 2, 2]
    by_pictures = opened(tmp_path)
    assert by_pictures.length == 4, "the gap has no clips"
    assert by_pictures.means(ALL).streams["audio"][:, 0].tolist() == [0, 1, 7, 7]


def test_a_stream_that_is_absent_is_zeros_and_named(tmp_path):
    video = opened(make_store(tmp_path, {"a.mp4": usual() | {"yamnet": SILENT}}), clips_of="audio")
    assert video.absent == {"audio"}
    assert video.length == 8, "the clips of the first stream count instead"
    clips = video.means(3)
    assert clips.absent == {"audio"}
    assert list(clips.streams) == list(STREAMS)
    assert clips.streams["audio"].shape == (3, 2)
    assert not clips.streams["audio"].any()
    (zeros,) = video.pieces("audio")
    assert zeros.shape == (8, 2)
    alone = opened(tmp_path, streams={"audio": "yamnet.features"})
    with pytest.raises(DataError, match="lacks all of its streams: it has no sound"):
        assert alone.absent


def test_pieces_are_the_whole_and_means_are_theirs(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PIECE", 5)
    videos = {
        "a.mp4": {
            "image": made("image", clock(23, 1.0)),
            "i3d": made("i3d", clock(90, 0.25)),
            "yamnet": made("yamnet", clock(3, 7.0)),
        }
    }
    video = opened(make_store(tmp_path, videos))
    tensors = load_file(stream_file(video.root, video.video))
    for stream, key in STREAMS.items():
        pieces = list(video.pieces(stream))
        assert len(pieces) > 1 or stream == "audio"
        assert max(map(len, pieces)) <= 5 or stream == "audio"
        times = tensors[f"{key.split('.')[0]}.times"]
        chosen = slowly(times, clock(23, 1.0))
        np.testing.assert_array_equal(np.concatenate(pieces), tensors[key][chosen])
    for count in (1, 7, 30):
        expected = segment_means({s: video.pieces(s) for s in STREAMS}, video.times, count)
        means = video.means(count)
        for stream in STREAMS:
            np.testing.assert_array_equal(means.streams[stream], expected.streams[stream])
        np.testing.assert_array_equal(means.times, expected.times)


def test_a_stream_without_crops_is_the_same_in_every_crop(tmp_path):
    extracted = usual() | {"image": made("image", clock(8, 1.0), crops=5)}
    video = opened(make_store(tmp_path, {"a.mp4": extracted}, crops={"image": 5}))
    assert video.crops == 5
    for crop in range(5):
        clips = video.means(ALL, crop)
        assert clips.streams["object"][0, 0] == 1000 * crop
        assert clips.streams["audio"][0, 0] == 0
    for read in (lambda: video.means(ALL, 5), lambda: video.pieces("audio", 5)):
        with pytest.raises(DataError, match="has 5 crops; there is no crop 5"):
            read()


def test_two_numbers_of_crops_are_refused(tmp_path):
    extracted = usual() | {
        "image": made("image", clock(8, 1.0), crops=5),
        "i3d": made("i3d", clock(12, 0.64), crops=10),
    }
    video = opened(make_store(tmp_path, {"a.mp4": extracted}, crops={"image": 5, "i3d": 10}))
    with pytest.raises(DataError, match=r"'a.mp4'.*object has 5, motion has 10"):
        assert video.crops


def spoil(video, change):
    file = stream_file(video.root, video.video)
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)
    return file


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t["image.features"].__setitem__((3, 1), np.nan), "clip 3 holds NaN or infinity"),
        (lambda t: t.update({"image.features": np.zeros((8, 5), "f4")}), r"expected \(8, 4\)"),
        (lambda t: t.update({"image.features": np.zeros((7, 4), "f4")}), r"has shape \(7, 4\)"),
        (lambda t: t.update({"image.features": np.zeros((8, 4), "f8")}), "holds F64"),
        (lambda t: t.pop("image.features"), "image.features"),
        (lambda t: t.update({"image.times": t["image.times"][::-1].copy()}), "ascending times"),
        (lambda t: t.update({"image.times": np.full((8, 2), np.nan)}), "ascending times"),
    ],
)
def test_what_is_wrong_with_a_file_names_video_stream_and_file(tmp_path, change, message):
    video = opened(make_store(tmp_path, {"a.mp4": usual()}))
    video.intact()
    file = spoil(video, change)
    with pytest.raises(DataError, match=message) as caught:
        video.means(ALL)
    assert "video 'a.mp4'" in caught.value.what
    assert str(file) in caught.value.what
    with pytest.raises(DataError, match="SHA-256 differs"):
        video.intact()


def test_a_truncated_or_missing_file_is_an_error(tmp_path):
    video = opened(make_store(tmp_path, {"a.mp4": usual()}))
    file = stream_file(video.root, video.video)
    file.write_bytes(file.read_bytes()[:-9])
    for _ in range(2):
        for read in (lambda: video.means(3), lambda: video.times, lambda: video.pieces("audio")):
            with pytest.raises(DataError, match=r"video 'a.mp4'.*cannot be read"):
                read()
        file.unlink(missing_ok=True)


def test_names_that_are_not_there_get_the_nearest(tmp_path):
    make_store(tmp_path, {"gate/a.mp4": usual()})
    with pytest.raises(DataError, match=r"no video 'gate/a.mkv'. Did you mean 'gate/a.mp4'"):
        opened(tmp_path, "gate/a.mkv")
    with pytest.raises(DataError, match=r"no 'image.feature'. Did you mean 'image.features'"):
        opened(tmp_path, "gate/a.mp4", {"object": "image.feature"})


def test_without_names_all_streams_are_there_under_their_own(tmp_path):
    extracted = {name: each for name, each in usual().items() if name != "i3d"}
    video = opened(make_store(tmp_path, {"a.mp4": extracted}), streams=None)
    assert dict(video.widths) == {"image.features": 4, "yamnet.features": 2}
    assert set(video.means(2).streams) == set(video.widths)


def test_adding_an_extractor_does_not_change_the_hashes_of_the_rest(tmp_path):
    make_store(tmp_path / "one", {"a.mp4": {"image": usual()["image"]}})
    make_store(tmp_path / "all", {"a.mp4": usual()})
    videos = []
    for place in ("one", "all"):
        with Store(tmp_path / place) as store:
            videos.append(store.catalogue.video("a.mp4"))
    one, everything = videos
    assert one.sha256 != everything.sha256
    assert one.made["image"] == everything.made["image"]
    other = Made({"features": np.zeros((8, 4), "f4")}, clock(8, 1.0))
    make_store(tmp_path / "other", {"a.mp4": {"image": other}})
    with Store(tmp_path / "other") as store:
        assert store.catalogue.video("a.mp4").made["image"] != one.made["image"]
