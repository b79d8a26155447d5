"""The engine ``exact``: against a slow reference, kills, a full disk, and a reader meanwhile."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.rows import LOGS, PLAIN, made
from varkit.errors import DataError, WriteError
from varkit.interfaces.searching import FLOOR, Block, Channel, Rows, Where
from varkit.search.exact import Exact


def slow(channel, rows, query, absent):
    """Score rows one number at a time."""
    scores = []
    for row in rows.vectors.tolist():
        total = 0.0
        for b, (block, part) in enumerate(zip(channel.blocks, channel.slices, strict=True)):
            own = sum(x * y for x, y in zip(row[part], query[part].tolist(), strict=True))
            if block.log:
                own = float(absent[b]) if own == 0 else float(np.log(own + FLOOR))
            total += block.weight * own
        scores.append(total)
    return np.array(scores)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("channel", [LOGS, PLAIN])
def test_scores_are_those_of_a_loop(tmp_path, channel, precision, monkeypatch):
    for name in ("PIECE", "SMALL"):
        monkeypatch.setattr(f"varkit.search.scoring.{name}", 40)  # a few rows a piece, 3 threads
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    rows, chance = made(range(1, 200), channel), np.random.default_rng(1)
    engine = Exact(tmp_path, channel, precision=precision)
    engine.upsert(rows)
    queries = np.abs(chance.standard_normal((5, channel.width))).astype(np.float32)
    absent = chance.standard_normal((5, 2)).astype(np.float32)
    for query, stand_in, found in zip(
        queries, absent, engine.search(queries, 999, None, absent), strict=True
    ):
        expected = slow(channel, rows, query, stand_in)
        scores = dict(zip(found.ids.tolist(), found.scores.tolist(), strict=True))
        close = 1e-5 if precision == "fp32" else 5e-3
        assert [scores[i] for i in rows.ids.tolist()] == pytest.approx(expected, abs=close)
        assert (np.diff(found.scores) <= 0).all()
        best = engine.search(query[None], 7, None, stand_in[None])[0]
        assert best.ids.tolist() == found.ids[:7].tolist()


@pytest.mark.parametrize("size", [1e-25, 1e-6, 1, 63, 1e6, 1e30])
def test_numbers_of_half_precision_are_rounded_as_numpy_rounds_them(tmp_path, size):
    chance = np.random.default_rng(0)
    numbers = chance.uniform(-1, 1, 2048) * 10.0 ** chance.integers(-12, 1, 2048)
    numbers[:4] = 0, -0.0, 0.99, -0.99
    channel = Channel((Block("a", 2048),), frozenset({"example"}))
    engine = Exact(tmp_path, channel)
    rows = made([1], PLAIN)
    engine.upsert(Rows(rows.ids, (size * numbers)[None].astype(np.float32), *vars_of(rows)))
    queries = np.eye(2048, dtype=np.float32)[:: 1 if size == 1 else 99]
    got = np.array([found.scores[0] for found in engine.search(queries, 1)])
    # Scaled by a power of two, so that the largest number is just below 2**15.
    power = 2.0 ** (15 - np.ceil(np.log2(0.99 * size)))
    halves = (numbers * size * power).astype(np.float32).astype(np.float16).astype(np.float64)
    halves[np.abs(halves) < 2.0**-14] = 0
    expected = (halves / power)[:: 1 if size == 1 else 99]
    assert got.tolist() == pytest.approx(expected.tolist(), rel=1e-6, abs=0)


def vars_of(rows):
    return rows.video, rows.begin, rows.end, rows.anomaly, rows.camera


def test_ties_stand_in_the_order_of_their_ids(tmp_path):
    rows = made([9, 3, 7, 5, 1])
    same = Rows(rows.ids, np.ones((5, 12), np.float32), *vars_of(rows))
    engine = Exact(tmp_path, PLAIN)
    engine.upsert(same)
    found = engine.search(np.ones((1, 12), np.float32), 3)[0]
    assert found.ids.tolist() == [1, 3, 5]


def test_it_does_as_a_dictionary_does(tmp_path):
    chance, model = random.Random(0), {}
    engine = Exact(tmp_path, PLAIN, precision="fp32")
    query = np.random.default_rng(5).standard_normal((1, 12)).astype(np.float32)
    for step in range(120):
        action = chance.choice(["upsert", "upsert", "delete", "reopen", "search"])
        if action == "upsert":
            ids = chance.sample(range(1, 60), chance.randint(1, 9))
            rows = made(ids, seed=step)
            engine.upsert(rows)
            model |= {i: (rows, n) for n, i in enumerate(ids)}
        elif action == "delete":
            ids = chance.sample(range(1, 60), chance.randint(1, 20))
            engine.delete(np.array(ids))
            model = {i: at for i, at in model.items() if i not in ids}
        elif action == "reopen":
            engine.close()
            engine = Exact(tmp_path, PLAIN, precision="fp32")
        else:
            check(engine, model, query)
    check(engine, model, query)
    assert len(list(tmp_path.glob("vectors-*.bin"))) == 1


def check(engine, model, query):
    assert engine.ids().tolist() == sorted(model)
    weights = np.repeat([1, 0.5], (7, 5))
    expected = {i: float(rows.vectors[n] * weights @ query[0]) for i, (rows, n) in model.items()}
    found = engine.search(query, 1000)[0]
    order = sorted(expected, key=lambda i: -expected[i])
    assert found.ids.tolist() == order
    filters = [
        (Where(cameras=frozenset({"camera 1"})), lambda r, n: r.camera[n] == "camera 1"),
        (Where(videos=frozenset({2, 5})), lambda r, n: r.video[n] in (2, 5)),
        (Where(after=35.0, before=60.0), lambda r, n: r.end[n] > 35 and r.begin[n] < 60),
        (Where(min_anomaly=0.5), lambda r, n: r.anomaly[n] >= 0.5),
    ]
    for where, passes in filters:
        wanted = [i for i in order if passes(*model[i])]
        assert engine.search(query, 1000, where)[0].ids.tolist() == wanted


def test_what_is_wrong_is_refused_and_changes_nothing(tmp_path):
    engine = Exact(tmp_path, PLAIN)
    engine.upsert(made([1, 2, 3]))
    good = made([4, 5])
    for vectors in (np.full((2, 12), np.nan), np.full((2, 12), np.inf), np.ones((2, 11))):
        with pytest.raises(DataError, match=r"NaN|shape"):
            engine.upsert(Rows(good.ids, vectors.astype(np.float32), *vars_of(good)))
    for ids in ([0, 1], [4, 4]):
        with pytest.raises(DataError, match="positive and different"):
            engine.upsert(Rows(np.array(ids), good.vectors, *vars_of(good)))
    with pytest.raises(DataError, match="NaN"):
        engine.search(np.full((1, 12), np.nan, np.float32), 1)
    assert engine.ids().tolist() == [1, 2, 3]
    assert Exact(tmp_path / "none", PLAIN).search(np.ones((2, 12), np.float32), 3)[1].ids.size == 0


def test_a_file_that_is_not_its_own_is_refused(tmp_path):
    Exact(tmp_path, PLAIN).upsert(made(range(1, 9)))
    other = Channel((Block("other", 12),), frozenset({"text"}))
    with pytest.raises(DataError, match="holds rows of"):
        Exact(tmp_path, other).search(np.ones((1, 12), np.float32), 1)
    vectors = tmp_path / "vectors-0.bin"
    vectors.write_bytes(vectors.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"vectors-0\.bin has 383 bytes; its 8 rows need 384"):
        Exact(tmp_path, PLAIN).search(np.ones((1, 12), np.float32), 1)
    for log in tmp_path.glob("rows.sqlite-*"):
        log.unlink()
    (tmp_path / "rows.sqlite").write_bytes(b"none" * 1000)
    with pytest.raises(DataError, match=r"rows\.sqlite is damaged"):
        Exact(tmp_path, PLAIN).ids()


def test_a_deleted_row_leaves_no_byte(tmp_path):
    engine = Exact(tmp_path, PLAIN, precision="fp32")
    engine.upsert(made(range(1, 40)))
    secret = made([40], seed=9, camera="the secret camera")
    engine.upsert(secret)
    engine.upsert(made(range(41, 60), seed=3))
    marks = [secret.vectors.tobytes(), b"the secret camera"]
    assert all(any(mark in file.read_bytes() for file in tmp_path.iterdir()) for mark in marks)
    engine.delete(np.array([40]))
    for file in tmp_path.iterdir():
        assert not [mark for mark in marks if mark in file.read_bytes()], file


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_bytes_are_erased_when_the_last_search_that_reads_them_has_ended(tmp_path, precision):
    writer, reader = (
        Exact(tmp_path, PLAIN, precision=precision),
        Exact(tmp_path, PLAIN, precision=precision),
    )
    rows = made(range(1, 40), seed=2)
    writer.upsert(rows)
    query = np.ones((1, 12), np.float32)
    before = writer.search(query, 99)[0]
    deleted, score = threading.Event(), reader._scorer.scores

    def delete():
        own = Exact(tmp_path, PLAIN, precision=precision)
        own.upsert(made(range(1, 9), seed=3))  # replaces
        own.delete(np.arange(9, 30))  # so many that the file is written anew
        own.close()
        deleted.set()

    thread = threading.Thread(target=delete)

    def scores(*what):
        thread.start()
        assert not deleted.wait(0.3)  # it waits for this search
        return score(*what)

    reader._scorer.scores = scores
    found = reader.search(query, 99)[0]
    thread.join()
    assert found.ids.tolist() == before.ids.tolist()
    assert found.scores.tolist() == before.scores.tolist()
    reader._scorer.scores = score
    assert sorted(reader.search(query, 99)[0].ids.tolist()) == [*range(1, 9), *range(30, 40)]
    assert len(list(tmp_path.glob("vectors-*.bin"))) == 1


def test_filters_compare_as_numpy_does_and_know_any_name(tmp_path):
    names = ["gate", "gate\0", "\udcff", "\u95e8", None]
    rows = made([1, 2, 3, 4, 5])
    anomaly = np.array([0.7, 0.1, np.nan, 0.70001, 0.69999], np.float32)
    engine = Exact(tmp_path, PLAIN)
    engine.upsert(Rows(rows.ids, rows.vectors, rows.video, rows.begin, rows.end, anomaly, names))
    query = np.ones((1, 12), np.float32)
    for n, name in enumerate(names[:4]):
        found = engine.search(query, 9, Where(cameras=frozenset({name})))[0]
        assert found.ids.tolist() == [n + 1]
    found = engine.search(query, 9, Where(min_anomaly=0.7))[0]
    assert sorted(found.ids.tolist()) == [1, 4]


def test_large_queries_do_not_overflow(tmp_path):
    engine = Exact(tmp_path, PLAIN)
    rows = made(range(1, 9))
    engine.upsert(rows)
    query = np.random.default_rng(0).standard_normal((1, 12)).astype(np.float32)
    small, large = engine.search(query, 9)[0], engine.search(query * np.float32(2**90), 9)[0]
    assert large.ids.tolist() == small.ids.tolist()
    assert large.scores.tolist() == (small.scores * np.float32(2**90)).tolist()


def test_two_writers_do_not_lose_rows(tmp_path):
    one, other = Exact(tmp_path, PLAIN), Exact(tmp_path, PLAIN)
    for first in range(1, 60, 2):
        one.upsert(made([first], seed=first))
        other.upsert(made([first + 1], seed=first + 1))
    assert one.ids().tolist() == list(range(1, 61))


def test_a_reader_sees_whole_calls_while_another_writes(tmp_path):
    writer, done, faults = Exact(tmp_path, PLAIN), threading.Event(), []
    writer.upsert(made(range(1, 6)))

    def read():
        reader = Exact(tmp_path, PLAIN)
        query = np.ones((1, 12), np.float32)
        while not done.is_set():
            ids = reader.search(query, 999)[0].ids
            later = [int(i) for i in ids if i > 10]
            whole = len(later) == 10 * len({i // 10 for i in later})
            if not whole or not set(range(1, 6)) <= set(ids.tolist()):
                faults.append(sorted(ids.tolist()))
        reader.close()

    thread = threading.Thread(target=read)
    thread.start()
    for step in range(1, 40):
        writer.upsert(made(range(10 * step + 10, 10 * step + 20), seed=step))
        if step % 3 == 0:
            writer.delete(np.arange(10 * step, 10 * step + 20))
    done.set()
    thread.join()
    assert faults == []


ROOT = Path(__file__).resolve().parents[2]
WRITE = """
import sys
from pathlib import Path
import numpy as np
from tests.support.rows import PLAIN, made
from varkit.search.exact import Exact
engine, step = Exact(Path(sys.argv[1]), PLAIN), int(sys.argv[2])
while True:
    step += 1
    engine.upsert(made(range(10 * step, 10 * step + 10), seed=step))
    print("upsert", step, flush=True)
    if step % 3 == 0:
        engine.delete(np.arange(10 * step - 10, 10 * step))
        print("delete", step - 1, flush=True)
