import sys
from importlib.metadata import EntryPoint

import pytest


@pytest.fixture
def point(tmp_path, monkeypatch):
    """Write a module and return an entry point to it; the test's end forgets the module."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write(name, source):
        (tmp_path / f"plugged_{name}.py").write_text(source, encoding="utf-8")
        return EntryPoint(name, f"plugged_{name}", "varkit")

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("plugged_"):
            del sys.modules[name]
