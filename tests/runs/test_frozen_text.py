"""A run with a frozen language model computes the same whatever its files of states are like."""

import shutil

import numpy as np
import pytest

from tests.support.calls import call
from varkit.blocks.frozen_states import CACHE
from varkit.blocks.tiny_language import write_tiny_language
from varkit.cli import training_display
from varkit.system.tensors import load

RECIPE = """\
# Mean pooling and a frozen language model, on a folder of one's own.
version: 1
data: {use: folder, root: data, query: text, streams: {object: rgb}}
model: {dim: 8, experts: [object]}
video: {use: mean_pool}
query: {use: bert, model: language, finetune: false, gate_norm: layer}
alignments: {avg: {use: avg, weight: 1.0}}
objective: {use: margin_ranking}
train: {epochs: 2, batch_size: 4, validation: 0.25}
"""


def train(folder, out):
    result = call("run", "tiny.yaml", "--out", out, "--threads", 1)
    assert result.exit_code == 0, result.output
    (seed,) = (folder / out).glob("*/*/seed-0")
    tensors, _ = load(seed / "models" / "last.safetensors")
    ranks = [path.read_text() for path in sorted(seed.glob("ranks/*"))]
    return result.stderr, {name: x.tolist() for name, x in tensors.items()}, ranks


@pytest.mark.filterwarnings("always")
def test_cold_warm_damaged_or_unwritable_it_is_the_same_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training_display, "HEARTBEAT", 0.0)
    write_tiny_language(tmp_path / "language")
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    rows = ["video,split,caption,rgb"]
    (tmp_path / "data").mkdir()
    for i in range(12):
        np.save(tmp_path / "data" / f"{i}.npy", np.random.default_rng(i).normal(size=(4, 3)))
        split = "test" if i % 3 == 0 else "train"
        rows += [
            f"v{i},{split},a {said} walks {'abcdefghijkl'[i]},{i}.npy" for said in ("man", "dog")
        ]
    (tmp_path / "data" / "manifest.csv").write_text("\n".join(rows))

    said, *cold = train(tmp_path, "cold")
    assert "seed 0: captions 16/16" in said
    assert "seed 0: captions 8/8" in said

    said, *warm = train(tmp_path, "warm")
    assert "seed 0: captions" not in said
    assert warm == cold

    damaged, other = CACHE.glob("*/*.safetensors")
    damaged.write_bytes(other.read_bytes()[:-1])
    said, *mended = train(tmp_path, "mended")
    assert f"warning: checkpoint {damaged} cannot be read" in said
    assert "seed 0: captions" in said
    assert mended == cold

    shutil.rmtree(CACHE)
    CACHE.touch()
    said, *unwritable = train(tmp_path, "unwritable")
    assert "warning: cannot write" in said
    assert "captions 8/8" in said
    assert unwritable == cold
