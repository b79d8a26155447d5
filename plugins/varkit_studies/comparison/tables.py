"""The tables of a comparison, the same for every output format."""

from __future__ import annotations

from collections.abc import Sequence

from varkit.runs.report.tables import ARROWS, SELECTION, TIES, Table, plain, positives_note
from varkit_studies.comparison.compare import Comparison
from varkit_studies.comparison.estimates import Limits, Value
from varkit_studies.comparison.groups import FEW
from varkit_studies.comparison.resampling import FIGURES


def figure_tables(comparison: Comparison) -> list[Table]:
    """Return the tables of runs, figures and differences."""
    tables = [_runs(comparison), _values(comparison)]
    return [*tables, _differences(comparison)] if comparison.differences else tables


def query_tables(comparison: Comparison, most: int) -> list[Table]:
    """Return the tables of flipped answers and of each pair's ``most`` largest moves."""
    tables = [_flips(comparison)] if comparison.flips else []
    return [*tables, _moves(comparison, most)] if comparison.moves and most else tables


def group_tables(comparison: Comparison) -> list[Table]:
    """Return the table of differences of SumR by groups of videos, if there are any."""
    if not comparison.groups:
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
        for group in comparison.groups
        if group.figure == "SumR"
    ]
    return [
        Table(
            title=f"SumR by groups of videos{mark(comparison)}",
            caption="Ranks are among all videos or queries. Intervals are not corrected for "
            "multiple comparisons: with many groups some exclude 0 by chance. Groups of fewer "
            f"than {FEW} videos, or clusters of videos, have none.",
            columns=("group", "runs", "videos", "before", "after", "difference", "95 %"),
            rows=tuple(rows),
            words=2,
        )
    ]


def notes(comparison: Comparison) -> list[str]:
    """Return what a reader of the figures must know, a sentence each."""
    lines = []
    if comparison.simulated:
        lines.append("SIMULATED data: not comparable with figures of any benchmark.")
    if comparison.mismatches:
        mismatches = "; ".join(comparison.mismatches)
        lines.append(f"NOT MEASURED ALIKE, but compared anyway: {mismatches}.")
    if comparison.different_code:
        lines.append(f"MADE BY DIFFERENT CODE: {'; '.join(comparison.different_code)}.")
    if comparison.skipped:
        reference = next(iter(comparison.runs))
        lines.append(
            f"SKIPPED, not finished: {', '.join(comparison.skipped)}; varkit resume finishes them. "
            f"Differences are from {reference}."
        )
    some = next(iter(comparison.runs.values()))
    rule = some["positives_rule"]
    lines += [
        f"n = {comparison.queries} queries (Q), {comparison.videos} videos (V), {some['split']} "
        f"split of {'simulated' if comparison.simulated else 'real'} data, "
        f"{fingerprints(comparison)}.",
        f"{positives_note(rule)}. {TIES.get(some['tie_rule'], some['tie_rule'])}.",
        "Figures are means over a run's trainings and sampler seeds, query by query.",
        f"Intervals: 95 %, bootstrap over test videos with their queries in both directions, "
        f"{comparison.resamples} resamples, seed {comparison.seed}; they hold for these trainings.",
    ]
    if comparison.clusters < comparison.videos:
        lines.append(
            f"Videos that are right for the same query are drawn together: {comparison.clusters} "
            f"clusters, the largest of {comparison.largest} videos"
            + (" (too few clusters to say much)." if comparison.clusters < FEW else ".")
        )
    if any(value.interval_trainings for value in comparison.values):
        lines.append(
            "With trainings: 95 % over test videos and trainings; wide if there are few trainings."
        )
    if comparison.differences:
        lines.append(
            "p: randomisation test, two-sided, paired by video, for these trainings; Holm: "
            f"corrected for all {len(comparison.differences)} differences shown."
        )
    return [plain(line) for line in lines]


def mark(comparison: Comparison) -> str:
    """Return the end of every title: simulated data, or runs that were not measured alike."""
    marks = ["simulated data"] if comparison.simulated else []
    marks += ["not measured alike"] if comparison.mismatches else []
    return f" ({', '.join(marks)})" if marks else ""


