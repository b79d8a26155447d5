"""One small study, run once for all tests that look at it."""

import pytest

from tests.support.calls import printed
from tests.support.studies import make_study, study


@pytest.fixture(scope="session")
def done(tmp_path_factory):
    """Return the study's file, what ``--json`` printed, and what stderr got."""
    file = make_study(tmp_path_factory.mktemp("study"))
    result = study(file, "--jobs", 2, "--json")
    return file, printed(result), result.stderr
