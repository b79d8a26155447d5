"""Comparison of measured runs: intervals, tests, and the queries that they rank differently."""

from __future__ import annotations

from varkit_studies.comparison.compare import Comparison, compare

__all__ = ["Comparison", "compare"]
