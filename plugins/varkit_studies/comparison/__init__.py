"""Measured runs held against one another: intervals, tests, and the queries they differ in."""

from __future__ import annotations

from varkit_studies.comparison.compare import Comparison, compare

__all__ = ["Comparison", "compare"]
