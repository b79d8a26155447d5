"""What a measured run leaves behind: every rank, TREC files, and figures of groups."""

import json
from dataclasses import replace
from urllib.parse import unquote

import numpy as np
import pytest

from tests.support.reference import retrieval_metrics as reference
from tests.support.tiny_retrieval import Tiny, make_model
from tests.support.toys import clips_of
from varkit.data.in_memory import InMemory
from varkit.errors import RunError
from varkit.evaluation.evaluate import evaluate, rank_rows, save
from varkit.evaluation.groups import group_figures
from varkit.evaluation.metrics import DIRECTIONS, chance, summarize
from varkit.evaluation.rank_files import RankRow, read_ranks, write_ranks
from varkit.evaluation.trec import encode
from varkit.interfaces.settings import EvalOptions

HOSTILE = "v 1#\t%20\u00a0\u2028_label_B1-\x00\n"


class Grouped(Tiny):
    """Some videos have classes; of video 1 nobody knows the truth."""

    def items(self):
        classes = [("Fire", "Fight"), (), ("Fire",)]
        return [
            replace(item, classes=classes[i % 3], label=None if i == 4 else item.label)
            for i, item in enumerate(super().items())
        ]

    def truth(self, video):
        return None if video == "v1" else super().truth(video)


def measured(folder=None, *, factorises=True, dataset=None, **options):
    dataset = dataset or Grouped()
    options = EvalOptions(**options)
    model = make_model(factorises)
    found = evaluate(model, dataset, dataset.items(), options=options, device="cpu")
    return dataset, found, save(found, dataset, folder, "best", trec_depth=options.trec_depth)


def test_every_rank_of_every_repeat_is_saved(tmp_path):
    dataset, found, report = measured(tmp_path, repeats=2, trec_depth=0)
    assert [path.name for path in tmp_path.iterdir()] == ["ranks"], "without depth no TREC file"
    rows = read_ranks(tmp_path / "ranks" / "best.jsonl")
    assert len(rows) == 2 * (18 + 9)
    assert len((tmp_path / "ranks" / "best.jsonl").read_text().splitlines()) == len(rows)
    for way in DIRECTIONS:
        means = []
        for repeat, ranks in enumerate(found.ranks):
            answers = getattr(ranks, way)
            own = [row for row in rows if (row.direction, row.repeat) == (way, repeat)]
            assert [row.rank for row in own] == answers.rank.tolist()
            assert [row.ties for row in own] == answers.ties.tolist()
            assert [list(row.hits) for row in own] == answers.hits.tolist()
            means.append(np.mean([row.rank for row in own]))
        assert report[way]["MnR"] == pytest.approx(np.mean(means))
    first, last = rows[0], rows[-1]
    assert (first.id, first.video, first.text) == ("v0#0", "v0", dataset.query("v0#0"))
    assert first.answer == "v0"
    assert (last.id, last.video, last.text, last.repeat) == ("v8", "v8", None, 1)
    assert last.answer in ("v8#0", "v8#1")
    facts = {row.video: row for row in rows}
    assert facts["v0"].classes == ("Fire", "Fight")
    assert [facts[f"v{i}"].label for i in (0, 2, 4)] == [0, 1, None]
    assert [facts[f"v{i}"].clips for i in range(9)] == [3 + i % 7 for i in range(9)]
    assert [facts[f"v{i}"].anomaly for i in (0, 1, 2)] == [0, None, 1 / 5]


def test_a_query_is_in_the_cluster_of_its_right_videos_also_where_its_own_is_wrong(tmp_path):
    lines = [f"v{v}#{k} 0 v{1 + v % 3} 1\n" for v in range(9) for k in (0, 1)] + ["v0#0 0 v2 1\n"]
    (tmp_path / "qrels").write_text("".join(lines))
    measured(tmp_path, qrels=str(tmp_path / "qrels"), trec_depth=0)
    rows = read_ranks(tmp_path / "ranks" / "best.jsonl")
    clusters = {row.id: row.cluster for row in rows}
    assert {v: clusters[v] for v in ("v1", "v2", "v3")} == {"v1": "v1", "v2": "v1", "v3": "v3"}
    assert len(rows) == 18 + 3, "the other videos are right for no query"
    assert all(row.cluster == clusters[row.answer] for row in rows)


