"""``varkit data import``: captions and features of others become a folder to train on."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from varkit.cli.options import json_option
from varkit.cli.output import echo, print_json
from varkit_datasets.importing import LAYOUTS

if TYPE_CHECKING:
    from varkit_datasets.importing.folder import Imported

_SPLITS = ("train", "val", "test")
_LAYOUTS = "\n".join(f"  {name:<13}{summary}" for name, summary in LAYOUTS.items())


def _layouts(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    return [name for name in LAYOUTS if name.startswith(begun)]


@click.command(
    name="import",
    epilog=f"""\b
Layouts:
{_LAYOUTS}

\b
Examples:
  varkit data import msrvtt MSRVTT_data.json --features object=resnet.h5 --out data/msrvtt
  varkit data import activitynet train.json val_1.json --features object=c3d.hdf5 --out data/anet
  varkit data import table captions.csv --columns video=video_id,caption=sentence --out data/mine
    --list train=train.txt --list test=test.txt --features rgb=i3d --features audio=vggish.npz
""",
)
@click.argument("layout", shell_complete=_layouts)
@click.argument("captions", nargs=-1, metavar="[[SPLIT=]CAPTIONS]...")
@click.option(
    "--features",
    multiple=True,
    metavar="STREAM=PATH",
    help="Features of a stream: a folder of files, or a file by video (.npz, .h5, .mat, .pt). "
    "PATH#NAME: the array NAME of each video. FOLDER/{video}_rgb.npy: files of such names.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="FOLDER",
    help="Folder to write.",
)
@click.option("--force", is_flag=True, help="Replace a folder that an import wrote.")
@click.option(
    "--list",
    "lists",
    multiple=True,
    metavar="SPLIT=FILE",
    help="The videos of a split, as a list or a table; videos of no list are left out.",
)
@click.option(
    "--split",
    "renamed",
    multiple=True,
    metavar="NAME=SPLIT",
    help="What a split of the data set becomes: train, val, test, or none to leave it out.",
)
@click.option(
    "--missing",
    type=click.Choice(["refuse", "leave-out", "may-lack"]),
    default="refuse",
    show_default=True,
    help="Videos that lack a stream: an error, left out, or without the stream.",
)
@click.option(
    "--crops-axis",
    type=click.Choice(["0", "1"]),
    default="0",
    show_default=True,
    help="Of arrays with three axes. 0: (crops, T, D); 1: (T, crops, D).",
)
@click.option(
    "--centre",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Number of the centre crop; torchvision's ten crops have it at 4.",
)
@click.option("--language", type=click.Choice(["en", "zh", "both"]), help="vatex: of the captions.")
@click.option(
    "--queries",
    type=click.Choice(["paragraph", "sentences"]),
    help="activitynet, didemo: what a query is; default: all sentences of a video as a paragraph.",
)
@click.option(
    "--columns",
    metavar="NAMES",
    help="table: its columns, as in video=video_id,caption=sentence.",
)
@json_option
def import_(
    layout: str,
    captions: tuple[str, ...],
    features: tuple[str, ...],
    out: Path,
    force: bool,
    lists: tuple[str, ...],
    renamed: tuple[str, ...],
    missing: Any,
    crops_axis: str,
    centre: int,
    language: str | None,
    queries: str | None,
    columns: str | None,
    as_json: bool,
) -> None:
    """Import captions and features in the layouts of other projects.

    LAYOUT says how captions are written. Their files say the split of their videos, or their names
    do, as in val_data.json, or you do: test=val_data.json. Captions and features are joined by the
    names of videos. FOLDER appears complete or not at all; varkit run trains on it.
    """
    from varkit.cli.data_display import progress
    from varkit_datasets.importing.folder import import_folder
    from varkit_datasets.importing.request import Request

    options: dict[str, Any] = {"language": language, "queries": queries}
    options["columns"] = _pairs("--columns", columns.split(",")) if columns is not None else None
    request = Request(
        layout=layout,
        captions=[_captions(given) for given in captions],
        features=_pairs("--features", features),
        out=out,
        lists=_lists(lists),
        renamed=_renamed(renamed),
        options={name: value for name, value in options.items() if value is not None},
        missing=missing,
        crops_axis=1 if crops_axis == "1" else 0,
        centre=centre,
        force=force,
    )
    with progress("importing") as tell:
        result = import_folder(request, tell)
    if as_json:
        print_json(
            {
                "data": result.data,
                "counts": result.counts,
                "left_out": result.left_out,
                "remarks": list(result.remarks),
            }
        )
    else:
        _print(result)


def _captions(given: str) -> tuple[str | None, Path]:
    """Return the split and the file in ``SPLIT=FILE``; a file's name may hold ``=`` itself."""
    split, mark, path = given.partition("=")
    whole = Path(given)
    return (None, whole) if not (mark and split) or whole.exists() else (split, Path(path))


