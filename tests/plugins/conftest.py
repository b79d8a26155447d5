import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest


@pytest.fixture
def point(tmp_path, tmp_path_factory, monkeypatch):
    """Write a module and return an entry point to it; the test's end forgets the module.

    It belongs to varkit's own distribution, or with ``own=False`` to a stranger's.
    """
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    before = set(sys.modules)

    def write(name, source, own=True):
        (tmp_path / f"plugged_{name}.py").write_text(source, encoding="utf-8")
        distribution = SimpleNamespace(name="varkit" if own else "stranger", version="1.0")
        return EntryPoint(name, f"plugged_{name}", "varkit")._for(distribution)

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("plugged_"):
            del sys.modules[name]
