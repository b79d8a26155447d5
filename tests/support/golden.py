"""Values that an implementation gave once, with the weights and inputs that it had."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

FOLDER = Path(__file__).parents[1] / "baselines" / "golden"


def write(name, module, tensors):
    """Keep a module's state and its inputs and outputs, by name."""
    FOLDER.mkdir(exist_ok=True)
    state = {f"state.{key}": value for key, value in module.state_dict().items()}
    kept = {key: value.detach().contiguous() for key, value in {**state, **tensors}.items()}
    save_file(kept, FOLDER / f"{name}.safetensors")


def read(name, module):
    """Load the state into the module and return the inputs and outputs."""
    kept = load_file(FOLDER / f"{name}.safetensors")
    state = {key.removeprefix("state."): kept.pop(key) for key in list(kept) if "state." in key}
    module.load_state_dict(state)
    return kept


def keep(name, module, outputs):
    """Write what ``outputs`` computes with a module now."""
    write(name, module, outputs(module))


def check(name, module, outputs):
    """With the state that was kept, ``outputs`` computes what it computed then."""
    kept = read(name, module)
    for key, found in outputs(module).items():
        torch.testing.assert_close(found, kept[key], rtol=1e-9, atol=1e-11)
