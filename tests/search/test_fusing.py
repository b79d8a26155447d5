"""Embeddings from elsewhere, measured, fused and re-ranked, against slow obvious references."""

from __future__ import annotations

import hashlib
import re
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.calls import call, failed, hint, passed, printed
from tests.support.reference.retrieval_metrics import (
    best_ranks,
    by_id,
    first_right,
    graded,
    hits,
    right_videos,
)
from tests.support.tiny_runs import ranks_of, read, run, run_in
from varkit.errors import DataError
from varkit.search.scores import Scores, fuse, rerank

PARTS = """\
from varkit import hookimpl
from varkit.testing.stand_ins import Means, Words
from varkit_alan.alignment import Avg


class Blunt(Avg):
    '''The same similarity, which does not say that it is an inner product.'''

    def similarity(self, video, query):
        return super().factors(video, "video") @ super().factors(query, "query").T

    def factors(self, representation, side):
        return None


@hookimpl
def register_encoders(register):
    register("pooled", Means, summary="mean of the clips")
    register("hashed", Words, summary="mean of the words")


@hookimpl
def register_alignments(register):
    register("blunt", Blunt, summary="a similarity without factors")
"""
RECIPE = """\
version: 1
plugins: [parts.py]
data: {{use: folder, root: {root}, streams: {{object: rgb}}}}
model: {{dim: 6, experts: [object]}}
video: {{use: pooled}}
query: {{use: hashed}}
alignments: {{all: {{use: {use}, weight: 0.5}}}}
objective: {{use: margin_ranking}}
train: {{epochs: 2, batch_size: 4, lr: 1.0e-2}}
"""
CAPTIONS = (
    ("a man runs", "a red car burns"),
    ("A man runs.", "people sit"),
    ("a dog sleeps", "nobody is here"),
    ("people  sit", "two men fight"),
    ("a woman falls", "smoke over a house"),
)
"""Of the test videos; those of 0 and 1, and of 1 and 3, are the same but for case and period."""
VIDEOS = tuple(f"test{v}" for v in range(len(CAPTIONS)))
QUERIES = tuple(f"{video}#{k}" for video in VIDEOS for k in (0, 1))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder of data, two recipes on it, and a trained run of each."""
    folder = tmp_path_factory.mktemp("embeddings") / "data"
    folder.mkdir()
    random = np.random.default_rng(0)
    train = [(f"a man {word}", f"the {word}") for word in ("runs", "falls", "sits", "hides")] * 2
    rows = ["video,split,caption,label,rgb"]
    for split, captions in (("train", train), ("test", CAPTIONS)):
        for v, texts in enumerate(captions):
            np.save(folder / f"{split}{v}.npy", random.normal(size=(3 + v, 4)).astype("f4"))
            for text in texts:
                rows.append(f"{split}{v},{split},{text},{v % 2},{split}{v}.npy")
    (folder / "manifest.csv").write_text("\n".join(rows))
    (folder / "parts.py").write_text(PARTS)
    found = {"data": folder}
    for name, use in (("plain", "avg"), ("blunt", "blunt")):
        recipe = folder / f"{name}.yaml"
        recipe.write_text(RECIPE.format(root=folder, use=use))
        found[name], found[f"{name} recipe"] = trained(recipe, out=folder.parent / name), recipe
    return found


def trained(recipe, *overrides, out):
    passed(run(recipe, *overrides, out=out))
    return run_in(out)


def exported(folder, file, *options):
    """Return the embeddings that a run's model gives."""
    passed(call("embeddings", "export", folder, file, *options))
    return np.load(file)


def random_vectors(seed, width=4):
    random = np.random.default_rng(seed)
    videos, queries = (random.normal(size=(n, width)) for n in (len(VIDEOS), len(QUERIES)))
    videos[3] = videos[0]  # two videos tie for every query
    return videos.astype("f4"), queries.astype("f4")


