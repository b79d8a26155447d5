"""Data sets: the two benchmarks, a folder of one's own, and simulated benchmarks."""

from varkit import hookimpl
from varkit.plugins.registry import Register


@hookimpl
def register_datasets(register: Register) -> None:
    """Register the data sets."""
    register(
        "folder",
        "varkit_benchmarks.folder:Folder",
        summary="your own data: a manifest (CSV, JSONL or Parquet) and feature files",
    )
    register(
        "ucfcrime_ar",
        "varkit_benchmarks.ucfcrime_ar:UCFCrimeAR",
        summary="UCFCrime-AR as its authors lay it out: captions of surveillance videos",
    )
    register(
        "xdviolence_ar",
        "varkit_benchmarks.xdviolence_ar:XDViolenceAR",
        summary="XDViolence-AR as its authors lay it out: sounds of films and web videos",
    )
    register(
        "simulated",
        "varkit_benchmarks.simulated:Simulated",
        summary="a simulated benchmark with ground truth, for text or audio queries",
    )
