"""The hierarchy of what encoders gave in half precision, computed without autocast."""

from dataclasses import replace

import pytest
import torch
from varkit_varcmp.alignment import Hierarchical

from tests.support.varcmp import LEVELS, make


@pytest.mark.parametrize("kind", LEVELS)
def test_half_precision_is_read_at_full(kind):
    alignment = Hierarchical(levels=LEVELS[kind], beta=1.0)
    found = []
    for dtype in (torch.bfloat16, torch.float32):
        sides = []
        for side in make(kind):
            half = {
                part: {n: x.bfloat16().to(dtype) for n, x in getattr(side, part).items()}
                for part in ("vectors", "tokens")
            }
            scores = None if side.scores is None else side.scores.bfloat16().to(dtype)
            sides.append(replace(side, **half, scores=scores))
        found.append(alignment.similarity(*sides))
    assert found[0].dtype == torch.float32
    assert torch.equal(*found)