def write(path, videos, queries, **flags):
    """Write embeddings in another order than the data set's."""
    v, q = (np.random.default_rng(9).permutation(n) for n in (len(VIDEOS), len(QUERIES)))
    ids = {"video_ids": np.array(VIDEOS)[v], "query_ids": np.array(QUERIES)[q]}
    np.savez(path, **ids, videos=videos[v], queries=queries[q], **flags)
    return path


def measured(*arguments, out):
    """Call a sub-verb; return the run folder it made and its ranks by direction and identifier."""
    result = passed(call("embeddings", *arguments, "--out", out))
    (folder,) = (line[5:] for line in result.stderr.splitlines() if line.startswith("run: "))
    (file,) = (out.parent / folder).glob("seed-*/ranks/*.jsonl")
    seed = int(file.parts[-3].removeprefix("seed-"))
    return out.parent / folder, ranks_of(out.parent / folder, file.stem, seed)


def product(videos, queries):
    """Inner products, number by number in double precision, rounded once."""
    products = [
        [sum(a * b for a, b in zip(video, query, strict=True)) for query in queries.tolist()]
        for video in videos.tolist()
    ]
    return np.array(products).astype("f4")


def expected(forth, back=None, rule="own"):
    """Ranks of (V, Q) scores; ``back`` are those by which videos look for queries."""
    kept, right = right_videos(CAPTIONS, rule)
    columns = [2 * v + k for v, k in kept]
    of_queries, of_videos = (
        best_ranks(scores[:, columns], right, rule, "average")[way]
        for way, scores in enumerate((forth, forth if back is None else back))
    )
    return pytest.approx(by_id([QUERIES[q] for q in columns], VIDEOS, of_queries, of_videos))


@pytest.mark.parametrize("rule", ["own", "duplicates", "unique"])
def test_a_file_is_ranked_by_its_inner_products(world, tmp_path, rule):
    videos, queries = random_vectors(1)
    file = write(tmp_path / "clip.npz", videos, queries)
    folder, ranks = measured(
        "eval", file, world["plain recipe"], "--positives", rule, out=tmp_path / "runs"
    )
    assert folder.parent.name == "clip"
    scores = product(videos, queries)
    assert ranks == expected(scores, rule=rule)
    results = read(folder / "results.json")
    kept, right = right_videos(CAPTIONS, rule)
    own = [hits(scores[:, 2 * v + k], good) for (v, k), good in zip(kept, right, strict=True)]
    recall = 100 * np.mean([first for first, *_ in own])
    assert results["summary"]["given"]["query_to_video.R@1"]["mean"] == pytest.approx(recall)
    assert (folder / "seed-0/trec/given.query_to_video.run").exists()
    assert "clip.npz" in (folder / "report.html").read_text()


@pytest.mark.parametrize("rule", ["own", "duplicates", "unique"])
def test_vectors_that_tell_nothing_apart_have_exactly_chance(world, tmp_path, rule):
    file = write(tmp_path / "same.npz", np.ones((5, 4), "f4"), np.ones((10, 4), "f4"))
    folder, _ = measured(
        "eval", file, world["plain recipe"], "--positives", rule, out=tmp_path / "runs"
    )
    results = read(folder / "results.json")
    (report,) = (training["given"] for training in results["seeds"].values())
    assert report["collapsed"]
    assert report["SumR"] == results["chance"]["SumR"]
    for way in ("query_to_video", "video_to_query"):
        for figure in ("R@1", "R@5", "R@10"):
            assert report[way][figure] == results["chance"][way][figure]


@pytest.mark.parametrize("rule", ["own", "duplicates", "unique"])
def test_a_model_without_factors_is_ranked_the_same(world, rule, tmp_path):
    """Its dense similarity goes through every rule, as the factors of the same model do."""
    ranks = {}
    for name in ("plain", "blunt"):
        options = (f"eval.positives={rule}", "--checkpoint", "last", "--out", tmp_path / name)
        passed(call("eval", world[name], *options))
        ranks[name] = ranks_of(tmp_path / name)
    found = exported(world["plain"], tmp_path / "plain.npz", "--checkpoint", "last")
    assert ranks["plain"] == expected(product(found["videos"], found["queries"]), rule=rule)
    # Alone, the same model without factors, fused with itself, has the same ranks.
    blunt = world["blunt"]
    halves = ("fuse", blunt, blunt, "--scaling", "raw", "--checkpoint", "last", "--positives", rule)
    _, fused = measured(*halves, out=tmp_path / "runs")
    assert fused == ranks["blunt"]