def _lists(given: Sequence[str]) -> list[tuple[str, Path]]:
    """Return the (split, file) pairs of lists."""
    pairs = _all_pairs("--list", given)
    for split, _ in pairs:
        _check_split("--list", split, _SPLITS)
    return [(split, Path(file)) for split, file in pairs]


def _all_pairs(option: str, given: Sequence[str]) -> list[tuple[str, str]]:
    """Return the (KEY, VALUE) pairs of an option."""
    pairs = []
    for text in given:
        key, mark, value = (part.strip() for part in text.partition("="))
        if not (key and mark and value):
            raise click.BadParameter(f"{text!r} is not KEY=VALUE.", param_hint=option)
        pairs.append((key, value))
    return pairs


def _check_split(option: str, split: str, allowed: Sequence[str]) -> None:
    from varkit.errors import did_you_mean

    if split not in allowed:
        near = did_you_mean(split, allowed)
        message = f"{split!r} is not a split.{near} Splits: {', '.join(allowed)}."
        raise click.BadParameter(message, param_hint=option)


def _pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    """Return KEY -> VALUE of an option; no key may occur twice."""
    pairs = _all_pairs(option, given)
    if len(dict(pairs)) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise click.BadParameter(f"{twice!r} is given twice.", param_hint=option)
    return dict(pairs)


def _renamed(given: Sequence[str]) -> dict[str, str]:
    """Return the data set's name of a split -> varkit's."""
    pairs = _pairs("--split", given)
    for split in pairs.values():
        _check_split("--split", split, (*_SPLITS, "none"))
    return {name.lower(): split for name, split in pairs.items()}


def _print(result: Imported) -> None:
    from varkit.cli.data_display import MOST
    from varkit.cli.terminal import print_table
    from varkit.recipe import yaml
    from varkit.runs.report.tables import Table

    rows = (
        (split, *(f"{count[key]:,}" for key in ("videos", "captions")))
        for split, count in result.counts.items()
    )
    print_table(Table(("split", "videos", "captions"), tuple(rows)))
    for remark in result.remarks:
        echo(f"remark: {remark}", fg="yellow")
    if result.left_out:
        echo(f"left out {len(result.left_out):,} videos:", fg="yellow")
        for name, why in list(result.left_out.items())[:MOST]:
            echo(f"  {name}: {why}")
        if len(result.left_out) > MOST:
            echo(f"  ... and {len(result.left_out) - MOST} more, in import.json")
    echo("\nin a recipe:", bold=True)
    echo(yaml.dump({"data": result.data}), nl=False)
    echo("\nnext:", bold=True)
    echo(f"  {verification(result.data)}")


def verification(data: Mapping[str, Any]) -> str:
    """Return the command that checks the folder of a recipe's ``data`` section."""
    from varkit.recipe import yaml

    given = [f"{key}={yaml.flow(value)}" for key, value in data.items() if key != "use"]
    return shlex.join(["varkit", "data", "verify", str(data["use"]), *given])
