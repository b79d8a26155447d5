"""The verb and its operators, one module per operator, which imports torch only when called."""

from __future__ import annotations

import click

from varkit_bench.search import search
from varkit_bench.similarity import similarity


@click.group()
def bench() -> None:
    """Measure operators on this machine: time, share of the ceiling, memory."""


bench.add_command(similarity)
bench.add_command(search)