def test_an_exported_run_measures_as_the_run_did(world, tmp_path):
    file = tmp_path / "run.npz"
    result = call("embeddings", "export", world["plain"], file)
    assert "5 videos, 10 queries" in result.stdout
    folder, ranks = measured("eval", file, world["plain recipe"], out=tmp_path / "runs")
    assert ranks == ranks_of(world["plain"], "best")
    own, made = (read(one / "results.json") for one in (world["plain"], folder))
    assert own["chance"] == made["chance"]
    assert own["summary"]["best"] == made["summary"]["best"]
    compared = printed(call("compare", world["plain"], folder, "--json"))
    assert compared["mismatches"] == []
    assert {row["value"] for row in compared["differences"]} == {0.0}


def test_export_takes_any_split_and_checkpoint(world, tmp_path):
    for which in ("last", "best"):
        options = ("--checkpoint", which, "--split", "train")
        found = exported(world["plain"], tmp_path / f"{which}.npz", *options)
        assert found["video_ids"].tolist() == [f"train{v}" for v in range(8)]
        assert found["queries"].shape == (16, 6)
    result = call("embeddings", "eval", tmp_path / "best.npz", world["plain recipe"])
    assert "does not fit the test split of data: 5 of 5 video identifiers" in failed(result)


def test_export_overwrites_nothing_unless_asked(world, tmp_path):
    file = tmp_path / "mine.npz"
    file.write_bytes(b"precious")
    result = call("embeddings", "export", world["plain"], file)
    assert failed(result) == f"error: {file} exists"
    assert hint(result) == "choose another name, or add --force"
    assert file.read_bytes() == b"precious"
    assert exported(world["plain"], file, "--force")["video_ids"].tolist() == list(VIDEOS)
    # A refused split leaves the older file as it was, asked or not.
    kept = file.read_bytes()
    failed(call("embeddings", "export", world["plain"], file, "--force", "--split", "none"))
    assert file.read_bytes() == kept
    assert list(tmp_path.iterdir()) == [file]


def z_scored(matrix):
    values = [float(x) for row in matrix for x in row]
    mean = sum(values) / len(values)
    deviation = (sum((x - mean) ** 2 for x in values) / len(values)) ** 0.5
    return (matrix.astype("f8") - mean) / deviation


@pytest.mark.parametrize("scaling", ["z", "raw"])
def test_files_and_runs_are_fused_by_weight(world, tmp_path, scaling):
    parts = [random_vectors(2), random_vectors(3, width=7)]
    files = [write(tmp_path / f"{n}.npz", *part) for n, part in enumerate(parts)]
    own = exported(world["plain"], tmp_path / "run.npz")
    matrices = [product(*part) for part in parts] + [product(own["videos"], own["queries"])]
    scaled = [z_scored(m) if scaling == "z" else m.astype("f8") for m in matrices]
    total = sum(w * m for w, m in zip((0.2, 0.3, 1.5), scaled, strict=True)).astype("f4")
    folder, ranks = measured(
        *("fuse", *files, world["plain"], "--weights", "0.2,0.3,1.5", "--scaling", scaling),
        out=tmp_path / "runs",
    )
    assert ranks == expected(total)
    facts = read(folder / "run.json")
    assert facts["made_how"] == {"verb": "fuse", "weights": [0.2, 0.3, 1.5], "scaling": scaling}
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    assert [made["sha256"] for made in facts["made_from"][:2]] == digests
    model = world["plain"] / "seed-0" / "models" / "best.safetensors"
    assert facts["made_from"][2]["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert facts["selection"] == "unknown"


def reranked(first, second, depth):
    """The order of each seeker's candidates, one by one, as a score that falls with the place."""
    found = np.zeros(first.shape)
    for s in range(first.shape[1]):
        least = sorted(first[:, s].tolist(), reverse=True)[min(depth, len(first)) - 1]
        keys = [
            (1, second[i, s]) if first[i, s] >= least else (0, first[i, s])
            for i in range(len(first))
        ]
        found[:, s] = [-sum(other > key for other in keys) for key in keys]
    return found


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 5), st.integers(1, 12))
def test_reranking_orders_the_candidates_anew(seed, candidates, seekers, depth):
    random = np.random.default_rng(seed)
    shape = candidates, seekers
    first, second = (random.integers(-2, 3, shape).astype("f4") for _ in range(2))
    found = rerank(torch.from_numpy(first), torch.from_numpy(second), depth).numpy()
    wanted = reranked(first, second, depth)
    for s in range(seekers):
        signs = [np.sign(scores[:, None, s] - scores[:, s]) for scores in (found, wanted)]
        np.testing.assert_array_equal(*signs)


