"""The tiny language model that the tests of this folder share."""

import pytest

from varkit.blocks.tiny_language import write_tiny_language


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    return write_tiny_language(tmp_path_factory.mktemp("tiny"))
