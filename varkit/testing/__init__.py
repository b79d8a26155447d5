"""The conformance kit: what the author of a plugin runs.

One line is a test of everything that a kind of component promises::

    from varkit.testing import check

    def test_every_other():
        check("sampler", EveryOther, {"count": 4})

or ``varkit plugin test every_other`` without any test. A broken promise raises
:class:`ConformanceError`, which lists all that are broken, with what came back instead. For an
instance built by hand there is one function a kind, such as :func:`check_sampler`.
"""

from varkit.testing.alignments import check_alignment
from varkit.testing.checks import ConformanceError, Result
from varkit.testing.component import MissingError, check
from varkit.testing.datasets import check_dataset
from varkit.testing.detectors import check_detector
from varkit.testing.encoders import check_encoder
from varkit.testing.objectives import check_objective
from varkit.testing.pretexts import check_pretext
from varkit.testing.samplers import check_sampler

__all__ = [
    "ConformanceError",
    "MissingError",
    "Result",
    "check",
    "check_alignment",
    "check_dataset",
    "check_detector",
    "check_encoder",
    "check_objective",
    "check_pretext",
    "check_sampler",
]
