"""One thread, so that tests neither spin on a busy machine nor depend on its size."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real captions, features and lists, where it is present."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("VARKIT_TEST_DATA", default))
    if not path.is_dir():
        pytest.skip("no real test data: set VARKIT_TEST_DATA to the folder that holds it")
    return path