def test_a_normal_video_without_truth_has_no_anomaly():
    _, found, report = measured(dataset=Grouped(truth=False))
    assert len(found.ranks) == 1
    names = [(group["by"], group["name"]) for group in report["groups"]]
    assert [name for by, name in names if by == "anomaly"] == ["none"]


def test_groups_are_those_of_their_definition():
    _, found, report = measured(repeats=2)
    lengths = {f"v{i}": 3 + i % 7 for i in range(9)}  # 3 3 4 4 5 6 7 8 9
    expected = {
        ("label", "abnormal"): {"v1", "v2", "v5", "v7", "v8"},
        ("label", "normal"): {"v0", "v3", "v6"},
        ("class", "Fight"): {"v0", "v3", "v6"},
        ("class", "Fire"): {"v0", "v2", "v3", "v5", "v6", "v8"},
        ("clips", "3 to 4"): {"v0", "v7", "v1", "v8"},
        ("clips", "5 to 5"): {"v2"},
        ("clips", "6 to 7"): {"v3", "v4"},
        ("clips", "8 to 9"): {"v5", "v6"},
        ("anomaly", "none"): {"v0", "v3", "v6"},
        ("anomaly", "10 to 20 %"): {v for v in ("v2", "v4", "v5") if 5 <= lengths[v] < 10},
        ("anomaly", "20 to 40 %"): {"v7", "v8"},
    }
    groups = {(group["by"], group["name"]): group for group in report["groups"]}
    assert list(groups) == list(expected)
    for key, videos in expected.items():
        for way, owners in zip(DIRECTIONS, (found.owner.tolist(), range(9)), strict=True):
            inside = [i for i, v in enumerate(owners) if f"v{v}" in videos]
            repeats = [reference.figures(getattr(ranks, way).rank[inside]) for ranks in found.ranks]
            mean = {name: np.mean([one[name] for one in repeats]) for name in repeats[0]}
            shown = groups[key][way]
            assert {name: shown[name] for name in mean} == pytest.approx(mean)
            assert shown["n"] == len(inside)
        recalls = [groups[key][way][f"R@{k}"] for way in DIRECTIONS for k in (1, 5, 10)]
        assert groups[key]["SumR"] == pytest.approx(sum(recalls))


def test_a_group_whose_queries_all_went_to_others_is_left_out():
    dataset = Grouped(videos=2)
    dataset.query = lambda query: "dog runs"
    _, found, report = measured(dataset=dataset, positives="unique")
    assert found.queries == ("v0#0",)
    names = [(group["by"], group["name"]) for group in report["groups"]]
    assert ("label", "normal") in names  # of v0
    assert ("label", "abnormal") not in names
    assert report["query_to_video"]["n"] == 1
    assert report["query_to_video"]["R@1"] == 100
    assert {row.cluster for row in rank_rows(found, dataset)} == {"v0"}, "all captions are equal"


def row(**changes):
    plain = {"direction": "query_to_video", "repeat": 0, "id": "q", "answer": "v", "rank": 1.5}
    facts = {"hits": (0.5, 1.0, 1.0), "ties": 1, "video": "v", "cluster": "v", "label": None}
    rest = {"classes": (), "clips": 3, "anomaly": 0.0, "text": None}
    return RankRow(**{**plain, **facts, **rest, **changes})


ROWS = [row(), row(direction="video_to_query", id="v", answer="q")]


def expect_damaged(path, damage, message):
    write_ranks(path, ROWS)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunError, match=message) as caught:
        read_ranks(path)
    assert f"{path} is damaged" in caught.value.what


