"""Lets torchvision be imported beside a torch that it was not built for.

Package registries hold the torchvision built for CUDA. Beside a torch for the CPU its compiled part
does not load, and ``import torchvision`` raises because it describes an operator that is not
defined. So do timm and much of transformers, although they need none of its operators.
"""

from __future__ import annotations

import importlib.util
import sys

import torch

FAILURE = "operator torchvision::nms does not exist"
_BOXES = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def mend_torchvision() -> None:
    """Define the operators that ``import torchvision`` misses; call it before timm or transformers.

    They are defined in name only: to call one raises. Nothing happens if torchvision is not
    installed, works, or fails in another way; then the import that needs it says so.
    """
    if "torchvision" in sys.modules or importlib.util.find_spec("torchvision") is None:
        return
    try:
        import torchvision  # noqa: F401
    except Exception as error:
        if str(error) != FAILURE:
            return
        # What was imported before the failure would not run again.
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        # Without a Library object of ours, torch keeps the definitions as long as it lives.
        for operator in ("nms", "qnms"):
            torch.library.define(f"torchvision::{operator}", _BOXES)
