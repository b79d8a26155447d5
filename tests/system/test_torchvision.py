"""torchvision is mended where it misses its operators, and left alone everywhere else."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

DESCRIBES = """
import torch
import torchvision.extension
{before}
@torch.library.register_fake("torchvision::nms")
def nms(dets, scores, iou_threshold):
    return dets
"""
COUNTS = """
import sys
sys.runs = getattr(sys, "runs", 0) + 1
"""
WORKS = """
torch.library.define("torchvision::nms", "(Tensor a, Tensor b, float c) -> Tensor")
"""


def after_mending(script, folder):
    """Run a script behind the mending, in a process of its own that imports from a folder first."""
    mend = "from varkit.system.torchvision import mend_torchvision as mend; mend(); mend()"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import gc, sys, torch\n{mend}\n{script}"],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a package torchvision."""

    def write(code):
        (tmp_path / "torchvision").mkdir()
        (tmp_path / "torchvision" / "__init__.py").write_text(code)
        (tmp_path / "torchvision" / "extension.py").write_text(COUNTS)
        return tmp_path

    return write


STATE = 'print([hasattr(torch.ops.torchvision, n) for n in ("nms", "qnms")].count(True))'


def test_an_operator_that_is_missing_is_defined_and_stays(write):
    folder = write(DESCRIBES.format(before=""))
    script = f"import torchvision; gc.collect(); {STATE}; print(sys.runs)"
    assert after_mending(script, folder) == ["2", "2"]  # both parts were imported afresh


def test_a_package_that_works_keeps_its_own_operator(write):
    folder = write(DESCRIBES.format(before=WORKS))
    script = f"{STATE}; print(torch.ops.torchvision.nms.default._schema.arguments[0].name)"
    assert after_mending(script, folder) == ["1", "a"]


def test_another_failure_is_left_to_the_import_that_needs_it(write):
    folder = write("raise RuntimeError('operator torchvision::roi does not exist')")
    script = f"""
{STATE}
try:
    import torchvision
except RuntimeError as error:
    print(str(error).split()[1])
"""
    assert after_mending(script, folder) == ["0", "torchvision::roi"]


@pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")
def test_the_torchvision_of_this_machine_can_be_imported(tmp_path):
    assert after_mending("import torchvision.transforms; print('here')", tmp_path) == ["here"]
