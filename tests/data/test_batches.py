"""Batches: what is in them, and that nothing but (seed, epoch, item) decides it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.support.toys import Toy, clips_of
from varkit.data.batches import (
    carve_validation,
    query_batches,
    steps_per_epoch,
    training_batches,
    video_batches,
)
from varkit.data.collate import collate_clips, segment_means
from varkit.data.in_memory import InMemory
from varkit.errors import DataError
from varkit.interfaces import Batch, Captions, Clips, Draws, Item, Sequences
from varkit.testing.stand_ins import Words

tokenize = Words().tokenize


def epoch_of(dataset, *, items=None, sounds=False, **options):
    items = dataset.split("train") if items is None else items
    options = {"batch_size": 4, "max_clips": 8, "seed": 3, "epoch": 0, **options}
    return list(training_batches(dataset, items, tokenize=None if sounds else tokenize, **options))


def read_videos(dataset, videos, limit, seed=0):
    return video_batches(dataset, videos, seed=seed, max_clips=99, clips_per_batch=limit)


def read_queries(dataset, queries, limit, seed=0, tokenize=None, **options):
    options |= {"max_clips": 99, "clips_per_batch": limit}
    return query_batches(dataset, queries, tokenize=tokenize, seed=seed, **options)


def rows_of(batch: Batch) -> list[tuple]:
    """A batch as comparable rows, without padding."""
    rows = []
    for b in range(len(batch)):
        row = [batch.draws.items[b], batch.video.draws.items[b], batch.draws.seed]
        sides = [batch.video] + ([batch.query] if isinstance(batch.query, Clips) else [])
        for clips in sides:
            real = clips.mask[b]
            row += [clips.times[b, real].tolist()]
            row += [stream[b, real].tolist() for _, stream in sorted(clips.streams.items())]
        if isinstance(batch.query, Captions):
            row += [batch.query.texts[b], batch.query.ids[b, batch.query.mask[b]].tolist()]
        rows.append((*row, batch.label[b].item(), batch.group[b].item()))
    return rows


@pytest.mark.parametrize("sounds", [False, True])
def test_an_epoch_visits_every_video_at_most_once_and_drops_the_rest(sounds):
    toy = Toy(videos=14, query="audio" if sounds else "text")
    batches = epoch_of(toy, sounds=sounds)
    videos = [video for batch in batches for video in batch.video.draws.items]
    assert [len(batch) for batch in batches] == [4, 4, 4]
    assert steps_per_epoch(toy.split("train"), 4) == 3
    assert len(set(videos)) == 12
    assert set(videos) < {item.video for item in toy.split("train")}


def test_a_batch_holds_what_the_data_set_holds():
    toy = Toy(videos=8)
    for batch in epoch_of(toy, max_clips=100):
        assert batch.video.draws.seed == batch.draws.seed
        for b, video in enumerate(batch.video.draws.items):
            expected = clips_of(toy, video)
            pair_video, query = batch.draws.items[b].split("|")
            assert pair_video == video
            assert batch.query.texts[b] == toy.query(query)
            assert query.split("#")[0] == video
            assert batch.label[b] == int(video[1:]) % 2
            padding = batch.video.mask.shape[1] - len(expected)
            assert batch.video.mask[b].tolist() == [True] * len(expected) + [False] * padding
            for name, stream in batch.video.streams.items():
                np.testing.assert_array_equal(stream[b, : len(expected)], expected.streams[name])
                assert not stream[b, len(expected) :].any()
            np.testing.assert_array_equal(batch.video.times[b, : len(expected)], expected.times)


def test_epochs_and_seeds_differ_in_order_and_in_queries():
    toy = Toy(videos=12)

    def pairs(**options):
        return [pair for batch in epoch_of(toy, **options) for pair in batch.draws.items]

    first = pairs()
    assert first == pairs()
    for other in (pairs(epoch=1), pairs(seed=4)):
        assert {pair.split("|")[0] for pair in other} == {pair.split("|")[0] for pair in first}
        assert other != first
        assert set(other) != set(first), "another epoch draws other captions"


@pytest.mark.parametrize("sounds", [False, True])
@pytest.mark.parametrize("batch_size", [4, 5])
def test_ranks_share_exactly_the_batches_of_one_process(sounds, batch_size):
    toy = Toy(videos=11, query="audio" if sounds else "text")
    options = {"sounds": sounds, "batch_size": batch_size}
    whole = epoch_of(toy, **options)
    for world_size in (2, 3):
        ranks = [epoch_of(toy, **options, rank=r, world_size=world_size) for r in range(world_size)]
        for step, batch in enumerate(whole):
            parts = [rows_of(rank[step]) for rank in ranks]
            assert [row for part in parts for row in part] == rows_of(batch)
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("workers", [0, 2])
def test_start_skips_batches_without_reading_them(workers):
    toy = Toy(videos=13)
    whole = [rows_of(batch) for batch in epoch_of(toy)]
    read = []
    opening = toy.open
    toy.open = lambda video: (read.append(video), opening(video))[1]
    assert [rows_of(batch) for batch in epoch_of(toy, start=2, workers=workers)] == whole[2:]
    assert len(read) == (4 if workers == 0 else 0), "other processes read"
    assert epoch_of(toy, start=3) == []


def test_reading_processes_change_nothing_even_if_a_stop_is_sent_while_they_start():
    toy, starting = Toy(videos=12), [True]

    def stop_the_child():
        if starting:
            os.kill(os.getpid(), signal.SIGTERM)

    alone = [rows_of(batch) for batch in epoch_of(toy)]
    state = torch.get_rng_state()
    os.register_at_fork(after_in_child=stop_the_child)
    try:
        assert [rows_of(batch) for batch in epoch_of(toy, workers=2)] == alone
    finally:
        starting.clear()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set(), "here nothing stays blocked"
    assert torch.equal(torch.get_rng_state(), state)


def test_a_program_that_still_holds_its_readers_ends():
    held = (
        "import sys; from tests.support.toys import Toy\n"
        "from varkit.data.batches import training_batches\n"
        "toy = Toy(videos=12); items = toy.split('train')\n"
        "sizes = {'batch_size': 2, 'max_clips': 8, 'seed': 0, 'epoch': 0, 'workers': 2}\n"
        "batches = training_batches(toy, items, tokenize=str, **sizes)\n"
        "try: next(batches)\n"
        "except Exception as error: sys.held = error, batches\n"
    )
    done = subprocess.run([sys.executable, "-c", held], timeout=60, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_file_is_a_one_line_error_from_any_process(workers):
    toy = Toy(videos=4)

    def broken(video):
        raise DataError(f"video {video!r}: bad", hint="look")

    toy.open = broken
    with pytest.raises(DataError, match=r"^video 'v\d': bad\n  hint: look$"):
        epoch_of(toy, workers=workers)


def test_too_few_videos_for_a_batch_make_one_batch_and_too_few_for_the_ranks_an_error():
    toy = Toy(videos=3)
    (batch,) = epoch_of(toy, batch_size=64)
    assert len(batch) == 3
    with pytest.raises(DataError, match="batch of 3 videos cannot be shared by 4 ranks"):
        epoch_of(toy, batch_size=64, world_size=4)
    with pytest.raises(DataError, match="no video"):
        epoch_of(toy, items=[])


def test_crops_are_drawn_by_video_and_epoch():
    class Cropped(Toy):
        def open(self, video):
            streams = ({"object": np.full((2, 1), crop, np.float32)} for crop in range(5))
            return InMemory(*(Sequences(stream, self._times(2)) for stream in streams))

    toy = Cropped(videos=40)

    def drawn(epoch, batch_size):
        crops = {}
        for batch in epoch_of(toy, epoch=epoch, batch_size=batch_size):
            drawn_now = batch.video.streams["object"][:, 0, 0].tolist()
            crops |= dict(zip(batch.video.draws.items, drawn_now, strict=True))
        return crops

    assert drawn(0, 4) == drawn(0, 20)
    assert drawn(0, 4) != drawn(1, 4)
    assert set(drawn(0, 4).values()) == set(range(5))


def test_groups_join_captions_that_are_literally_the_same():
    same, others = ["A man  runs.", "a MAN runs", "A man runs . "], ["A man ran.", "A man runs.."]
    toy = Toy()
    toy.query = lambda query: query
    items = [Item(f"v{i}", (query,)) for i, query in enumerate(same + others)]
    (batch,) = epoch_of(toy, items=items, batch_size=5)
    groups = dict(zip(batch.query.texts, batch.group.tolist(), strict=True))
    assert len({groups[text] for text in same}) == 1
    assert len(set(groups.values())) == 3
    assert torch.isnan(batch.label).all(), "nobody said whether they are anomalous"


@pytest.mark.parametrize("pieces", [1, 3, 5])
@pytest.mark.parametrize(("total", "count"), [(9, 4), (10, 3), (7, 6), (5, 1)])
def test_segment_means_equal_a_slow_loop(total, count, pieces):
    rng = np.random.default_rng(total)
    stream = rng.standard_normal((total, 3)).astype(np.float32)
    edges = np.arange(total + 1, dtype=np.float32)
    times = np.stack([edges[:-1], edges[1:]], axis=1)
    found = segment_means({"object": np.array_split(stream, pieces)}, times, count)
    assert found.streams["object"].dtype == np.float32
    for i in range(count):
        clips = range(i * total // count, (i + 1) * total // count)
        mean = sum(stream[t].astype(np.float64) for t in clips) / len(clips)
        np.testing.assert_allclose(found.streams["object"][i], mean, rtol=1e-5, atol=1e-6)
        assert found.times[i].tolist() == [times[clips[0], 0], times[clips[-1], 1]]


def test_segment_means_leave_short_sequences_alone():
    clips, times = np.ones((4, 2), np.float32), np.zeros((4, 2), np.float32)
    short = segment_means({"object": [clips], "motion": [clips[:3], clips[3:]]}, times, 4)
    assert short.streams["object"] is clips
    np.testing.assert_array_equal(short.streams["motion"], clips)
    assert short.times is times


@pytest.mark.parametrize("clips", [5, 7])
def test_segment_means_refuse_clips_without_times(clips):
    streams = {"object": [np.ones((4, 2), np.float32), np.ones((clips - 4, 2), np.float32)]}
    with pytest.raises(DataError, match=f"'object' has {clips} clips, but there are times for 6"):
        segment_means(streams, np.zeros((6, 2), np.float32), 2)


def test_training_clips_are_capped_and_evaluation_reads_all():
    toy = Toy(videos=12)
    lengths = {i.video: len(clips_of(toy, i.video)) for i in toy.split("train")}
    assert max(lengths.values()) > 5
    for batch in epoch_of(toy, max_clips=5):
        expected = [min(lengths[video], 5) for video in batch.video.draws.items]
        assert batch.video.mask.sum(1).tolist() == expected
    for positions, clips in read_videos(toy, list(lengths), 40):
        videos = [list(lengths)[i] for i in positions]
        assert clips.mask.sum(1).tolist() == [lengths[video] for video in videos]


@pytest.mark.parametrize("limit", [1, 20, 60, 10**6])
def test_evaluation_batches_cover_everything_once_within_the_limit(limit):
    toy = Toy(videos=20, query="audio")
    videos = [item.video for item in toy.split("train")]
    queries = [query for item in toy.split("train") for query in item.queries]
    for ids, read in ((videos, read_videos), (queries, read_queries)):
        seen = []
        for positions, clips in read(toy, ids, limit):
            assert clips.mask.numel() <= limit or len(positions) == 1
            assert clips.draws.items == tuple(ids[i] for i in positions)
            assert clips.mask.any(1).all()
            seen += positions
        assert sorted(seen) == list(range(len(ids)))


def test_evaluation_draws_depend_on_the_seed_alone():
    toy = Toy(videos=6)
    videos = [item.video for item in toy.split("train")]

    def uniform(seed, limit, order):
        ids = [videos[i] for i in order]
        found = {}
        for positions, clips in read_videos(toy, ids, limit, seed):
            numbers = clips.draws.uniform(2).tolist()
            found |= {ids[p]: row for p, row in zip(positions, numbers, strict=True)}
        return found

    first = uniform(0, 10, range(6))
    assert first == uniform(0, 1000, [3, 1, 5, 0, 2, 4])
    assert first != uniform(1, 10, range(6))


def test_captions_come_back_in_batches_of_similar_length():
    toy = Toy(videos=5)
    queries = [query for item in toy.split("train") for query in item.queries]
    seen = {}
    for positions, captions in read_queries(toy, queries, 1, tokenize=tokenize, batch_size=4):
        assert len(captions) <= 4
        seen |= {queries[i]: text for i, text in zip(positions, captions.texts, strict=True)}
    assert seen == {query: toy.query(query) for query in queries}


def test_the_wrong_kind_of_query_is_an_error():
    with pytest.raises(DataError, match="is a caption, not a sound"):
        list(read_queries(Toy(), ["v0#0"], 9))
    with pytest.raises(DataError, match="is a sound, not a caption"):
        list(read_queries(Toy(query="audio"), ["v0#0"], 9, tokenize=tokenize))


def test_padding_is_zero_and_masked_down_to_one_clip():
    sequences = [
        Sequences({"object": np.full((n, 2), n, np.float32)}, np.ones((n, 2), np.float32))
        for n in (1, 3, 2)
    ]
    clips = collate_clips(sequences, Draws(0, ("a", "b", "c")))
    assert clips.mask.tolist() == [[True, False, False], [True] * 3, [True, True, False]]
    assert clips.streams["object"][:, :, 0].tolist() == [[1, 0, 0], [3, 3, 3], [2, 2, 0]]
    assert clips.times.sum().item() == 12
    assert clips.times.dtype == clips.streams["object"].dtype == torch.float32


def items_with(labels):
    return [Item(f"v{i}", (f"q{i}",), label) for i, label in enumerate(labels)]


def test_validation_is_stratified_and_independent_of_order():
    items = items_with([1] * 60 + [0] * 30 + [None] * 10)
    train, val = carve_validation(items, 0.1, seed=0)
    assert [sum(i.label == label for i in val) for label in (1, 0, None)] == [6, 3, 1]
    assert {i.video for i in train} | {i.video for i in val} == {i.video for i in items}
    assert not {i.video for i in train} & {i.video for i in val}
    again = carve_validation(items[::-1], 0.1, seed=0)[1]
    assert {i.video for i in again} == {i.video for i in val}
    assert {i.video for i in carve_validation(items, 0.1, seed=1)[1]} != {i.video for i in val}


@pytest.mark.parametrize(
    ("labels", "fraction", "held"),
    [([1, 0], 0.0, 0), ([1], 0.9, 0), ([1, 0], 0.9, 1), ([1, 1, 1], 0.1, 1), ([], 0.1, 0)],
)
def test_validation_of_few_videos_leaves_something_to_train_on(labels, fraction, held):
    train, val = carve_validation(items_with(labels), fraction, seed=0)
    assert len(val) == held
    assert len(train) == len(labels) - held


def test_a_video_of_nine_hours_costs_little_more_than_its_clips():
    length, width = 61_000, 64

    class Long(Toy):
        def open(self, video):
            clips = np.ones((length, width), np.float32)
            return InMemory(Sequences({"object": clips}, self._times(length)))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (batch,) = epoch_of(Long(videos=8), batch_size=8, items=Long(videos=8).split("train"))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert batch.video.mask.shape == (8, 8)
    assert batch.video.streams["object"].eq(1).all()
    assert grown < 4 * length * width * 4, "eight such videos must not lie in memory at once"


def test_a_training_video_without_a_query_is_named():
    toy = Toy()
    items = [replace(item, queries=()) for item in toy.split("train")[:2]]
    with pytest.raises(DataError, match="training video 'v0' has no query, like 1 more"):
        epoch_of(toy, items=items)
