"""Random numbers that belong to items, not to batches.

With one generator for a whole batch, an item's numbers depend on its neighbours, so another batch
size, order or number of processes gives another model. Here every number is a function of
(seed, item, name) alone. An item gets the same numbers anywhere, a resumed run the same as an
uninterrupted one, and no random state has to be saved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


def derive_seed(*parts: object) -> int:
    """Return a 63-bit seed that depends on the ``repr`` of ``parts`` alone.

    >>> derive_seed(0, "epoch", 1) == derive_seed(0, "epoch", 1)
    True
    """
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


@dataclass(frozen=True)
class Draws:
    """Uniform numbers for the B items of a batch; row b depends on item b only.

    There is no hidden state: the same call returns the same numbers. Use :meth:`named` to get
    several independent sets.

    Attributes:
        seed: of the run and, in training, the epoch.
        items: one identifier an item, length B.

    >>> draws = Draws(0, ("a", "b"))
    >>> alone = Draws(0, ("b",))
    >>> bool((draws.uniform(3)[1] == alone.uniform(3)[0]).all())
    True
    """

    seed: int
    items: tuple[str, ...]

    def named(self, *name: object) -> Draws:
        """Return draws that are independent of these and of any other name's."""
        return Draws(derive_seed(self.seed, *name), self.items)

    def uniform(self, count: int) -> Tensor:
        """Return (B, count) float64 numbers in [0, 1), on the CPU."""
        rows = [self.numpy(b).random(count) for b in range(len(self.items))]
        return torch.from_numpy(np.stack(rows)) if rows else torch.empty(0, count).double()

    def numpy(self, item: int) -> np.random.Generator:
        """Return a fresh numpy generator for item number ``item``."""
        return np.random.Generator(np.random.Philox(derive_seed(self.seed, self.items[item])))

    def select(self, items: Sequence[int]) -> Draws:
        """Return the draws of some of the items, by position."""
        return Draws(self.seed, tuple(self.items[i] for i in items))
