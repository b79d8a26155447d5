"""The Triton kernels under Triton's interpreter, in a process of their own.

The interpreter is switched on by a variable that counts when triton is imported, and changes what
importing the kernels gives; no other test may see that.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")
SUITE = Path(__file__).parents[1] / "support" / "triton_suite.py"
IGNORED = ["-W", "ignore::DeprecationWarning"]  # numpy's, of the interpreter of Triton 3.6


def test_triton_kernels_under_the_interpreter():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *IGNORED, str(SUITE)],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