@pytest.mark.parametrize("depth", [1, 2, 4, 99])
def test_candidates_of_the_first_are_in_the_order_of_the_second(world, tmp_path, depth):
    parts = [random_vectors(4), random_vectors(5)]
    files = [write(tmp_path / f"{n}.npz", *part) for n, part in enumerate(parts)]
    first, second = (product(*part) for part in parts)
    on = f"folder root={world['data']} 'streams={{object: rgb}}'"
    reranking = ("rerank", *files, "--depth", depth, "--on", on)
    folder, ranks = measured(*reranking, out=tmp_path / "runs")
    back = reranked(first.T, second.T, depth).T
    assert ranks == expected(reranked(first, second, depth), back)
    assert not (folder / "seed-0" / "trec").exists()
    if depth == 99:  # all are candidates: nothing of the first is left
        assert ranks == expected(second)


def test_a_fusion_is_the_sum_of_z_scores_which_need_scores_that_differ():
    random = np.random.default_rng(0)
    matrices = [random.normal(loc, scale, (3, 4)) for loc, scale in ((9, 0.1), (-3, 40))]
    total = fuse([torch.from_numpy(matrix) for matrix in matrices], (2, 0.5))
    expected = 2 * z_scored(matrices[0]) + 0.5 * z_scored(matrices[1])
    np.testing.assert_allclose(total, expected, rtol=1e-10)
    with pytest.raises(DataError, match="all scores of number 2 are equal"):
        fuse([torch.rand(3, 3), torch.ones(3, 3)], (1, 1))
    assert torch.equal(fuse([torch.ones(2, 2)], (3,), "raw"), 3 * torch.ones(2, 2).double())


def test_large_scores_are_found_piece_by_piece():
    random = torch.Generator().manual_seed(0)
    video, query = (torch.randn(n, 3, generator=random) for n in (40, 2100))
    factored = Scores(factors=(video, query))
    dense = Scores(matrix=factored.dense())
    for scores in (factored, dense):
        whole = torch.empty(40, 2100)
        for rows, columns, tile in scores.tiles():
            whole[rows[:, None], columns] = tile.float()
        assert torch.equal(whole, factored.dense())


def test_a_run_without_factors_is_exported_as_its_similarity(world, tmp_path):
    found = exported(world["blunt"], tmp_path / "blunt.npz")
    assert set(found.files) & {"similarity", "videos"} == {"similarity"}
    similar = ("eval", tmp_path / "blunt.npz", world["blunt recipe"])
    assert measured(*similar, out=tmp_path / "own")[1] == ranks_of(world["blunt"], "best")
    file = write(tmp_path / "other.npz", *random_vectors(6))
    # Blunt's own order, asked for through a rerank of all candidates.
    whole = ("rerank", file, world["blunt"], "--depth", 10, "--checkpoint", "last")
    assert measured(*whole, out=tmp_path / "runs")[1] == ranks_of(world["blunt"])


