"""Atomic writes, with every step of a write failing in turn."""

import errno
import os
from pathlib import Path

import pytest

from varkit import files
from varkit.errors import RunError


def test_write_then_read(tmp_path):
    files.write_json(tmp_path / "new" / "a.json", {"b": 1, "a": [1.5, None]})
    text = (tmp_path / "new" / "a.json").read_text()
    assert text == '{\n  "a": [\n    1.5,\n    null\n  ],\n  "b": 1\n}\n'


def test_nan_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", {"x": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, call, code):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    if call == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(Path, call, fail)
    with pytest.raises(RunError, match=os.strerror(code)) as caught:
        files.write_text(path, "new")
    monkeypatch.undo()
    assert "resume" in str(caught.value.hint)
    if code == errno.ENOSPC:
        assert "free at least" in str(caught.value.hint)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
