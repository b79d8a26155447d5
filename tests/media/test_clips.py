"""Clips are cut as a slow, obvious reference cuts them, whatever the pieces."""

import numpy as np
import pytest

from varkit.interfaces import PictureClips, SoundClips
from varkit.media.chunks import SOUND_RATE, Pictures, Sound
from varkit.media.clips import Cutter, view_of


def reference(runs, length, stride, rate):
    """Return (units, start, end) of the clips of runs of (units, start)."""
    clips = []
    for units, start in runs:
        if len(units) < length:
            filling = [units[-1]] if units[0].ndim else [np.float32(0)]
            padded = [*units, *filling * (length - len(units))]
            clips.append((np.stack(padded), start, start + len(units) / rate))
            continue
        for first in range(0, len(units), stride):
            if first + length <= len(units):
                at = start + first / rate
                clips.append((np.stack(units[first : first + length]), at, at + stride / rate))
    return clips


def pieces_of(frames, times, view, sizes):
    first = 0
    while first < len(frames):
        count = next(sizes)
        part = slice(first, first + count)
        yield Pictures(view, frames[part], times[part])
        first += count


def expect_same(cut, expected):
    assert len(cut) == len(expected)
    for (units, start, end), (wanted, at, until) in zip(cut, expected, strict=True):
        np.testing.assert_array_equal(units, wanted)
        assert (start, end) == pytest.approx((at, until))


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("stride", [1, 2, 4, 7])
@pytest.mark.parametrize("piece", [1, 3, 100])
def test_pictures_are_cut_as_the_reference_cuts_them(frames, stride, piece):
    reads = PictureClips(fps=5, frames=frames, stride=stride)
    random = np.random.default_rng(frames + stride)
    lengths, starts = [11, 1, 3, 24], [0.4, 5.0, 6.0, 9.2]
    runs = [
        (list(random.integers(0, 255, (n, 2, 3, 3), np.uint8)), s)
        for n, s in zip(lengths, starts, strict=True)
    ]
    pictures = np.concatenate([np.stack(units) for units, _ in runs])
    times = np.concatenate([start + np.arange(len(units)) / 5 for units, start in runs])
    sizes = iter([piece] * 100)
    cutter = Cutter(reads)
    cut = [
        clip
        for part in pieces_of(pictures, times, view_of(reads), sizes)
        for clip in cutter.add(part)
    ]
    cut += cutter.finish()
    expect_same(cut, reference(runs, frames, stride, 5))


@pytest.mark.parametrize(("samples", "hop"), [(1000, 1000), (1600, 400), (300, 700)])
def test_sound_is_cut_as_the_reference_cuts_it(samples, hop):
    random = np.random.default_rng(0)
    runs = [(list(random.random(n, np.float32)), start) for n, start in [(5000, 0.0), (90, 2.0)]]
    cutter = Cutter(SoundClips(samples, hop))
    cut = []
    for units, start in runs:
        for first in range(0, len(units), 777):
            part = np.array(units[first : first + 777])
            cut += cutter.add(Sound(part, start + first / SOUND_RATE))
    cut += cutter.finish()
    expect_same(cut, reference(runs, samples, hop, SOUND_RATE))


def test_another_size_of_the_pictures_begins_a_new_run():
    reads = PictureClips(fps=5, frames=4, stride=4)
    cutter, view = Cutter(reads), view_of(reads)
    wide = Pictures(view, np.ones((6, 2, 4, 3), np.uint8), np.arange(6) / 5)
    tall = Pictures(view, np.ones((2, 4, 2, 3), np.uint8), np.arange(6, 8) / 5)
    cut = [*cutter.add(wide), *cutter.add(tall), *cutter.finish()]
    assert [clip.shape for clip, _, _ in cut] == [(4, 2, 4, 3), (4, 4, 2, 3)]


def test_nothing_gives_no_clip():
    cutter = Cutter(PictureClips(fps=5))
    assert [*cutter.finish()] == []
    cutter = Cutter(SoundClips(10, 10))
    assert [*cutter.add(Sound(np.zeros(0, np.float32), 0.0)), *cutter.finish()] == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: PictureClips(fps=0),
        lambda: PictureClips(fps=2000),
        lambda: PictureClips(fps=1, frames=0),
        lambda: PictureClips(fps=1, stride=0),
        lambda: PictureClips(fps=1, short_side=0),
        lambda: PictureClips(fps=1, crop=8),
        lambda: PictureClips(fps=1, short_side=4, crop=8),
        lambda: SoundClips(0, 1),
        lambda: SoundClips(1, 0),
    ],
)
def test_impossible_clips_are_refused(make):
    with pytest.raises(ValueError, match=r"must|does not fit"):
        make()
