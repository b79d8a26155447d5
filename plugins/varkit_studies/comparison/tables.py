"""A comparison as tables of plain text cells: every output shows the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from varkit.runs.report.tables import ARROWS, POSITIVES, SELECTION, plain
from varkit_studies.comparison.compare import Comparison
from varkit_studies.comparison.estimates import Limits, Value
from varkit_studies.comparison.groups import FEW
from varkit_studies.comparison.statistics import FIGURES


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        title: one line.
        caption: how to read it.
        columns: headings.
        rows: cells, as many as columns.
        words: how many of the first columns hold text, to be written from the left.
    """

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1


def figure_tables(found: Comparison) -> list[Table]:
    """Return what was compared, the figures, and the differences."""
    tables = [_runs(found), _values(found)]
    return [*tables, _differences(found)] if found.differences else tables


def query_tables(found: Comparison, most: int) -> list[Table]:
    """Return how many answers flipped, and of each pair the ``most`` largest moves."""
    tables = [_flips(found)] if found.flips else []
    return [*tables, _moves(found, most)] if found.moves and most else tables


def group_tables(found: Comparison) -> list[Table]:
    """Return the differences of SumR by groups of videos."""
    if not found.groups:
        return []
    rows = [
        (
            plain(f"{group.by}: {group.name}"),
            f"{group.run} − {group.against}",
            str(group.videos),
            f"{group.value_against:.1f}",
            f"{group.value:.1f}",
            signed(group.difference),
            between(group.interval),
        )
        for group in found.groups
        if group.figure == "SumR"
    ]
    return [
        Table(
            title=f"SumR by groups of videos{mark(found)}",
            caption="Ranks are those among all videos or queries. Intervals are corrected for "
            f"nothing: with many groups some exclude 0 by chance. Fewer than {FEW} videos have "
            "none.",
            columns=("group", "runs", "videos", "before", "after", "difference", "95 %"),
            rows=tuple(rows),
            words=2,
        )
    ]


def notes(found: Comparison) -> list[str]:
    """Return what must be known to read the figures, a sentence each."""
    lines = []
    if found.simulated:
        lines.append("SIMULATED data: not comparable with figures of any benchmark.")
    if found.mismatches:
        lines.append(f"NOT MEASURED ALIKE, compared all the same: {'; '.join(found.mismatches)}.")
    if found.different_code:
        lines.append(f"MADE BY DIFFERENT CODE: {'; '.join(found.different_code)}.")
    some = next(iter(found.runs.values()))
    rule = some["positives_rule"]
    lines += [
        f"n = {found.queries} queries (Q), {found.videos} videos (V), {some['split']} split of "
        f"{'simulated' if found.simulated else 'real'} data, "
        f"{fingerprints(found)}.",
        f"{POSITIVES.get(rule, rule)}. Ties count by {some['tie_rule']} rank.",
        "Figures are means over a run's trainings and sampler seeds, taken query by query.",
        f"Intervals: 95 %, bootstrap over test videos with their queries in both directions, "
        f"{found.resamples} resamples, seed {found.seed}; they hold for these trainings.",
    ]
    if any(value.interval_trainings for value in found.values):
        lines.append(
            "With trainings: 95 % over test videos and over trainings; of few trainings it is long."
        )
    if found.differences:
        lines.append(
            "p: randomisation test, two-sided, paired by video, for these trainings; Holm: "
            f"corrected for all {len(found.differences)} differences shown."
        )
    return [plain(line) for line in lines]


def mark(found: Comparison) -> str:
    """Return what every title says where data were simulated, or runs not measured alike."""
    marks = ["simulated data"] if found.simulated else []
    marks += ["not measured alike"] if found.mismatches else []
    return f" ({', '.join(marks)})" if marks else ""


def fingerprints(found: Comparison) -> str:
    """Return the fingerprint of the runs' data, or whose is which where they differ."""
    runs: dict[str, list[str]] = {}
    for name, run in found.runs.items():
        runs.setdefault(run["fingerprint"], []).append(name)
    if len(runs) == 1:
        return f"fingerprint {next(iter(runs))}"
    each = ", ".join(f"{value} ({', '.join(names)})" for value, names in runs.items())
    return f"other features, or other videos to train on: fingerprints {each}"


def figure_label(figure: str) -> str:
    """Return a short name.

    >>> figure_label("query_to_video.R@1")
    'Q→V R@1'
    """
    way, _, key = figure.rpartition(".")
    return f"{ARROWS[way]} {key}" if way else key


