"""The verb ``varkit bench``: the operators of varkit_kernels, measured on this machine."""

from varkit import hookimpl
from varkit.plugins.registry import RegisterCommand


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Register the verb."""
    register("bench", "varkit_bench.group:bench", summary="Measure operators on this machine.")
