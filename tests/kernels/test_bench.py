"""The benchmark: it measures what is right, and only that."""

import json
import subprocess
import sys

import pytest
import torch
from varkit_kernels import bench

NAMES = ("eager", "one_product", "keep_index", "cpu")
PHASES = ("forward", "backward", "both")


def test_a_result_holds_together():
    seen = []
    found = bench.bench([3, 20], backends=NAMES, width=8, seconds=0.0, report=seen.append)
    assert found["results"] == seen
    assert [(r["pairs"], r["backend"]) for r in seen] == [
        (count, name) for count in (3, 20) for name in NAMES
    ]
    assert found["settings"]["dtype"] == "float32"
    assert "triton" in found["refused"]
    assert found["ceiling_tflops"] > 0
    for result in seen:
        assert result["correct"]
        assert max(result["error"].values()) < 1e-5
        for phase, units in zip(PHASES, (1, 2, 3), strict=True):
            figures = result[phase]
            assert 0 < figures["p20_ms"] <= figures["median_ms"] <= figures["p80_ms"]
            operations = units * 2 * result["pairs"] ** 2 * 2 * 2 * 8
            assert figures["tflops"] == pytest.approx(operations / figures["median_ms"] / 1e9)
        assert result["speedup"] == pytest.approx(
            next(r for r in seen if r["pairs"] == result["pairs"])["both"]["median_ms"]
            / result["both"]["median_ms"]
        )
    json.dumps(found)


@pytest.mark.parametrize("wrong", ["loss", "gradients"])
def test_what_is_wrong_is_not_timed(wrong, monkeypatch):
    right = bench.loss_of

    def loss_of(name, dtype, margin):
        function = right(name, dtype, margin)
        if name != "cpu":
            return function
        if wrong == "loss":
            return lambda x: function(x) * 1.001
        return lambda x: (
            function(x) + 0 * x.video[0].sum() + (x.video[0] - x.video[0].detach()).sum()
        )

    monkeypatch.setattr(bench, "loss_of", loss_of)
    found = bench.bench([9], backends=["cpu"], width=8, seconds=0.0)
    (result,) = found["results"]
    assert not result["correct"]
    assert result["error"][wrong] > 1e-5
    assert not set(PHASES) & set(result)
    assert "WRONG" in bench.line(result)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_peak_memory_sees_what_is_held():
    size = 64 << 20
    found = bench.peak_extra(lambda: torch.ones(size, dtype=torch.uint8), torch.device("cpu"))
    assert 0.9 * size < found < 1.5 * size


def test_as_a_program():
    command = [sys.executable, "-m", "varkit_kernels.bench", "--pairs", "4", "--width", "8"]
    command += ["--seconds", "0", "--backends", "eager", "cpu", "--dtype", "bfloat16"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [line.split()[:2] for line in done.stdout.splitlines()[:2]] == [
        ["4", "eager"],
        ["4", "cpu"],
    ]
    assert done.stdout.splitlines()[2].startswith("ceiling ")
