"""``varkit bench similarity``: tiny real runs, what they print and write, and bad input."""

import json
import subprocess
import sys

import jsonschema
import pytest
import torch
import varkit_kernels.bench
from click.testing import CliRunner
from varkit_bench import options, sweep

from varkit.cli import main

BACKENDS = ("eager", "cpu")
TINY = ["--width", "8", "--seconds", "0", "--threads", "1", "--device", "cpu"]
NUMBER, INTEGER, TEXT = ({"type": kind} for kind in ("number", "integer", "string"))
MAYBE, MAYBE_TEXT = ({"type": [kind, "null"]} for kind in ("number", "string"))


def closed(**properties):
    """Return the schema of an object that has exactly these keys."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def each(kind, names):
    return dict.fromkeys(names.split(), kind)


FIGURES = closed(
    **each(NUMBER, "median_ms p20_ms p80_ms tflops percent_of_ceiling"), **each(MAYBE, "speed")
)
SCHEMA = closed(
    schema={"const": 1},
    operator={"const": "similarity"},
    **each(TEXT, "varkit command"),
    machine=closed(
        **each(TEXT, "device system torch python"),
        **each(MAYBE_TEXT, "model triton"),
        threads=INTEGER,
    ),
    settings=closed(
        sizes={"type": "array", "items": INTEGER},
        backends={"type": "array", "items": TEXT},
        **each(TEXT, "device dtype vectors"),
        **each(INTEGER, "experts width"),
        **each(NUMBER, "margin seconds"),
        alignments={"const": 2},
    ),
    ceiling_tflops=NUMBER,
    refused={"type": "object", "additionalProperties": TEXT},
    results={
        "type": "array",
        "items": closed(
            pairs=INTEGER,
            backend=TEXT,
            correct={"type": ["boolean", "null"]},
            reason=MAYBE_TEXT,
            error={"anyOf": [{"type": "null"}, closed(loss=MAYBE, gradients=MAYBE)]},
            **each({"anyOf": [{"type": "null"}, FIGURES]}, "forward backward both"),
            peak_extra_mib=MAYBE,
        ),
    },
)


def bench(*arguments):
    return CliRunner().invoke(main, ["bench", "similarity", *map(str, arguments)])


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """One run, with all that it writes."""
    folder = tmp_path_factory.mktemp("bench")
    result = bench(
        *TINY, "--sizes", "1,5", "--backends", ",".join(BACKENDS), "--json", "--out",
        folder / "new", "--plot", folder / "speed.png",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return result, json.loads(result.stdout), folder


def test_json_is_as_documented(ran):
    _, found, folder = ran
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    assert json.loads((folder / "new" / "similarity.json").read_text()) == found
    settings, machine = found["settings"], found["machine"]
    assert (settings["sizes"], settings["backends"]) == ([1, 5], list(BACKENDS))
    assert (machine["threads"], machine["torch"]) == (1, torch.__version__)


def test_figures_hold_together(ran):
    _, found, _ = ran
    rows = {(row["pairs"], row["backend"]): row for row in found["results"]}
    assert list(rows) == [(size, backend) for size in (1, 5) for backend in BACKENDS]
    for (size, _), row in rows.items():
        assert row["correct"] is True
        for direction, products in (("forward", 1), ("backward", 2), ("both", 3)):
            figures, eager = row[direction], rows[size, "eager"][direction]
            # K = 2 alignments x 2 experts x 8, a product is 2 B B K operations
            tflops = products * 2 * size * size * 32 / figures["median_ms"] / 1e9
            assert figures["tflops"] == pytest.approx(tflops)
            share = 100 * tflops / found["ceiling_tflops"]
            assert figures["percent_of_ceiling"] == pytest.approx(share)
            assert figures["speed"] == pytest.approx(eager["median_ms"] / figures["median_ms"])
            assert figures["p20_ms"] <= figures["median_ms"] <= figures["p80_ms"]


def test_what_cannot_run_is_listed_with_its_reason(ran):
    _, found, folder = ran
    assert "GPU" in found["refused"]["triton"]
    text = (folder / "new" / "similarity.md").read_text(encoding="utf-8")
    assert "triton cannot run here: it needs tensors on a GPU" in text


def test_progress_and_files_go_to_stderr(ran):
    result, _, folder = ran
    lines = result.stderr.splitlines()
    assert lines[:2] == ["1 of 4: B = 1, eager", "2 of 4: B = 1, cpu"]
    assert lines[-1] == f"wrote {folder / 'speed.png'}"


def test_the_picture_is_a_png_with_lines_in_their_colours(ran):
    import numpy as np
    from matplotlib.image import imread

    picture = imread(ran[2] / "speed.png")
    for colour in ((47, 127, 214), (217, 115, 13)):
        near = np.abs(picture[..., :3] * 255 - colour).max(axis=-1) < 2
        halves = np.array_split(near, 2, axis=1)
        assert all(half.sum() > 20 for half in halves), colour


def test_markdown_has_a_line_a_direction(ran):
    text = (ran[2] / "new" / "similarity.md").read_text(encoding="utf-8")
    lines = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in lines[0][:4]] == ["B", "backend", "pass", "ms"]
    assert len(lines) == 2 + 2 * 2 * 3
    assert {len(line) for line in lines} == {9}
    assert lines[2][8].strip() == "1.00"


def test_the_command_of_the_json_can_be_run_and_prints_the_table(ran):
    command = ran[1]["command"].replace("--sizes 1,5", "--sizes 3")
    command = command.replace(",".join(BACKENDS), "cpu").split()
    assert command[:3] == ["varkit", "bench", "similarity"]
    command = [sys.executable, "-m", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    (row,) = [at for at, line in enumerate(lines) if line[:3] == ["3", "cpu", "forward"]]
    assert [lines[row + 1][0], lines[row + 2][0]] == ["backward", "both"]
    assert float(lines[row][3]) > 0
    assert "speed: unknown, since eager was not measured." in done.stdout
    assert "triton cannot run here" in done.stdout


def test_a_wrong_backend_is_said_and_not_timed(monkeypatch):
    right = varkit_kernels.bench.loss_of

    def loss_of(name, dtype, margin):
        factor = 1.01 if name == "cpu" else 1
        return lambda x: right(name, dtype, margin)(x) * factor

    monkeypatch.setattr(varkit_kernels.bench, "loss_of", loss_of)
    result = bench(*TINY, "--sizes", "4", "--backends", "cpu")
    assert result.exit_code == 1
    assert ["4", "cpu", "WRONG"] in [line.split() for line in result.stdout.splitlines()]
    assert "is WRONG, so not timed; off by loss 1.0e-02" in " ".join(result.stdout.split())


def largest_with_room(chosen, size, backend):
    """The largest batch that has room, as the refusal of ``size`` says; a larger one has none."""
    largest = int(chosen.too_large(size, backend).split("B = ")[1].split()[0])
    assert chosen.too_large(largest, backend) is None
    assert chosen.too_large(largest + 2, backend) is not None
    return largest


def test_a_batch_without_room_costs_its_own_row(monkeypatch):
    """300 MB are free, so the dense matrices of B = 4,096 do not fit, and a fused one does."""
    monkeypatch.setattr(sweep, "free_memory", lambda device: 300_000_000)
    chosen = sweep.Sweep.checked((2, 4096), None, "float32", "cpu", 1, 1, 0.0)
    assert "needs at least 0.3 GiB, and 0.3 GiB" in chosen.too_large(4096, "eager")
    assert chosen.too_large(2, "eager") is None
    for backend in chosen.backends:
        if backend in sweep.DENSE:
            assert largest_with_room(chosen, 4096, backend) < 4096
        else:
            assert chosen.too_large(4096, backend) is None


@pytest.mark.parametrize("free", [10**9, 10**10])
def test_room_for_batches_that_keep_no_mask(free, monkeypatch):
    """The mask of 65,536 pairs has 1 GiB, and larger ones are not kept."""
    monkeypatch.setattr(sweep, "free_memory", lambda device: free)
    chosen = sweep.Sweep.checked((2,), ("cpu",), "float32", "cpu", 1, 64, 0.0)
    assert (largest_with_room(chosen, 10**8, "cpu") > 65_536) == (free == 10**10)


def test_all_that_build_the_matrix_are_known():
    """``eager`` and ``compiled`` of the backends, and every baseline."""
    assert set(varkit_kernels.bench.BASELINES) <= set(sweep.DENSE)


def test_memory_that_runs_out_is_a_row(monkeypatch):
    real = varkit_kernels.bench.bench
    faults = {
        "eager": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 16.00 GiB."),
        "one_product": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"),
        "compiled": RuntimeError("something else"),
    }

    def full(pairs, *, backends, **options):
        if backends[0] in faults:
            raise faults[backends[0]]
        return real(pairs, backends=backends, **options)

    monkeypatch.setattr(varkit_kernels.bench, "bench", full)
    result = bench(*TINY, "--sizes", "2", "--backends", "eager,one_product,cpu", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    *lost, cpu = found["results"]
    assert len(lost) == 2
    for row in lost:
        assert (row["correct"], row["reason"], row["both"]) == (None, "out of memory", None)
    assert cpu["both"]["speed"] is None
    result = bench(*TINY, "--sizes", "2", "--backends", "eager")
    assert result.exit_code == 1
    assert "nothing could be measured: out of memory" in result.stderr
    monkeypatch.setattr(sweep, "why_not", lambda *_: None)
    assert "something else" in bench(*TINY, "--sizes", "2", "--backends", "compiled").stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sizes", "0"], "'0' is not a size"),
        (["--sizes", "-3"], "'-3' is not a size"),
        (["--sizes", "4,,5"], "'' is not a size"),
        (["--sizes", "²"], "is not a size"),
        (["--sizes", "1e3"], "'1e3' is not a size"),
        (["--sizes", "9" * 5000], "is not a size"),
        (["--sizes", "99999999999"], "B = 99999999999 does not fit: eager needs at least"),
        (["--sizes", "10000000", "--backends", "cpu"], "does not fit: cpu needs at least"),
        (["--backends", "cqu"], "no backend 'cqu'. Did you mean 'cpu'? Known here: eager,"),
        (["--backends", "cpu,"], "lacks a word"),
        (["--backends", "cpu,triton"], "'triton' cannot run here: it needs tensors on a GPU"),
        (["--dtype", "flaot32"], "no dtype 'flaot32'. Did you mean 'float32'?"),
        (["--dtype", "int8"], "Known here: float64, float32"),
        (["--device", "cqu"], "no device 'cqu'. Did you mean 'cpu'? Known here: auto, cpu"),
        (["--device", "cuda:99"], "no device 'cuda:99'"),
        (["--device", "meta"], "no device 'meta'"),
        (["--experts", "0"], "--experts"),
        (["--width", "0"], "--width"),
        (["--threads", "0"], "--threads"),
        (["--seconds", "-1"], "--seconds"),
        (["--seconds", "nan"], "--seconds"),
        (["--plot", "speed.pdf"], "'speed.pdf' must end in .png"),
    ],
)
def test_bad_input_is_refused_at_once(arguments, said):
    result = bench("--device", "cpu", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert " of " not in result.stderr.splitlines()[0]


def test_a_picture_without_matplotlib_is_refused_before_measuring(monkeypatch, tmp_path):
    monkeypatch.setattr(options, "find_spec", lambda name: None)
    result = bench(*TINY, "--plot", tmp_path / "x.png")
    assert result.exit_code == 1
    assert result.stderr == ("error: --plot needs matplotlib\nhint: pip install 'varkit[report]'\n")


def test_help_imports_no_torch():
    code = (
        "import sys; from varkit.cli import main\n"
        "try: main(['bench', 'similarity', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--backends" in done.stdout
