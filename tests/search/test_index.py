"""An index of videos: what is in it, what it answers, and what it survives."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("av")
pytest.importorskip("soxr")

from tests.support.footage import make_footage, write_recipe, write_video
from varkit.errors import DataError, MediaError, VarkitError, WriteError
from varkit.interfaces.searching import FLOOR
from varkit.search.care import health, stats, verify
from varkit.search.index import open_index
from varkit.search.indexing import IndexWriter
from varkit.search.make import delete_videos, make_index, rebuild_index
from varkit.search.query import Filters
from varkit.search.shards import read_shard

A, B = "gate/2024-05-01_10-00-00.mp4", "gate/2024-05-01_11-00-00.mp4"
C, D = "yard/2024-05-02_10-00-00.mp4", "yard/night.mp4"


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder of videos, and an index of it; tests that change them take a copy."""
    root = tmp_path_factory.mktemp("search")
    make_footage(root / "media")
    recipe = write_recipe(root)
    done = make_index(root / "media", root / "index", with_=str(recipe))
    assert done.whole, done
    assert sorted(done.added) == [A, B, C, D]
    return root


@pytest.fixture
def copy(made, tmp_path):
    """The same, to be changed; the folder of media keeps its place."""
    shutil.copytree(made / "media", tmp_path / "media")
    recipe = write_recipe(tmp_path)
    make_index(tmp_path / "media", tmp_path / "index", with_=str(recipe))
    return tmp_path


def update(root, **options):
    return make_index(root / "media", root / "index", **options)


def answers(root, text="bright", **options):
    with open_index(root / "index") as index:
        return [(hit.video, hit.start, hit.score) for hit in index.search(text, **options)]


def members(root):
    from varkit.search.gallery import Gallery

    with Gallery(root / "index") as gallery:
        return {member.name: member for member in gallery.members()}


def slow_answer(root, kernel, names=(A, B, C, D)):
    """Score every window of every video with loops, from the clips in the shards."""
    windows = []
    for name in names:
        shard = read_shard(root / "index", members(root)[name].shard)
        for begin, end in shard.spans.tolist():
            parts = []
            for block, weight, row in (("sight", 1.0, kernel[:2]), ("sound", 0.5, kernel[2:])):
                track = shard.tracks["words"].get(block)
                clips = (
                    []
                    if track is None
                    else [
                        values.astype(np.float64)
                        for values, (first, last) in zip(track.values, track.times, strict=True)
                        if begin <= (first + last) / 2 < end
                    ]
                )
                mean = np.mean(clips, axis=0) if clips else None
                parts.append((weight, None if mean is None else float(np.log(mean @ row + FLOOR))))
            windows.append((name, begin, parts))
    usual = [
        np.mean([parts[b][1] for _, _, parts in windows if parts[b][1] is not None]) for b in (0, 1)
    ]
    best = {}
    for name, begin, parts in windows:
        score = sum(w * (usual[b] if s is None else s) for b, (w, s) in enumerate(parts))
        if name not in best or score > best[name][1] + 1e-4:
            best[name] = begin, score
    return sorted(((n, b, s) for n, (b, s) in best.items()), key=lambda each: -each[2])


@pytest.mark.parametrize(
    ("text", "kernel"),
    [
        ("bright", (1, 0.01, 1, 1)),
        ("dark and quiet", (0.01, 1, 0.01, 1)),
        ("a loud noise", (1, 1, 1, 0.01)),
    ],
)
def test_answers_are_those_of_a_loop_over_all_windows(made, text, kernel):
    expected = slow_answer(made, np.array(kernel))
    for (video, _, score), (name, _, slow) in zip(answers(made, text), expected, strict=True):
        assert score == pytest.approx(slow, abs=5e-3)  # rows are float16
        assert video == name


def test_a_hit_says_where_when_and_why(made):
    with open_index(made / "index") as index:
        hit = index.search("bright and loud", k=1)[0]
        assert index.search("bright", k=1)[0].chance is None  # it says nothing of the sound
    assert hit.video == A
    assert hit.path == made / "media" / A
    assert (hit.start, hit.end) == (8.0, 12.0)
    assert hit.time == "2024-05-01T10:00:08"
    assert hit.camera == "gate"
    assert sum(hit.parts.values()) == pytest.approx(hit.score, abs=5e-3)
    assert hit.reasons[0].label == "bright"
    assert hit.moments[0].start >= 8
    assert hit.moments[0].end <= 12
    assert 0 < hit.chance <= 1
    assert hit.concept == "loud and bright"


def test_the_moment_is_the_part_of_the_window_that_answers(tmp_path):
    write_video(tmp_path / "media" / "flash.mp4", [20, 20, 20, 20, 20, 240, 240, 20, 20, 20])
    recipe = write_recipe(tmp_path, windows="{seconds: 30, hop: 30}")
    make_index(tmp_path / "media", tmp_path / "index", with_=str(recipe))
    with open_index(tmp_path / "index") as index:
        hit = index.search("bright")[0]
    assert (hit.start, hit.end) == (0.0, 10.0)
    assert hit.moments[0].start >= 4
    assert hit.moments[0].end <= 8


