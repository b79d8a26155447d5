"""Data sets: a folder of one's own, and simulated benchmarks."""

from varkit import hookimpl
from varkit.registry import Register


@hookimpl
def register_datasets(register: Register) -> None:
    """Register the data sets."""
    register(
        "folder",
        "varkit_benchmarks.folder:Folder",
        summary="your own data: a manifest (CSV, JSONL or Parquet) and feature files",
    )
    register(
        "simulated",
        "varkit_benchmarks.simulated:Simulated",
        summary="a simulated benchmark with ground truth, for text or audio queries",
    )