def fingerprints(comparison: Comparison) -> str:
    """Return the fingerprint of the runs' data, or each run's if they differ."""
    runs: dict[str, list[str]] = {}
    for name, run in comparison.runs.items():
        runs.setdefault(run["fingerprint"], []).append(name)
    if len(runs) == 1:
        return f"fingerprint {next(iter(runs))}"
    each = ", ".join(f"{value} ({', '.join(names)})" for value, names in runs.items())
    return f"different features or training videos: fingerprints {each}"


def figure_label(figure: str) -> str:
    """Return a short name.

    >>> figure_label("query_to_video.R@1")
    'Q→V R@1'
    """
    way, _, key = figure.rpartition(".")
    return f"{ARROWS[way]} {key}" if way else key


def _runs(comparison: Comparison) -> Table:
    rows = []
    for name, run in comparison.runs.items():
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
    rules = sorted({run["selection"] for run in comparison.runs.values()})
    return Table(
        title=f"Runs{mark(comparison)}",
        caption="In brackets, how a checkpoint was chosen. "
        + " ".join(f"{rule}: {SELECTION.get(rule, 'unknown')}." for rule in rules),
        columns=("", "recipe", "data", "measured", "checkpoint", "folder"),
        rows=tuple(tuple(map(plain, row)) for row in rows),
        words=6,
    )


def _values(comparison: Comparison) -> Table:
    several = any(value.interval_trainings for value in comparison.values)
    rows = [
        (
            figure_label(value.figure),
            value.run,
            f"{value.value:.1f}",
            between(value.interval),
            *(_of_trainings(value) if several else ()),
        )
        for figure in FIGURES
        for value in comparison.values
        if value.figure == figure
    ]
    return Table(
        title=f"Figures{mark(comparison)}",
        caption="SumR = the six recalls (%) added before rounding."
        + (" sd: standard deviation over trainings." if several else ""),
        columns=("", "run", "", "95 %", *(("with trainings", "sd") if several else ())),
        rows=tuple(rows),
        words=2,
    )


def _of_trainings(value: Value) -> tuple[str, str]:
    sd = "" if value.sd_trainings is None else f"±{value.sd_trainings:.1f}"
    return between(value.interval_trainings), sd


def _differences(comparison: Comparison) -> Table:
    several = any(difference.interval_trainings for difference in comparison.differences)
    rows = [
        (
            f"{difference.run} − {difference.against}",
            figure_label(difference.figure),
            signed(difference.value),
            between(difference.interval),
            *((between(difference.interval_trainings),) if several else ()),
            chance(difference.p),
            chance(difference.p_holm),
        )
        for difference in comparison.differences
    ]
    return Table(
        title=f"Differences{mark(comparison)}",
        caption="95 %: paired, over test videos. p: for these trainings; Holm: the same, corrected "
        "for the number of differences.",
        columns=("runs", "", "difference", "95 %", *(("with trainings",) * several), "p", "Holm"),
        rows=tuple(rows),
        words=2,
    )


def _flips(comparison: Comparison) -> Table:
    rows = [
        (
            f"{flip.run} − {flip.against}",
            f"{ARROWS[flip.direction]} at {flip.k}",
            f"{round(flip.gains, 1):g}",
            f"{round(flip.loses, 1):g}",
        )
        for flip in comparison.flips
    ]
    return Table(
        title=f"Answers that flipped{mark(comparison)}",
        caption="Right = among the first K. Won: right only in the first-named run; lost: only "
        "in the other. What is right in some trainings, sampler seeds or orders of ties counts in "
        "part.",
        columns=("runs", "K", "won", "lost"),
        rows=tuple(rows),
        words=2,
    )


def _moves(comparison: Comparison, most: int) -> Table:
    rows: list[tuple[str, ...]] = []
    for pair in dict.fromkeys((each.run, each.against) for each in comparison.differences):
        own = [move for move in comparison.moves if (move.run, move.against) == pair]
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
        title=f"Queries that moved most{mark(comparison)}",
        caption=f"The {most} largest moves of each pair, by the ratio of the median ranks over "
        "trainings and sampler seeds; R@K: where the answer became right (+) or wrong (−).",
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