def test_a_silent_video_is_neither_first_nor_last_for_a_sound(made):
    ranked = [video for video, *_ in answers(made, "loud")]
    assert ranked[0] == A
    assert ranked.index(C) not in (0, 3)


def test_several_sentences_are_answered_as_each_alone(made):
    with open_index(made / "index") as index:
        together = index.search_many(["bright", "dark", "loud"], k=3)
        alone = [index.search(text, k=3) for text in ("bright", "dark", "loud")]
    assert [[h.video for h in hits] for hits in together] == [
        [h.video for h in hits] for hits in alone
    ]


def test_a_video_like_another_is_first_itself(made):
    with open_index(made / "index") as index:
        for name in (A, B, C, D):
            assert index.search(like=name)[0].video == name
        assert index.search(like=f"{A}@0:10")[0].start == 8.0
        assert index.search(like="night.mp4", k=1)[0].video == D


def test_a_file_outside_the_index_is_extracted_as_its_videos_were(made, tmp_path):
    shutil.copy(made / "media" / A, tmp_path / "query.mp4")
    with open_index(made / "index") as index:
        assert index.search(like=tmp_path / "query.mp4", k=1)[0].video == A
        assert index.search(audio=tmp_path / "query.mp4", k=1)[0].video == A
        with pytest.raises(DataError, match="has no sound"):
            index.search(audio=made / "media" / C)


def test_parts_of_a_query_add_up_and_what_is_unwanted_counts_against(made):
    with open_index(made / "index") as index:
        assert index.search("dark", k=1)[0].video == D
        hits = index.search("dark", without="quiet", k=4)
        assert hits[0].video != D
        assert hits[0].chance is None
        assert index.search("dark", like=C, k=1)[0].video == C


def test_filters_choose_windows_before_they_are_ranked(made):
    assert {v for v, *_ in answers(made, filters=Filters(cameras=["yard"]))} == {C, D}
    later = Filters(after="2024-05-01T10:30", before="2024-05-02")
    assert {v for v, *_ in answers(made, filters=later)} == {B}
    inside = Filters(after="2024-05-01T10:00:11", before="2024-05-01T10:01")
    assert answers(made, filters=inside)[0][:2] == (A, 8.0)
    anomalous = answers(made, filters=Filters(min_anomaly=0.9))
    assert all(video == A for video, *_ in anomalous)
    assert answers(made, filters=Filters(videos=[D]))[0][0] == D
    with pytest.raises(DataError, match=r"no camera 'gat'\. Did you mean 'gate'\?"):
        answers(made, filters=Filters(cameras=["gat"]))
    with pytest.raises(DataError, match="is not a time"):
        answers(made, filters=Filters(after="yesterday"))
    with pytest.raises(DataError, match="between 0 and 1"):
        answers(made, filters=Filters(min_anomaly=7))


@pytest.mark.parametrize(
    ("query", "words"),
    [("", "is empty"), (" \n\t", "is empty"), ("x" * 1_000_000, "1,000,000 letters")],
)
def test_senseless_sentences_are_refused(made, query, words):
    with pytest.raises(DataError, match=words):
        answers(made, query)


def test_odd_queries_are_answered(made):
    assert len(answers(made, "bright", k=10**9)) == 4
    assert answers(made, "\x1b[2J bright \x00")[0][0] == A
    with pytest.raises(DataError, match="k must be at least 1"):
        answers(made, k=0)
    with open_index(made / "index") as index:
        with pytest.raises(DataError, match="ask something"):
            index.search()
        with pytest.raises(DataError, match="neither a file nor a video"):
            index.search(like="nigth.mp4")
        with pytest.raises(DataError, match=r"lasts 12\.0 s; there is nothing at 5940\.0 s"):
            index.search(like=f"{A}@99:00")
        with pytest.raises(DataError, match="NaN"):
            index.search_vector(np.full(4, np.nan))
        with pytest.raises(DataError, match=r"has 4 finite numbers; this one has shape \(3,\)"):
            index.search_vector(np.zeros(3))


def test_only_what_is_new_or_changed_is_made_again(copy):
    before = members(copy)
    assert update(copy).added == []
    assert members(copy) == before
    write_video(copy / "media" / "yard" / "new.mp4", [250] * 5)
    write_video(copy / "media" / B, [250] * 3)
    (copy / "media" / D).unlink()
    done = update(copy)
    assert sorted(done.added) == sorted([B, "yard/new.mp4"])
    assert done.dropped == [D]
    after = members(copy)
    assert after[A] == before[A]
    assert after[B].first > max(member.first for member in before.values())
    assert {v for v, *_ in answers(copy)} == {A, B, C, "yard/new.mp4"}
    assert verify(copy / "index") == []


def test_one_file_is_added_and_nothing_dropped(copy):
    write_video(copy / "media" / "late.mp4", [250] * 5)
    done = make_index(copy / "media" / "late.mp4", copy / "index")
    assert (done.added, done.dropped, done.videos) == (["late.mp4"], [], 5)


