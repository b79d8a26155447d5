"""The page about search shows what works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("av")
pytest.importorskip("soxr")

from tests.support.footage import make_footage

PAGE = Path(__file__).resolve().parents[2] / "docs" / "search.md"


def test_the_python_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_footage(tmp_path / "footage")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(code, names)
    assert len(names["hits"]) == 3
    assert names["where"][0] == names["best"].video
    assert names["alike"][0].video == names["best"].video
    assert [len(hits) for hits in names["both"]] == [4, 3]  # one video has no sound
    assert {hit.camera for hit in names["gate"]} == {"gate"}
