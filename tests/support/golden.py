"""Values that an implementation gave once, with the weights that it had."""

import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

FOLDER = Path(__file__).parents[1] / "baselines" / "golden"


def check(name, module, outputs):
    """With the state that was kept, ``outputs`` computes what it computed then.

    With ``KEEP_GOLDEN=1`` in the environment, what it computes now is kept first.
    """
    file = FOLDER / f"{name}.safetensors"
    if os.environ.get("KEEP_GOLDEN"):
        # The state comes first: a step of training moves the running statistics.
        state = {f"state.{key}": value.clone() for key, value in module.state_dict().items()}
        now = {**state, **outputs(module)}
        save_file({key: value.detach().contiguous() for key, value in now.items()}, file)
    kept = load_file(file)
    state = {key.removeprefix("state."): kept.pop(key) for key in list(kept) if "state." in key}
    module.load_state_dict(state)
    for key, found in outputs(module).items():
        torch.testing.assert_close(found, kept[key], rtol=1e-9, atol=1e-11)
