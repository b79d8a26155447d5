"""``varkit index``: make an index of videos, and look after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from varkit.cli.options import json_option, machine_options, split_option
from varkit.cli.output import echo, print_json
from varkit.errors import did_you_mean

PARTIAL = 3
"""The exit code if a file is not in the index, or not to its end."""
INDEX = Path("index")
"""Where an index lies unless a command says otherwise."""


class _Default(click.Group):
    """A group whose first argument may also be what one of its verbs takes."""

    default = "make"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            verbs = [name for name in self.commands if name != self.default]
            near = "" if Path(args[0]).exists() else did_you_mean(args[0], verbs)
            if near:
                ctx.fail(f"there is neither a folder nor a verb {args[0]!r}.{near}")
            args = [self.default, *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=_Default,
    options_metavar="",
    subcommand_metavar="[VIDEOS] [OPTIONS]  |  verify|stats|rebuild|delete INDEX",
    context_settings={"help_option_names": ["-h", "--help"]},
)
def index() -> None:
    """Index a folder of videos, so that varkit search finds them.

    VIDEOS is a folder, a file, or a store of features (varkit extract). The same command adds what
    is new, replaces what has changed and drops what is gone; it may be stopped at any time.
    "varkit index make --help" lists all options.

    \b
    Examples:
      varkit index footage
      varkit index footage --actions
      varkit index footage --out cameras --window 20 --hop 10
      varkit index --with runs/alan_ucf/latest --out alan
      varkit index verify cameras
      varkit index delete cameras gate/2024-05-01.mp4
    """


@index.command(epilog="Example: varkit index make footage windows.seconds=20 extract.image.fps=2")
@click.argument("videos", type=click.Path(path_type=Path), required=False)
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--with",
    "with_",
    metavar="NAME|RUN",
    help="A search recipe, or a trained run; default: clip if models/clip exists, else labels.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=INDEX,
    show_default=True,
    metavar="INDEX",
    help="Folder of the index.",
)
@click.option("--actions", is_flag=True, help="Also see 400 actions (I3D): ten times slower.")
@click.option("--window", type=click.FloatRange(0, min_open=True), help="Seconds of a window.")
@click.option("--hop", type=click.FloatRange(0, min_open=True), help="Seconds between windows.")
@click.option(
    "--concepts",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File of sentences, one a line, that make a clip anomalous.",
)
@click.option("--workers", type=click.IntRange(1), help="Processes that extract.")
@click.option("--retry", is_flag=True, help="Try files again that failed before.")
@click.option(
    "--cameras",
    metavar="PATTERN",
    help="Regular expression with a group (?P<camera>...) that finds the camera in a file's name; "
    "default: the first folder.",
)
@click.option(
    "--accept-code", is_flag=True, help="Use a run even if the code that made it has changed."
)
@split_option
@machine_options()
@json_option
def make(
    videos: Path | None,
    changes: tuple[str, ...],
    with_: str | None,
    out: Path,
    actions: bool,
    window: float | None,
    hop: float | None,
    concepts: Path | None,
    workers: int | None,
    retry: bool,
    cameras: str | None,
    accept_code: bool,
    split: str,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Index the video and sound files in VIDEOS, or the videos of a run's data set.

    A KEY=VALUE changes the recipe, as in extract.image.fps=2.
    """
    from varkit.cli.extract import CORES_A_WORKER
    from varkit.cli.extract_display import Display
    from varkit.media.pool import InProcesses, in_this_process
    from varkit.search.make import make_index
    from varkit.system.machine import usable_cores
    from varkit.system.signals import stop_request

    if videos is not None and "=" in str(videos) and not videos.exists():
        changes, videos = (str(videos), *changes), None
    own = list(changes)
    own += ["extract.i3d={stride: 64}"] if actions else []
    own += [f"windows.seconds={window}"] if window is not None else []
    own += [f"windows.hop={hop}"] if hop is not None else []
    count = workers or max(1, usable_cores() // CORES_A_WORKER)
    executor: Any = in_this_process if count == 1 else InProcesses(count)
    with stop_request() as stop, Display(stop) as display:
        done = make_index(
            videos,
            out,
            with_=with_,
            changes=own,
            concepts=concepts,
            executor=executor,
            workers=count,
            watcher=display,
            cameras=cameras,
            retry=retry,
            accept_code=accept_code,
            split=split,
            device=device,
            threads=threads,
        )
    if as_json:
        print_json({"schema": 1, **done.to_dict()})
    else:
        _print_done(done)
    if not done.whole:
        raise click.exceptions.Exit(PARTIAL)


@index.command(epilog="Example: varkit index verify cameras --json")
@click.argument("index", type=click.Path(path_type=Path, file_okay=False), default=INDEX)
@json_option
def verify(index: Path, as_json: bool) -> None:
    """Check every file of an index against its hash, and every row against its shard."""
    from varkit.search.care import verify

    problems = verify(index)
    if as_json:
        print_json({"schema": 1, "index": str(index), "problems": problems})
    else:
        for problem in problems:
            echo(problem, fg="red")
        echo(f"{index}: {f'{len(problems):,} problems' if problems else 'whole'}")
    if problems:
        raise click.exceptions.Exit(1)


@index.command(epilog="Example: varkit index stats cameras")
@click.argument("index", type=click.Path(path_type=Path, file_okay=False), default=INDEX)
@json_option
def stats(index: Path, as_json: bool) -> None:
    """Print what an index holds."""
    from varkit.search.care import stats

    facts = stats(index)
    if as_json:
        print_json({"schema": 1, **facts})
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        echo(f"{name.replace('_', ' '):<{width}}  {value}")


@index.command(epilog="Example: varkit index rebuild cameras")
@click.argument("index", type=click.Path(path_type=Path, file_okay=False), default=INDEX)
def rebuild(index: Path) -> None:
    """Make all that is derived anew from the shards: engines and statistics."""
    from varkit.search.make import rebuild_index

    count = rebuild_index(index)
    echo(f"{index}: made anew from the shards of {count:,} videos")


@index.command(epilog="Example: varkit index delete cameras gate/2024-05-01.mp4")
@click.argument("index", type=click.Path(path_type=Path, file_okay=False))
@click.argument("videos", nargs=-1, required=True)
def delete(index: Path, videos: tuple[str, ...]) -> None:
    """Remove videos from every file of an index. The videos' own files stay.

    The next varkit index of the same folder adds them again, unless they are moved away.
    """
    from varkit.search.make import delete_videos

    gone = delete_videos(index, videos)
    echo(f"{index}: removed {', '.join(gone)}")


def _print_done(done: Any) -> None:
    parts = [f"{done.videos:,} videos, {done.windows:,} windows"]
    if 0 < len(done.added) < done.videos:
        parts.append(f"{len(done.added):,} added or changed")
    if done.dropped:
        parts.append(f"{len(done.dropped):,} gone")
    echo(f"{done.root}: {'; '.join(parts)}")
    for title, files in (("not in the index", done.left_out), ("damaged", done.damaged)):
        for name, why in list(files.items())[:20]:
            echo(f"  {title}: {name}: {why}", fg="yellow")
        if len(files) > 20:
            echo(f"  ... and {len(files) - 20:,} more")
    for problem in done.problems:
        echo(f"  {problem}", fg="red")
    if done.videos:
        where = "" if done.root == INDEX else f" --index {done.root}"
        echo(f'search it: varkit search "a dog barks"{where}')
