"""One thread and no chance: the same code has the same result, on a busy machine too."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from varkit.system.torchvision import mend_torchvision

torch.set_num_threads(1)
mend_torchvision()  # for tests that import transformers themselves
# Always the same examples, however long they take; --hypothesis-profile=default draws others.
settings.register_profile(
    "same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real captions, features and lists, where it is present."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("VARKIT_TEST_DATA", default))
    if not path.is_dir():
        pytest.skip("no real test data: set VARKIT_TEST_DATA to the folder that holds it")
    return path


@pytest.fixture(scope="session")
def decoder():
    """One process that decodes, for all tests that do not harm it."""
    pytest.importorskip("av")
    pytest.importorskip("soxr")
    from varkit.media.decode import Decoder

    with Decoder() as decoder:
        yield decoder
