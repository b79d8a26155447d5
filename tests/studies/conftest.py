"""One small study, run once for all tests that look at it."""

import json

import pytest

from tests.support.studies import make_study, study


@pytest.fixture(scope="session")
def done(tmp_path_factory):
    """Return the study's file, what ``--json`` printed, and what stderr got."""
    file = make_study(tmp_path_factory.mktemp("study"))
    result = study(file, "--jobs", 2, "--json")
    assert result.exit_code == 0, result.output
    return file, json.loads(result.stdout), result.stderr