def test_what_was_written_is_read(tmp_path):
    rows = [replace(row, text=HOSTILE, classes=("a", HOSTILE), label=1) for row in ROWS]
    write_ranks(tmp_path / "r.jsonl", rows)
    assert read_ranks(tmp_path / "r.jsonl") == rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank": 0.5}, r"line 1\.rank: .*greater than or equal to 1"),
        ({"rank": "1"}, r"line 1\.rank"),
        ({"rank": float("nan")}, "line 1"),
        ({"label": True}, r"line 1\.label"),
        ({"label": 2}, r"line 1\.label"),
        ({"ties": -1}, r"line 1\.ties"),
        ({"hits": [0.5, 1.0]}, r"line 1\.hits"),
        ({"hits": [0.5, 1.0, 1.5]}, r"line 1\.hits\.2"),
        ({"ties": 0}, r"line 1: rank 1\.5 does not have hits \(0\.5, 1\.0, 1\.0\)"),
        ({"repeat": 1}, r"it has repeats \[0, 1\]|not every repeat"),
        ({"clips": 0}, r"line 1\.clips"),
        ({"anomaly": 1.5}, r"line 1\.anomaly"),
        ({"classes": "Fire"}, r"line 1\.classes"),
        ({"id": 3}, r"line 1\.id"),
        ({"direction": "up"}, r"line 1\.direction"),
        ({"more": 1}, r"line 1\.more"),
        ({"answer": "w"}, "'w', which 'q' belongs to, has no line"),
        ({"cluster": "w"}, "'w', which 'q' belongs to, has no line"),
    ],
)
def test_a_row_that_cannot_be_is_named(tmp_path, change, message):
    def damage(data):
        first, second = data.splitlines()
        return json.dumps(json.loads(first) | change).encode() + b"\n" + second + b"\n"

    expect_damaged(tmp_path / "best.jsonl", damage, message)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "it has no ranks"),
        (lambda data: data[:-1], "cut short in line 2"),
        (lambda data: data[:-30], "cut short in line 2"),
        (lambda data: data[: data.index(b"\n") + 1], "'v', which 'q' belongs to, has no line"),
        (lambda data: data[data.index(b"\n") + 1 :], "'q', which 'v' belongs to, has no line"),
        (lambda data: data + data, "line 3: query_to_video 'q' occurs twice"),
        (lambda data: b"\xff" + data, "line 1"),
        (lambda data: b"\n" + data, "line 1"),
        (lambda data: b"[]\n" + data, "line 1"),
        (lambda data: data.replace(b'"text": null', b'"tex": null'), "line 1.text: Field req"),
    ],
)
def test_a_damaged_ranks_file_is_an_error(tmp_path, damage, message):
    expect_damaged(tmp_path / "best.jsonl", damage, message)


def test_a_repeat_that_lost_a_line_and_no_file_are_errors(tmp_path):
    again = [replace(row, repeat=1) for row in ROWS]
    write_ranks(tmp_path / "r.jsonl", [*ROWS, again[0]])
    with pytest.raises(RunError, match="not every repeat holds the same"):
        read_ranks(tmp_path / "r.jsonl")
    with pytest.raises(RunError, match="cannot be read: No such file"):
        read_ranks(tmp_path / "none.jsonl")


def trec(folder, way):
    lines = (folder / "trec" / f"best.{way}.run").read_text().splitlines()
    run = {}
    for line in lines:
        seeker, zero, candidate, rank, score, name = line.split()
        own = run.setdefault(seeker, {})
        assert (zero, int(rank), name) == ("Q0", len(own) + 1, "best")
        own[candidate] = float(score)
    qrels = {}
    for line in (folder / "trec" / f"{way}.qrels").read_text().splitlines():
        seeker, _, candidate, relevance = line.split()
        qrels.setdefault(seeker, {})[candidate] = int(relevance)
    return run, qrels


@pytest.mark.parametrize("rule", ["own", "duplicates", "unique"])
@pytest.mark.parametrize("factorises", [True, False])
def test_trec_eval_finds_the_same_ranks_where_nothing_ties(tmp_path, factorises, rule):
    pytrec_eval = pytest.importorskip("pytrec_eval")
    dataset = Grouped(videos=30)
    captions = {query: dataset.query(query) for item in dataset.items() for query in item.queries}
    dataset.query = lambda query: "dog fire dog" if query in ("v3#0", "v7#1") else captions[query]
    _, found, _ = measured(tmp_path, dataset=dataset, factorises=factorises, positives=rule)
    for way in DIRECTIONS:
        run, qrels = trec(tmp_path, way)
        measures = {"success_1", "success_5", "success_10", "recip_rank"}
        judged = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run)
        answers = getattr(found.ranks[0], way)
        names = found.queries if way == "query_to_video" else found.videos
        untied = [(judged[names[i]], answers.rank[i]) for i in np.flatnonzero(answers.ties == 0)]
        assert len(untied) > 10
        for one, rank in untied:
            assert 1 / one["recip_rank"] == pytest.approx(rank)
            assert [one[f"success_{k}"] for k in (1, 5, 10)] == [rank <= k for k in (1, 5, 10)]


