"""Atomic writes, with every step of a write failing in turn."""

import errno
import os
from pathlib import Path

import pytest

from varkit.errors import RunError, WriteError
from varkit.system import files


def test_write_then_read(tmp_path):
    files.write_json(tmp_path / "new" / "a.json", {"b": 1, "a": [1.5, None]})
    text = (tmp_path / "new" / "a.json").read_text()
    assert text == '{\n  "a": [\n    1.5,\n    null\n  ],\n  "b": 1\n}\n'


def test_nan_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", {"x": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_what_killed_processes_left_is_swept(tmp_path):
    files.write_text(tmp_path / "models" / "a.txt", "whole")
    (tmp_path / "models" / ".a.txt.0a1b.part").write_text("ha")
    files.sweep(tmp_path)
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["a.txt"]


def test_a_file_in_the_way_of_a_folder_is_a_write_error(tmp_path):
    (tmp_path / "in_the_way").write_text("")
    with pytest.raises(WriteError, match="Not a directory") as caught:
        files.write_text(tmp_path / "in_the_way" / "b" / "c.txt", "x")
    assert "make " in str(caught.value.hint)


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
    if code == errno.ENOSPC:
        assert "free at least" in str(caught.value.hint)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
