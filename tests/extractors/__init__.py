import pytest

pytest.importorskip("av")
pytest.importorskip("soxr")
