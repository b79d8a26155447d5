"""Data sets: the two benchmarks, and a folder of your own; the verb ``data import``."""

from varkit import hookimpl
from varkit.plugins.registry import Register, RegisterCommand


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Register the verb."""
    register(
        "data import",
        "varkit_datasets.commands:import_",
        summary="Import captions and features in the layouts of other projects.",
    )


@hookimpl
def register_datasets(register: Register) -> None:
    """Register the data sets."""
    register(
        "folder",
        "varkit_datasets.folder:Folder",
        summary="your own data: a manifest (CSV, JSONL or Parquet) and feature files",
    )
    register(
        "ucfcrime_ar",
        "varkit_datasets.ucfcrime_ar:UCFCrimeAR",
        summary="UCFCrime-AR as its authors lay it out: captions of surveillance videos",
    )
    register(
        "xdviolence_ar",
        "varkit_datasets.xdviolence_ar:XDViolenceAR",
        summary="XDViolence-AR as its authors lay it out: sounds of films and web videos",
    )
