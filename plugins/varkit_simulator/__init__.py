"""A simulated benchmark: videos of a small world, their captions or sounds, and the whole truth.

What happens: :mod:`.events` (anomalies), :mod:`.scenarios` (everyday life, places and people),
:mod:`.timeline` (how long, and when), :mod:`.captions` (what is said of it), :mod:`.names`, and
:mod:`.population`, which draws all videos of a benchmark. :mod:`.real_captions` lets the captions
of the real benchmark say what happens instead.

How it shows: :mod:`.features`. Where it is written: :mod:`.files`. The data set that recipes name,
and its options: :mod:`.simulated`. Random numbers: :mod:`.draws`.
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
