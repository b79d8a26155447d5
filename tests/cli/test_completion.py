"""Completion by the shell, as bash asks for it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = """
import sys
from varkit.cli import main
try: main(prog_name="varkit")
except SystemExit: print("torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("words", "expected", "torch"),
    [
        ("run alan_u", "plain,alan_ucf", False),
        ("data verify ucfcr", "plain,ucfcrime_ar", False),
        ("data verify alan_u", "plain,alan_ucf", False),
        ("plugin test anomaly_l", "plain,anomaly_led", False),
        ("study alignments_u", "plain,alignments_ucf", None),
        ("eval runs/mi", "plain,runs/mine/1", False),
        ("compare runs/mi", "plain,runs/mine/1", False),
        ("ev", "plain,eval", False),
    ],
)
def test_names_are_completed_without_heavy_imports(words, expected, torch, tmp_path):
    (tmp_path / "runs/mine/1").mkdir(parents=True)
    (tmp_path / "runs/mine/1/run.json").write_text("{}")
    asked = {"COMP_WORDS": f"varkit {words}", "COMP_CWORD": str(len(words.split()))}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, **asked, "_VARKIT_COMPLETE": "bash_complete"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    *offered, heavy = done.stdout.splitlines()
    assert [line for line in offered if line.startswith("plain")] == [expected], done.stderr
    assert torch is None or heavy == str(torch)