def test_simulated_stays_marked_and_so_does_a_selection_on_test(world, tmp_path):
    file = write(tmp_path / "sim.npz", *random_vectors(7), simulated=np.array(True))
    result = call("embeddings", "eval", file, world["plain recipe"], "--out", tmp_path / "runs")
    assert "(simulated data)" in result.stdout
    (path,) = (tmp_path / "runs").glob("*/*/results.json")
    assert read(path)["simulated"]
    assert read(path.with_name("run.json"))["simulated"]
    tested = trained(world["plain recipe"], "train.select=test", out=tmp_path / "tested")
    folder, _ = measured("fuse", tested, file, out=tmp_path / "fused")
    facts = read(folder / "run.json")
    assert (facts["selection"], facts["simulated"]) == ("test", True)
    assert "ON THE TEST SET" in (folder / "report.html").read_text()


def test_models_on_other_features_are_fused_but_not_those_with_other_questions(world, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(world["data"], other)
    for file in other.glob("*.npy"):
        np.save(file, np.load(file)[::-1])
    head, *lines = (other / "manifest.csv").read_text("utf-8").split("\n")
    tested = [line for line in lines if line.startswith("test")]
    turned = sorted(tested, key=lambda line: line.split(",")[0], reverse=True)
    kept = [line for line in lines if line not in tested]
    (other / "manifest.csv").write_text("\n".join([head, *kept, *turned]), "utf-8")
    (other / "plain.yaml").write_text(RECIPE.format(root=other, use="avg"))
    second = trained(other / "plain.yaml", out=tmp_path / "runs")
    folder, fused = measured("fuse", world["plain"], second, out=tmp_path / "fused")
    facts = [read(one / "run.json") for one in (world["plain"], second, folder)]
    named = tmp_path / "named.npz"
    exported(second, named)
    _, ranks = measured("fuse", world["plain"], named, out=tmp_path / "again")
    assert fused == ranks, "fused by name, though their videos are in another order"
    assert len({one["fingerprint"] for one in facts}) == 2
    assert len({one["questions"] for one in facts}) == 1
    passed(call("compare", world["plain"], second, "--resamples", "1000"))
    manifest = (other / "manifest.csv").read_text().replace("a dog sleeps", "a cat sleeps")
    (other / "manifest.csv").write_text(manifest)
    third = trained(other / "plain.yaml", out=tmp_path / "other questions")
    result = call("embeddings", "fuse", world["plain"], third)
    assert "asks other questions than data, which is measured" in failed(result)


def test_an_exported_run_keeps_its_marks(world, tmp_path):
    """A run of an embedded variant, chosen on the test set, through a file and a fusion of it."""
    recipe = world["data"] / "lacking.yaml"
    absent = RECIPE.format(root=tmp_path / "absent", use="avg")
    recipe.write_text(f"{absent}embedded: {{data: {{root: {world['data']}}}}}\n")
    file = tmp_path / "export.npz"
    exported(trained(recipe, "train.select=test", out=tmp_path / "lacking"), file)
    other = write(tmp_path / "other.npz", *random_vectors(9))
    for made in (("eval", file), ("fuse", other, file, "--on")):
        folder, _ = measured(*made, world["plain recipe"], out=tmp_path / made[0])
        facts = read(folder / "run.json")
        assert (facts["selection"], facts["embedded"]) == ("test", True)
        page = (folder / "report.html").read_text()
        assert "ON THE TEST SET" in page
        assert re.search(r"embedded</dt>\s*<dd>yes", page)


def test_only_missing_data_are_announced(world, tmp_path):
    """What else a recipe lacks counts where its embedded block then changes the data too."""
    file = write(tmp_path / "one.npz", *random_vectors(10))
    model = "query: {use: bert, model: nobody/nothing, revision: abc}"
    plain = RECIPE.format(root=world["data"], use="avg").replace("query: {use: hashed}", model)
    lost = plain.replace(f"root: {world['data']}", f"root: {tmp_path / 'absent'}")
    block = "embedded: {query: {use: hashed}"
    root = f", data: {{root: {world['data']}}}"
    recipe = world["data"] / "bert.yaml"
    for text, named in (
        (f"{plain}{block}}}\n", set()),
        (f"{plain}{block}{root}}}\n", {"query (bert)"}),
        (f"{lost}{block}{root}}}\n", {"data (folder)"}),
    ):
        recipe.write_text(text)
        result = passed(call("embeddings", "eval", file, recipe, "--out", tmp_path / "runs"))
        assert ("EMBEDDED" in result.stderr) == bool(named)
        lines = re.findall(r"^  - (\S+ \(\w+\))", result.stderr, re.MULTILINE)
        assert set(lines) == named


def test_what_cannot_be_combined_is_said(world, tmp_path):
    file = write(tmp_path / "one.npz", *random_vectors(8))
    out = ("--out", tmp_path / "runs")
    result = call("embeddings", "fuse", file, file, *out)
    assert "no run among the sources" in failed(result)
    assert "--on" in hint(result)
    assert "no such run or file" in failed(call("embeddings", "fuse", file, tmp_path / "x", *out))
    for weights in ("1", "1,2,3", "1,x", "1,0", "1,-1", "1,inf", "nan,1"):
        result = call("embeddings", "fuse", file, world["plain"], "--weights", weights, *out)
        assert result.exit_code == 2
        assert f"--weights {weights}: give" in result.stderr
    assert call("embeddings", "fuse", file, *out).exit_code == 2
    for name in ("../up", "a/b", "..", "."):
        named = ("--name", name, "--out", tmp_path / "runs" / "below")
        assert call("embeddings", "fuse", file, world["plain"], *named).exit_code == 2
    folder, _ = measured("fuse", file, world["plain"], out=tmp_path / "made")
    result = call("embeddings", "fuse", file, folder, *out)
    assert "holds ranks, but no scores" in failed(result)
    assert not (tmp_path / "runs").exists()


def of_matrix(path, matrix, **changes):
    """Write a similarity in another order than the data set's."""
    v, q = (np.random.default_rng(8).permutation(n) for n in (len(VIDEOS), len(QUERIES)))
    arrays = {
        "video_ids": np.array(VIDEOS)[v],
        "query_ids": np.array(QUERIES)[q],
        "similarity": matrix[v][:, q],
    }
    np.savez(path, **{**arrays, **changes})
    return path


@pytest.mark.parametrize("verb", ["eval", "fuse", "rerank"])
def test_a_similarity_is_measured_like_the_embeddings_that_make_it(world, tmp_path, verb):
    vectors = random_vectors(11)
    other = write(tmp_path / "other.npz", *random_vectors(12))
    recipe = world["plain recipe"]
    more = {
        "eval": (recipe,),
        "fuse": (other, "--on", recipe),
        "rerank": (other, "--depth", 2, "--on", recipe),
    }
    ranks, folders = [], []
    for file in (
        write(tmp_path / "vectors.npz", *vectors),
        of_matrix(tmp_path / "matrix.npz", product(*vectors)),
    ):
        folder, found = measured(verb, file, *more[verb], out=tmp_path / file.stem)
        folders.append(folder)
        ranks.append(found)
    assert ranks[0] == ranks[1]
    compared = printed(call("compare", *folders, "--checkpoint", "best", "--json"))
    assert [run["checkpoint"] for run in compared["runs"].values()] == ["given", "given"]
    assert {row["value"] for row in compared["differences"]} == {0.0}


def test_a_run_of_trec_eval_is_measured_as_the_similarity_that_it_lists(world, tmp_path):
    matrix = product(*random_vectors(13))
    lines = [
        f"{QUERIES[q]} Q0 {VIDEOS[v]} 1 {matrix[v, q]:.9g} me"
        for q in range(len(QUERIES))
        for v in matrix[:, q].argsort()[-2:]  # the best two
    ]
    (tmp_path / "two.run").write_text("\n".join(lines))
    listed = np.full(matrix.shape, matrix.min() - 1)
    for q in range(len(QUERIES)):
        best = matrix[:, q].argsort()[-2:]
        listed[best, q] = matrix[best, q]
    reading = ("eval", tmp_path / "two.run", world["plain recipe"])
    assert measured(*reading, out=tmp_path / "runs")[1] == expected(listed)


def test_the_checkpoint_of_an_export_stays_known(world, tmp_path):
    """Its name, how it was selected and its seed are those of the run, also in a comparison."""
    run_of_two = trained(world["plain recipe"], "train.seeds=[3, 4]", out=tmp_path / "two")
    folders = {}
    for which in ("best", "last"):
        file = tmp_path / f"{which}.npz"
        exported(run_of_two, file, "--checkpoint", which, "--seed", 4)
        folders[which], ranks = measured("eval", file, world["plain recipe"], out=tmp_path / which)
        assert ranks == ranks_of(run_of_two, which, seed=4)
        assert list(read(folders[which] / "results.json")["summary"]) == [which]
        assert f"{which}, seed 4" in (folders[which] / "report.html").read_text()
        compared = printed(
            call("compare", run_of_two, folders[which], "--json", "--checkpoint", which)
        )
        assert [run["checkpoint"] for run in compared["runs"].values()] == [which, which]
        assert [run["selection"] for run in compared["runs"].values()] == ["val", "val"]
    result = call("compare", run_of_two, folders["last"], "--checkpoint", "best")
    assert "has no best checkpoint" in failed(result)
    assert hint(result) == "give --checkpoint last"
    # Of two checkpoints together, and of a foreign file, it is not known which one they are.
    files = (tmp_path / "best.npz", tmp_path / "last.npz", "--on", world["plain recipe"])
    for sources in (files, (files[0], write(tmp_path / "f.npz", *random_vectors(1)), *files[2:])):
        fused, _ = measured("fuse", *sources, out=tmp_path / "fused")
        assert list(read(fused / "results.json")["summary"]) == ["given"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"videos": np.full((5, 4), 1e30, "f4"), "queries": np.ones((10, 4), "f4")}, None),
        (
            {"videos": np.full((5, 4), 1e30, "f4"), "queries": np.full((10, 4), 1e30, "f4")},
            "inner products do not fit into float32",
        ),
        ({"similarity": np.full((5, 10), np.nan)}, "video 'test0' and query 'test0#0' is nan"),
    ],
)
def test_what_cannot_be_measured_leaves_nothing_behind(world, tmp_path, arrays, message):
    np.savez(
        tmp_path / "large.npz", video_ids=np.array(VIDEOS), query_ids=np.array(QUERIES), **arrays
    )
    out = tmp_path / "runs"
    large = (tmp_path / "large.npz", world["plain recipe"], "--out", out)
    result = call("embeddings", "eval", *large)
    if message is None:
        passed(result)
        return
    assert message in failed(result)
    assert not out.exists()


