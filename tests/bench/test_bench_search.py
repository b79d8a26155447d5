"""``varkit bench search``: tiny real runs beside a stand-in for FAISS, and bad input."""

import json
import sys
import types

import numpy as np
import pytest
from click.testing import CliRunner
from varkit_bench import engines

from varkit.cli import main


def bench(*arguments):
    return CliRunner().invoke(main, ["bench", "search", "--seconds", "0", *map(str, arguments)])


class Flat:
    """A flat index with FAISS's interface."""

    def __init__(self, width, *_):
        self.rows = np.zeros((0, width), np.float32)

    def add(self, rows):
        self.rows = np.concatenate([self.rows, rows])

    def search(self, queries, k, params=None):
        scores = queries @ self.rows.T
        if params is not None:
            others = np.setdiff1d(np.arange(len(self.rows)), params)
            scores[:, others] = -np.inf
        best = np.argsort(-scores, axis=1)[:, :k]
        found = np.take_along_axis(scores, best, axis=1)
        return found, np.where(np.isinf(found), -1, best)


@pytest.fixture
def rival(monkeypatch):
    faiss = types.ModuleType("faiss")
    faiss.__version__ = "1"
    faiss.__spec__ = types.SimpleNamespace()
    faiss.omp_set_num_threads = lambda count: None
    faiss.IndexFlatIP = faiss.IndexScalarQuantizer = Flat
    faiss.ScalarQuantizer = types.SimpleNamespace(QT_fp16=0)
    faiss.METRIC_INNER_PRODUCT = 0
    faiss.IDSelectorBatch = faiss.SearchParameters = lambda places=None, sel=None: (
        places if sel is None else sel
    )
    monkeypatch.setitem(sys.modules, "faiss", faiss)
    monkeypatch.setattr(engines, "find_spec", lambda name: faiss)


def test_both_find_the_same_rows(rival, tmp_path):
    result = bench("--rows", "900", "--widths", "24", "--json", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert json.loads((tmp_path / "search.json").read_text()) == report
    rows = report["results"]
    asked = ["a query", "32 queries", "a camera, new filter", "a camera, again"]
    assert [row["asked"] for row in rows] == 2 * asked
    for row in rows:
        assert row["agree"] > (0.999 if row["precision"] == "fp32" else 0.9)
        assert row["speed"] == row["faiss"]["p50_ms"] / row["exact"]["p50_ms"]
        assert row["exact"]["p50_ms"] <= row["exact"]["p99_ms"]
        assert row["repeats"] == engines.LEAST
    lines = (tmp_path / "search.md").read_text().splitlines()
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1


def test_without_faiss_its_times_are_left_out(monkeypatch):
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    result = bench("--rows", "50", "--widths", "8", "--precisions", "fp32")
    assert result.exit_code == 0, result.output
    assert "FAISS is not installed: pip install faiss-cpu adds its times." in result.stdout
    (line,) = [line for line in result.stdout.splitlines() if "32 queries" in line]
    assert line.split()[:5] == ["50", "8", "fp32", "32", "queries"]
    assert len(line.split()) == 7


def test_what_has_no_room_is_left_out_with_the_reason(monkeypatch):
    monkeypatch.setattr(engines, "free_memory", lambda device: 10**7)
    result = bench("--rows", "100000", "--widths", "24", "--precisions", "fp16")
    assert result.exit_code == 0, result.output
    assert "no room" in result.stdout
    assert "100,000 rows of 24 numbers, fp16: needs 0.0 GB of memory" in " ".join(
        result.stdout.split()
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rows", "0"], "'0' is not a size"),
        (["--widths", "3,x"], "'x' is not a size"),
        (["--precisions", "fp61"], "no precision 'fp61'. Did you mean 'fp16'?"),
        (["--seconds", "nan"], "--seconds"),
    ],
)
def test_bad_input_is_refused_at_once(arguments, said):
    result = bench(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
