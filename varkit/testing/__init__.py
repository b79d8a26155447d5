"""The conformance kit: what the author of a plugin runs.

One line is a test of everything that a kind of component promises::

    from varkit.testing import check

    def test_every_other():
        check("sampler", EveryOther, {"count": 4})

or ``varkit plugin test every_other`` without any test. A broken promise raises
:class:`ConformanceError`, which lists all that are broken, with what came back instead. For an
instance built by hand there is one function a kind, such as
:func:`varkit.testing.samplers.check_sampler`.
"""

from varkit.testing.checks import ConformanceError, Result
from varkit.testing.component import MissingError, check

__all__ = ["ConformanceError", "MissingError", "Result", "check"]