def test_a_sum_that_is_not_finite_names_its_pair_and_leaves_nothing_behind(world, tmp_path):
    file = of_matrix(tmp_path / "one.npz", np.eye(5, 10) * 3e38)
    fusing = ("fuse", file, file, "--weights", "1,1", "--scaling", "raw")
    result = call("embeddings", *fusing, "--on", world["plain recipe"], "--out", tmp_path / "runs")
    assert "similarity of video 'test0' and query 'test0#0' is inf, not a finite" in failed(result)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("kind", ["orthogonal", "constant", "same videos", "same queries"])
def test_scores_that_tell_nothing_apart_are_measured_and_told(world, tmp_path, kind):
    videos, queries = random_vectors(14)
    if kind == "orthogonal":
        videos[:, :2], queries[:, 2:] = 0, 0
    elif kind == "same videos":
        videos[:] = videos[0]
    elif kind == "same queries":
        queries[:] = queries[0]
    file = write(tmp_path / "flat.npz", videos, queries)
    if kind == "constant":
        file = of_matrix(tmp_path / "flat.npz", np.full((5, 10), 0.3))
    result = call("embeddings", "eval", file, world["plain recipe"], "--out", tmp_path / "runs")
    assert "WARNING: nothing is told apart" in " ".join(passed(result).stdout.split())


