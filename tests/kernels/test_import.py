"""The package without triton, and what importing it costs."""

import subprocess
import sys


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_triton_only_its_backend_is_missing():
    out = run(
        """
import sys
sys.modules["triton"] = None  # importing it raises ImportError
import torch, varkit_kernels as vk
video = torch.eye(3)
print(vk.ranking_loss(video, video, margin=0.5).item())
print(vk.explain(video).refused["triton"])
try:
    vk.ranking_loss(video, video, backend="triton")
except vk.BackendError as error:
    print(error)
"""
    )
    lines = out.splitlines()
    assert lines[0] == "0.0"
    assert lines[1].startswith("triton cannot be imported (")
    assert lines[2].startswith("backend 'triton' cannot run here: triton cannot be imported (")


def test_importing_it_imports_little_beside_torch():
    # What torch itself imports, in whatever version, is not ours.
    code = "import sys, torch; before = set(sys.modules); import varkit_kernels; "
    added = set(run(code + "print(*(set(sys.modules) - before))").split())
    assert {name.partition(".")[0] for name in added} & {"triton", "varkit", "numpy"} == set()
    assert not any(name.startswith(("torch._dynamo", "torch._inductor")) for name in added)