"""


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path):
    chance, expected, step = random.Random(0), set(), 0
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE, str(tmp_path), str(step)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        lines = [process.stdout.readline()]  # it has begun
        time.sleep(chance.uniform(0.02, 0.3))
        os.kill(process.pid, signal.SIGKILL)
        lines += process.communicate()[0].splitlines()
        for line in filter(str.strip, lines):
            action, number = line.split()
            step = max(step, int(number))
            ids = set(range(10 * int(number), 10 * int(number) + 10))
            expected = expected | ids if action == "upsert" else expected - ids
        engine = Exact(tmp_path, PLAIN)
        there = set(engine.ids().tolist())
        # The call that was killed may have been done, or not begun; never half of it.
        assert len(there ^ expected) in (0, 10)
        found = engine.search(np.ones((1, 12), np.float32), 10_000)[0]
        assert set(found.ids.tolist()) == there
        engine.upsert(made(range(10 * step + 10, 10 * step + 20), seed=step + 1))  # a retry
        step += 1
        expected = there | set(range(10 * step, 10 * step + 10))
        assert set(engine.ids().tolist()) == expected
        engine.close()


FULL = """
import resource, signal, sys
from pathlib import Path
from tests.support.rows import PLAIN, made
from varkit.errors import WriteError
from varkit.search.exact import Exact
engine = Exact(Path(sys.argv[1]), PLAIN)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = (Path(sys.argv[1]) / "vectors-0.bin").stat().st_size + 100
resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
try:
    engine.upsert(made(range(1000, 9000)))
except WriteError as error:
    print(error.what)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(len(engine.ids()))
engine.upsert(made(range(1000, 9000)))
print(len(engine.ids()))
"""


def test_a_full_disk_changes_nothing_and_a_retry_works(tmp_path):
    Exact(tmp_path, PLAIN).upsert(made(range(1, 400)))
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    said, before, after = done.stdout.splitlines()
    assert said.startswith("cannot write ")
    assert (before, after) == ("399", "8399")


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError):
        Exact(tmp_path / "file", PLAIN).upsert(made([1]))
