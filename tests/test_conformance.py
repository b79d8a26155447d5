"""Every component of every installed plugin keeps the promises of its kind."""

import pytest

from varkit.plugins.loading import load_plugins
from varkit.testing import MissingError, check

ENTRIES = list(load_plugins().registry)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_component_keeps_its_promises(entry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # nothing that a component writes by default stays
    try:
        assert check(entry.kind, entry.load())
    except MissingError as error:
        pytest.skip(str(error))
