"""A simulated benchmark: videos of a small world, their captions or sounds, and the ground truth.

What happens: :mod:`.events` (anomalies), :mod:`.scenarios` (everyday life, places and people),
:mod:`.timeline` (lengths and intervals), :mod:`.captions`, :mod:`.names`, and :mod:`.population`,
which draws all videos of a benchmark. With :mod:`.real_captions` the captions of the real benchmark
decide what happens instead.

:mod:`.features` turns this into features, :mod:`.files` writes it, :mod:`.simulated` is the data
set that recipes name, with its options, and :mod:`.draws` has the random numbers.
"""

from varkit import hookimpl
from varkit.plugins.registry import Register


@hookimpl
def register_datasets(register: Register) -> None:
    """Register the data set."""
    register(
        "simulated",
        "varkit_simulator.simulated:Simulated",
        summary="a simulated benchmark with ground truth, for text or audio queries",
    )
