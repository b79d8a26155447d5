import pytest

pytest.importorskip("av")
pytest.importorskip("soxr")

from varkit.media.decode import Decoder


@pytest.fixture(scope="session")
def decoder():
    """One process for all tests."""
    with Decoder() as decoder:
        yield decoder