def test_runs_hold_the_candidates_that_trec_eval_would_rank_first(tmp_path):
    dataset = Grouped(videos=8)
    clips = clips_of(dataset, "v3")
    ones = replace(clips, streams={"object": np.ones_like(clips.streams["object"])})
    dataset.open = lambda video: InMemory(ones)  # so all of them tie
    dataset.truth = lambda video: None
    measured(tmp_path, dataset=dataset, trec_depth=3)
    run, _ = trec(tmp_path, "query_to_video")
    assert {tuple(found) for found in run.values()} == {("v7", "v6", "v5")}
    captions, _ = trec(tmp_path, "video_to_query")
    assert all(len(found) == 3 for found in captions.values())
    for found in captions.values():
        assert list(found) == sorted(found, key=lambda query: (found[query], query), reverse=True)


def test_identifiers_survive_white_space():
    for name in (HOSTILE, "\ud800", "a b", "a%20b", "a#b", "é\u3000"):
        encoded = encode(name)
        assert len(encoded.split()) == 1
        assert encoded.encode()
        assert unquote(encoded, errors="surrogatepass") == name
    assert encode("v1_x264.mp4#0") == "v1_x264.mp4#0"


def test_ranks_of_one_group_of_all_are_those_of_the_whole():
    _, found, _ = measured()
    rows = [
        row(direction=way, id=str(i), rank=rank, hits=tuple(hits), ties=ties, label=1)
        for way in DIRECTIONS
        for answers in [getattr(found.ranks[0], way)]
        for i, (rank, hits, ties) in enumerate(
            zip(answers.rank, answers.hits, answers.ties, strict=True)
        )
    ]
    whole = summarize(found.ranks[0])
    (group, *_) = group_figures(rows)
    assert (group["by"], group["name"]) == ("label", "abnormal")
    assert group["SumR"] == whole["SumR"]
    assert all(group[way] == whole[way] for way in DIRECTIONS)


class Candidates(Tiny):
    """Every third video has no caption."""

    def items(self):
        bare = [i % 3 == 1 for i in range(len(self.names))]
        items = super().items()
        return [replace(x, queries=()) if y else x for x, y in zip(items, bare, strict=True)]


@pytest.mark.parametrize("factorises", [True, False])
@pytest.mark.parametrize("rule", ["own", "duplicates", "unique"])
def test_videos_that_no_query_names_are_candidates_and_have_no_rank(tmp_path, rule, factorises):
    options = {"dataset": Candidates(), "factorises": factorises, "positives": rule}
    _, found, report = measured(tmp_path, **options)
    scores = np.stack([found.scores(q).numpy() for q in range(len(found.queries))], axis=1)
    assert scores.shape == (9, 12)
    right = [found.positives.of_query(q) for q in range(12)]
    answered = sorted({v for videos in right for v in videos})
    assert answered == [0, 2, 3, 5, 6, 8]
    place = {v: i for i, v in enumerate(answered)}
    of_queries = [reference.first_right(scores[:, q], set(right[q]), "average") for q in range(12)]
    assert found.ranks[0].query_to_video.rank.tolist() == of_queries
    among = [[place[v] for v in videos] for videos in right]
    _, of_videos = reference.best_ranks(scores[answered], among, rule, "average")
    assert found.ranks[0].video_to_query.rank.tolist() == list(of_videos)
    assert [report[way]["n"] for way in DIRECTIONS] == [12, 6]
    rows = read_ranks(tmp_path / "ranks" / "best.jsonl")
    assert [row.id for row in rows[12:]] == [f"v{v}" for v in answered]
    expected = chance(found.positives)
    assert expected["query_to_video"]["MnR"] == pytest.approx(10 / 2)
    assert expected["video_to_query"]["n"] == 6
    assert set(found.curves) == set(found.videos), "the detector is measured on all videos"
