"""``varkit search`` and ``varkit find``: ask an index.

A sentence is answered without torch and transformers, so that an answer takes well under a second.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from varkit.cli.options import Decorator, options
from varkit.cli.output import echo, print_json

INDEX = Path("index")
RELIABLE = 0.5
"""If the best hit is reached by more unrelated sentences than this, there is no good match."""


def query_options() -> Decorator:
    """Add the options that say what to find and how to show it."""
    return options(
        click.option("-k", "k", default=10, show_default=True, help="Most videos of an answer."),
        click.option("--camera", "cameras", multiple=True, help="Only this camera; repeatable."),
        click.option("--after", metavar="TIME", help="Only after this time: 2024-05-01T13:45."),
        click.option("--before", metavar="TIME", help="Only before this time."),
        click.option(
            "--min-anomaly",
            type=float,
            metavar="SHARE",
            help="Only this anomalous, 0 to 1.",
        ),
        click.option(
            "--cut",
            type=click.Path(path_type=Path, file_okay=False),
            metavar="DIR",
            help="Write the best moment of each hit as a clip.",
        ),
        click.option("--paths", is_flag=True, help="Print only paths, of files or clips."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout."),
    )


@click.command()
@click.argument("sentences", nargs=-1, metavar='["SENTENCE"]...')
@click.option(
    "--index",
    "indexes",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False),
    default=[INDEX],
    show_default="index",
    help="Folder of the index; several are fused by rank.",
)
@click.option(
    "--audio",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file with a sound to look for.",
)
@click.option(
    "--like",
    metavar="VIDEO[@TIME]",
    help="A video that the answers resemble, of the index or a file: gate.mp4@12.5 or @1:02.",
)
@click.option("--not", "without", metavar="SENTENCE", help="What the answers should not show.")
@query_options()
def search(
    sentences: tuple[str, ...],
    indexes: tuple[Path, ...],
    audio: Path | None,
    like: str | None,
    without: str | None,
    **rest: Any,
) -> None:
    """Find the videos, and the moments in them, that a SENTENCE, a sound or an example describes.

    Several sentences are answered one by one. "sound: glass breaking" asks only what is heard.

    \b
    Examples:
      varkit search "a dog barks" "a car horn"
      varkit search "people fighting" --camera gate --after 2024-05-01 -k 5
      varkit search --audio scream.wav --cut clips
      varkit search --like gate/13.mp4@1:02 --not "an empty street"
    """
    # Threads of BLAS only wait for each other over the small products of one sentence. It counts
    # them when NumPy is imported. The engine has threads of its own.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from varkit.search.index import open_index

    if not (sentences or audio or like):
        raise click.UsageError('say what to find: varkit search "a dog barks", --audio or --like')
    if len(sentences) > 1 and (audio or like or without):
        raise click.UsageError("with --audio, --like or --not, give at most one sentence")
    answers = []
    for path in indexes:
        with open_index(path) as index:
            filters = _filters(rest)
            if len(sentences) > 1:
                answers.append(index.search_many(sentences, filters=filters, k=rest["k"]))
            else:
                text = sentences[0] if sentences else None
                hits = index.search(
                    text, audio=audio, like=like, without=without, filters=filters, k=rest["k"]
                )
                answers.append([hits])
            simulated = index.facts.simulated
            if index.unfinished:
                told = "this index is not finished; the same varkit index continues it"
                echo(f"{path}: {told}", fg="yellow", err=True)
    if len(answers) > 1:
        from varkit.search.fusion import by_rank

        answers = [[by_rank(lists, rest["k"]) for lists in zip(*answers, strict=True)]]
    asked = sentences or (str(audio or like),)
    show(asked, answers[0], rest, simulated=simulated)


def show(
    asked: Sequence[str], answers: Sequence[Sequence[Any]], rest: Any, *, simulated: bool
) -> None:
    """Print answers, and write clips if they are wanted."""
    clips: dict[int, Path] = {}
    failures: list[Any] = []
    if rest["cut"] is not None:
        from varkit.search.cutting import cut

        for number, hits in enumerate(answers):
            folder = rest["cut"] / str(number + 1) if len(answers) > 1 else rest["cut"]
            for hit, result in cut(hits, folder):
                if isinstance(result, Path):
                    clips[id(hit)] = result
                else:
                    failures.append(result)
    _show(asked, answers, clips, rest, simulated=simulated)
    for failure in failures:
        echo(f"no clip: {failure.what}", fg="red", err=True)
    if failures:
        raise click.exceptions.Exit(1)


def _show(
    asked: Sequence[str],
    answers: Sequence[Sequence[Any]],
    clips: dict[int, Path],
    rest: Any,
    *,
    simulated: bool,
) -> None:
    if rest["as_json"]:
        print_json(
            {
                "schema": 1,
                "simulated": simulated,
                "answers": [
                    {
                        "query": query,
                        "hits": [{**hit.to_dict(), **_clip(clips.get(id(hit)))} for hit in hits],
                    }
                    for query, hits in zip(asked, answers, strict=True)
                ],
            }
        )
        return
    if rest["paths"]:
        shown = [
            str(clips.get(id(hit)) or hit.path or hit.video) for hits in answers for hit in hits
        ]
        for path in dict.fromkeys(shown):
            echo(path)
        return
    if simulated:
        echo("SIMULATED videos: a program made them", fg="yellow")
    for number, (query, hits) in enumerate(zip(asked, answers, strict=True)):
        if number:
            echo()
        if len(answers) > 1:
            echo(query, bold=True)
        _print_hits(hits, clips, anomaly=rest["min_anomaly"] is not None)


def _print_hits(hits: Sequence[Any], clips: dict[int, Path], *, anomaly: bool) -> None:
    from varkit.cli.terminal import print_text

    if not hits:
        echo("nothing in the index passes the filters")
        return
    best = hits[0]
    if best.chance is not None and best.chance > RELIABLE:
        echo(
            f"no good match: {best.chance:.0%} of unrelated queries find something as good here",
            fg="yellow",
        )
    width = len(str(len(hits)))
    for rank, hit in enumerate(hits, 1):
        moment = hit.moments[0]
        echo(f"{rank:>{width}}  ", nl=False)
        echo(hit.video, bold=True, nl=False)
        echo(f"  {clock(moment.start)}-{clock(moment.end)}", fg="cyan", nl=False)
        echo("  confident" if hit.confident else "", fg="green")
        lines = [_about(hit, anomaly=anomaly), _why(hit)]
        if id(hit) in clips:
            lines.append(f"clip: {clips[id(hit)]}")
        for line in filter(None, lines):
            print_text(f"{'':{width}}  {line}", indent=width + 4)


def _about(hit: Any, *, anomaly: bool) -> str:
    parts = [f"score {hit.score:.2f}"]
    if hit.chance is not None:
        parts.append(f"by chance {hit.chance:.0%}" if hit.chance >= 0.01 else "by chance < 1%")
    if hit.camera:
        parts.append(f"camera {hit.camera}")
    if hit.time:
        parts.append(hit.time.replace("T", " "))
    if anomaly and hit.anomaly is not None:
        what = f": {hit.concept}" if hit.concept else ""
        parts.append(f"anomaly {hit.anomaly:.2f}{what}")
    return ", ".join(parts)


def _why(hit: Any) -> str:
    by_block: dict[str, list[str]] = {}
    for reason in hit.reasons:
        by_block.setdefault(reason.block, []).append(f"{reason.label} {reason.share:.2f}")
    return "; ".join(f"{block}: {', '.join(words[:3])}" for block, words in by_block.items())


def _clip(path: Path | None) -> dict[str, str]:
    return {} if path is None else {"clip": str(path)}


def _filters(rest: Any) -> Any:
    from varkit.search.query import Filters

    return Filters(
        cameras=rest["cameras"] or None,
        after=rest["after"],
        before=rest["before"],
        min_anomaly=rest["min_anomaly"],
    )


def clock(seconds: float) -> str:
    """Return a time in a video.

    >>> clock(5.25), clock(65), clock(3725)
    ('0:05', '1:05', '1:02:05')
    """
    whole = int(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


@click.command()
@click.argument("videos", type=click.Path(path_type=Path))
@click.argument("sentences", nargs=-1, required=True, metavar='"SENTENCE"...')
@click.option(
    "--index",
    "root",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the index; default: a folder beside the videos, named NAME.index.",
)
@query_options()
def find(videos: Path, sentences: tuple[str, ...], root: Path | None, **rest: Any) -> None:
    """Index VIDEOS and search them, in one go; the next search of them starts at once.

    \b
    Examples:
      varkit find footage "a dog jumps into a lake"
      varkit find footage "people fighting" "a car on fire" --cut clips
    """
    from varkit.cli.extract_display import Display
    from varkit.search.index import open_index
    from varkit.search.make import make_index
    from varkit.system.signals import stop_request

    root = root or videos.with_name(f"{videos.resolve().name}.index")
    with stop_request() as stop, Display(stop) as display:
        done = make_index(videos, root, watcher=display)
    for name, why in done.left_out.items():
        echo(f"not in the index: {name}: {why}", fg="yellow", err=True)
    echo(f"index: {root}", err=True)
    with open_index(root) as index:
        answers = index.search_many(sentences, filters=_filters(rest), k=rest["k"])
        show(sentences, answers, rest, simulated=index.facts.simulated)