QRELS = {("test0#0", "test1"): 2, ("test0#0", "test0"): 1, ("test2#1", "test4"): 3}
"""Besides, every query has video test3 as an answer; test2 is an answer for none."""


@pytest.fixture
def judged(tmp_path):
    """A file of judgements, and grades (V, Q)."""
    grades = np.zeros((len(VIDEOS), len(QUERIES)), int)
    grades[3] = 1
    for (query, video), grade in QRELS.items():
        grades[VIDEOS.index(video), QUERIES.index(query)] = grade
    lines = [
        f"{query} 0 {video} {grades[v, q]}"
        for v, video in enumerate(VIDEOS)
        for q, query in enumerate(QUERIES)
    ]
    (tmp_path / "judged.qrels").write_text("\n".join(lines))
    return tmp_path / "judged.qrels", grades


def test_judgements_decide_what_is_right(world, tmp_path, judged):
    qrels, grades = judged
    videos, queries = random_vectors(15)
    file = write(tmp_path / "clip.npz", videos, queries)
    measuring = ("eval", file, world["plain recipe"], "--qrels", qrels)
    folder, ranks = measured(*measuring, out=tmp_path / "runs")
    matrix = product(videos, queries)
    right = [set(np.flatnonzero(column)) for column in grades.T]
    forth = [first_right(matrix[:, q], right[q], "average") for q in range(len(QUERIES))]
    seeking = [v for v in range(len(VIDEOS)) if grades[v].any()]
    back = [first_right(matrix[v], set(np.flatnonzero(grades[v])), "average") for v in seeking]
    assert ranks == pytest.approx(by_id(QUERIES, [VIDEOS[v] for v in seeking], forth, back))
    shown = read(folder / "results.json")["summary"]["given"]
    of_queries = [graded(*pair) for pair in zip(matrix.T, grades.T, strict=True)]
    of_videos = [graded(matrix[v], grades[v]) for v in seeking]
    for way, values in (("query_to_video", of_queries), ("video_to_query", of_videos)):
        found = [shown[f"{way}.{name}"]["mean"] for name in ("mAP", "nDCG@10")]
        assert found == pytest.approx(100 * np.mean(values, axis=0))
    page = (folder / "report.html").read_text()
    assert "nDCG@10" in page
    digest = hashlib.sha256(qrels.read_bytes()).hexdigest()[:12]
    assert f"Answers are right by relevance judgements (qrels {digest})" in page
    # What is written is the same as what was read.
    written = (folder / "seed-0" / "trec" / "query_to_video.qrels").read_text().splitlines()
    assert set(written) == {
        line for line in qrels.read_text().splitlines() if not line.endswith(" 0")
    }
    result = call("embeddings", *measuring, "--positives", "own")
    assert result.exit_code == 2
    assert "either --positives or --qrels" in result.stderr


