"""The command line, called in this process, and what it said."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from click.testing import CliRunner, Result

from varkit.cli import main


def call(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


def passed(result: Result) -> Result:
    """Return the result, after a look at the exit code."""
    assert result.exit_code == 0, result.output
    return result


def printed(result: Result) -> Any:
    """Return what ``--json`` printed."""
    return json.loads(passed(result).stdout)


def failed(result: Result, code: int = 1) -> str:
    """Return the one line that says what failed, after a look at the exit code."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    assert "  cause: " not in result.stderr
    return lines[0]


def hint(result: Result) -> str:
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("hint: "))
    return line.removeprefix("hint: ")


def start(*arguments: object) -> subprocess.Popen:
    """Start a process of its own, whose children a signal to its group reaches too."""
    return subprocess.Popen(
        [sys.executable, "-m", "varkit", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(process: subprocess.Popen, look: Callable[[], Any]) -> Any:
    """Return what ``look`` finds while the process runs."""
    while process.poll() is None:
        if value := look():
            return value
        time.sleep(0.01)
    raise AssertionError(f"it never came: {process.communicate()}")
