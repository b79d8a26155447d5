"""Studies: variants of recipes, trained and compared; the verbs ``study`` and ``compare``."""

from varkit import hookimpl
from varkit.plugins.registry import RegisterCommand


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Register the verbs."""
    commands = "varkit_studies.commands"
    register("study", f"{commands}.study:study", summary="Train and compare variants of recipes.")
    register("compare", f"{commands}.compare:compare", summary="Compare measured runs.")