def test_run_and_eval_know_judgements_too(world, tmp_path, judged):
    qrels, _ = judged
    by_file = trained(world["plain recipe"], f"eval.qrels={qrels}", out=tmp_path / "runs")
    again = tmp_path / "again"
    passed(call("eval", world["plain"], f"eval.qrels={qrels}", "--out", again))
    for which in ("best", "last"):
        # The checkpoint is selected as without judgements.
        assert ranks_of(by_file, which) == ranks_of(again, which)
    file = tmp_path / "best.npz"
    exported(by_file, file)
    own = ("eval", file, world["plain recipe"], "--qrels", qrels)
    folder, ranks = measured(*own, out=tmp_path / "own")
    assert ranks == ranks_of(by_file, "best")
    assert printed(call("compare", by_file, folder, again, "--json"))["mismatches"] == []
    assert "ranked different queries" in failed(call("compare", by_file, world["plain"]))


def test_a_fault_in_judgements_is_told_before_anything_is_trained(world, tmp_path):
    (tmp_path / "bad.qrels").write_text("test0#0 0 test9 1\n")
    result = run(
        world["plain recipe"], f"eval.qrels={tmp_path / 'bad.qrels'}", out=tmp_path / "runs"
    )
    assert "bad.qrels, line 1: there is no video 'test9' in this split" in failed(result)
    assert not list((tmp_path / "runs").rglob("*.safetensors"))
