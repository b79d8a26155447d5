"""``varkit convert``: other people's weights, as safetensors."""

from __future__ import annotations

from pathlib import Path

import click

from varkit.cli.options import json_option
from varkit.cli.output import echo, print_json


@click.command(epilog="Example: varkit convert rgb_charades.pt i3d.safetensors")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Overwrite OUT.")
@json_option
def convert(source: Path, out: Path, force: bool, as_json: bool) -> None:
    """Write the weights in SOURCE to OUT, a .safetensors file.

    SOURCE is a .pt or .pth file of PyTorch, or a pickle of numpy's arrays. Nothing in it runs:
    a file that holds anything but tensors, texts and numbers is refused. The tensors keep their
    names; those of nested blocks are joined with dots.
    """
    from varkit.errors import VarkitError
    from varkit.system.weights import convert

    if out.suffix != ".safetensors":
        raise click.UsageError(f"{out}: name a file that ends in .safetensors")
    if out.exists() and not force:
        raise VarkitError(f"{out} exists", hint="choose another name, or add --force")
    count, digest = convert(source, out)
    if as_json:
        print_json({"file": str(out), "tensors": count, "sha256": digest})
    else:
        echo(f"{out}: {count:,} tensors, SHA-256 {digest}")