def _runs(found: Comparison) -> Table:
    rows = []
    for name, run in found.runs.items():
        seeds, samplers = len(run["seeds"]), run["sampler_seeds"]
        measured = f"{seeds} training{'s' * (seeds > 1)}: {', '.join(map(str, run['seeds']))}"
        measured += f"; {samplers} sampler seeds each" if samplers > 1 else ""
        variant = ", embedded variant" if run["embedded"] else ""
        rows.append(
            (
                name,
                f"{run['recipe']}{variant}",
                str(run["dataset"]),
                measured,
                f"{run['checkpoint']} ({run['selection']})",
                run["folder"],
            )
        )
    rules = sorted({run["selection"] for run in found.runs.values()})
    return Table(
        title=f"Runs{mark(found)}",
        caption="In brackets, how a checkpoint was chosen. "
        + " ".join(f"{rule}: {SELECTION.get(rule, 'unknown')}." for rule in rules),
        columns=("", "recipe", "data", "measured", "checkpoint", "folder"),
        rows=tuple(tuple(map(plain, row)) for row in rows),
        words=6,
    )


def _values(found: Comparison) -> Table:
    several = any(value.interval_trainings for value in found.values)
    rows = [
        (
            figure_label(value.figure),
            value.run,
            f"{value.value:.1f}",
            between(value.interval),
            *(_of_trainings(value) if several else ()),
        )
        for figure in FIGURES
        for value in found.values
        if value.figure == figure
    ]
    return Table(
        title=f"Figures{mark(found)}",
        caption="SumR = the six recalls (%) added before rounding."
        + (" sd: standard deviation over trainings." if several else ""),
        columns=("", "run", "", "95 %", *(("with trainings", "sd") if several else ())),
        rows=tuple(rows),
        words=2,
    )


def _of_trainings(value: Value) -> tuple[str, str]:
    sd = "" if value.sd_trainings is None else f"±{value.sd_trainings:.1f}"
    return between(value.interval_trainings), sd


def _differences(found: Comparison) -> Table:
    several = any(one.interval_trainings for one in found.differences)
    rows = [
        (
            f"{one.run} − {one.against}",
            figure_label(one.figure),
            signed(one.value),
            between(one.interval),
            *((between(one.interval_trainings),) if several else ()),
            chance(one.p),
            chance(one.p_holm),
        )
        for one in found.differences
    ]
    return Table(
        title=f"Differences{mark(found)}",
        caption="95 %: paired, over test videos. p: for these trainings; Holm: the same, allowing "
        "for how many differences are looked at.",
        columns=("runs", "", "difference", "95 %", *(("with trainings",) * several), "p", "Holm"),
        rows=tuple(rows),
        words=2,
    )


def _flips(found: Comparison) -> Table:
    rows = [
        (
            f"{flip.run} − {flip.against}",
            f"{ARROWS[flip.direction]} at {flip.k}",
            f"{round(flip.gains, 1):g}",
            f"{round(flip.loses, 1):g}",
        )
        for flip in found.flips
    ]
    return Table(
        title=f"Answers that flipped{mark(found)}",
        caption="Right = a rank of at most K. Won: right in the first-named run alone; lost: in "
        "the other alone. What is right in some trainings or sampler seeds counts in parts.",
        columns=("runs", "K", "won", "lost"),
        rows=tuple(rows),
        words=2,
    )


def _moves(found: Comparison, most: int) -> Table:
    rows: list[tuple[str, ...]] = []
    for pair in dict.fromkeys((one.run, one.against) for one in found.differences):
        own = [move for move in found.moves if (move.run, move.against) == pair]
        rows += (
            (
                " − ".join(pair),
                ARROWS[move.direction],
                plain(_about(move.video, move.classes)),
                plain(move.text or ""),
                f"{move.rank_against:g}",
                f"{move.rank:g}",
                _crossed(move.gains, move.loses),
            )
            for move in own[:most]
        )
    return Table(
        title=f"Queries that moved most{mark(found)}",
        caption=f"The {most} largest moves of each pair, by how many times the median rank over "
        "trainings and sampler seeds changed; R@K: where the answer became right (+) or wrong (−).",
        columns=("runs", "", "video", "caption", "before", "after", "R@K"),
        rows=tuple(rows),
        words=4,
    )


def _about(video: str, classes: Sequence[str]) -> str:
    return f"{video} ({', '.join(classes)})" if classes else video


def _crossed(gains: Sequence[int], loses: Sequence[int]) -> str:
    return " ".join([*(f"+{k}" for k in gains), *(f"−{k}" for k in loses)])


def signed(value: float) -> str:
    """Return a difference with its sign."""
    return f"{round(value, 1) + 0:+.1f}".replace("-", "−")  # + 0: no negative zero


def between(limits: Limits | None) -> str:
    """Return an interval, or nothing."""
    if limits is None:
        return ""
    low, high = (f"{round(limit, 1) + 0:.1f}".replace("-", "−") for limit in limits)
    return f"[{low}, {high}]"


def chance(p: float) -> str:
    """Return a p-value."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"