def test_a_damaged_file_is_left_out_and_named(copy):
    (copy / "media" / "broken.mp4").write_bytes(b"none")
    whole = (copy / "media" / A).read_bytes()
    (copy / "media" / "half.mp4").write_bytes(whole[: len(whole) * 3 // 4])
    done = update(copy)
    assert not done.whole
    assert "broken.mp4" in done.left_out
    assert "half.mp4" in {**done.left_out, **done.damaged}
    assert done.videos >= 4


def test_an_index_made_in_another_way_is_refused(copy):
    recipe = copy / "search_shades.yaml"
    with pytest.raises(DataError, match=r"another way: it differs in windows\.seconds"):
        update(copy, with_=str(recipe), changes=["windows.seconds=5"])
    with pytest.raises(DataError, match=r"extract\.eye\.options\.fps"):
        update(copy, with_=str(recipe), changes=["extract.eye.fps=2"])
    with pytest.raises(DataError, match="is an index of"):
        make_index(copy / "media" / "yard", copy / "index")
    path = copy / "index" / "index.json"
    facts = json.loads(path.read_text())
    facts["origin"]["version"] = 2
    path.write_text(json.dumps(facts))
    with pytest.raises(DataError, match="another space"):
        answers(copy)


def test_without_videos_nothing_is_made(tmp_path):
    recipe = write_recipe(tmp_path)
    with pytest.raises(MediaError):
        make_index(tmp_path / "no", tmp_path / "index", with_=str(recipe))
    (tmp_path / "empty").mkdir()
    with pytest.raises(MediaError, match="holds no video"):
        make_index(tmp_path / "empty", tmp_path / "index", with_=str(recipe))
    assert not (tmp_path / "index").exists()
    with pytest.raises(DataError, match="there is no index"):
        open_index(tmp_path / "index")


def test_a_deleted_video_leaves_no_byte(copy):
    root, member = copy / "index", members(copy)[D]
    row = read_shard(root, member.shard).rows["looks"][0]
    marks = [
        D.encode(),
        member.shard.encode(),
        member.sha256.encode(),
        row.astype(np.float16).tobytes(),
    ]
    held = [mark for mark in marks if any(mark in file.read_bytes() for file in files(root))]
    assert held == marks
    assert delete_videos(root, [D]) == [D]
    for file in files(root):
        content = file.read_bytes()
        assert not [mark for mark in marks if mark in content], file
    assert {v for v, *_ in answers(copy)} == {A, B, C}
    assert verify(root) == []
    with pytest.raises(DataError, match="has no video"):
        delete_videos(root, [D])


def files(root):
    return [file for file in root.rglob("*") if file.is_file()]


def test_what_is_derived_is_made_anew_and_answers_the_same(copy):
    before = {text: answers(copy, text) for text in ("bright", "dark", "loud")}
    shutil.rmtree(copy / "index" / "engines")
    shutil.rmtree(copy / "index" / "statistics")
    assert verify(copy / "index") != []
    assert rebuild_index(copy / "index") == 4
    assert verify(copy / "index") == []
    assert {text: answers(copy, text) for text in before} == before


def test_verify_names_what_is_damaged(copy):
    root = copy / "index"
    shard = root / "shards" / members(copy)[A].shard
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    assert [A in problem for problem in verify(root)] == [True]
    vectors = next((root / "engines" / "words").glob("vectors-*.bin"))
    vectors.write_bytes(vectors.read_bytes()[:-1])
    with pytest.raises(DataError, match="rows need"):
        answers(copy)


def test_one_process_writes_and_others_read(copy):
    from varkit.search.facts import read_facts
    from varkit.search.parts import plugins_of

    root = copy / "index"
    facts = read_facts(root)
    with IndexWriter(root, facts, plugins_of(facts)):
        assert answers(copy)
        with pytest.raises(WriteError, match="is being written by process"):
            update(copy)
    assert update(copy).added == []


def test_a_broken_model_is_noticed(tmp_path):
    make_footage(tmp_path / "media")
    recipe = write_recipe(tmp_path, space=", same: true")
    done = make_index(tmp_path / "media", tmp_path / "index", with_=str(recipe))
    assert any("have different vectors" in problem for problem in done.problems)
    assert any("have different vectors" in problem for problem in health(tmp_path / "index"))


def test_a_healthy_index_has_no_complaint(made):
    assert health(made / "index") == []


def test_stats_count(made):
    told = stats(made / "index")
    assert told["videos"] == 4
    assert told["windows"] == 5 + 2 + 1 + 6
    assert told["cameras"] == 2
    assert told["first_recording"] == "2024-05-01T10:00:00"


def test_a_wrong_recipe_lists_every_problem(tmp_path):
    recipe = write_recipe(tmp_path)
    recipe.write_text(recipe.read_text() + "shots: 1\nwindow: {}\n")
    with pytest.raises(VarkitError) as error:
        make_index(
            make_footage(tmp_path / "media"),
            tmp_path / "index",
            with_=str(recipe),
            changes=["windows.seconds=-1", "space.versoin=2"],
        )
    text = str(error.value)
    for words in ("shots", "Did you mean 'windows'", "windows.seconds", "version"):
        assert words in text
