"""The conformance kit: checks that authors of plugins run.

One line tests everything that a kind of component promises::

    from varkit.testing import check

    def test_every_other():
        check("sampler", EveryOther, {"count": 4})

``varkit plugin test every_other`` does the same on the command line. :class:`ConformanceError`
lists all broken promises, with what was observed. To check an instance built by hand, call the
function of its kind, such as :func:`varkit.testing.samplers.check_sampler`.
"""

from varkit.testing.checks import ConformanceError, Result
from varkit.testing.component import MissingError, check

__all__ = ["ConformanceError", "MissingError", "Result", "check"]
