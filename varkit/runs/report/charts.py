"""Charts as SVG text for a page.

Colours of axes and text become ``currentColor``, so they follow the page's light or dark scheme.
The same run always gives the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

Floats = NDArray[np.float64]

INK = "#010203"  # used by nothing else, and replaced by currentColor
COLOURS = ("#2f7fd6", "#d9730d", "#2a9d6f", "#b4508f", "#8a7a1f", "#6a6fd0")
TRUTH = "#e5484d"
POINTS = 400
STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titlecolor": INK,
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "varkit",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
}


def training_curves(logs: Mapping[str, Sequence[Mapping[str, Any]]], mark: str) -> str:
    """Draw every loss over the optimiser steps, and SumR over the epochs, one line per seed.

    Args:
        logs: seed -> the records of its ``metrics.jsonl``.
        mark: the end of every title.

    Returns:
        SVG, or an empty string if nothing is recorded yet.
    """
    losses: dict[str, dict[str, list[tuple[float, float]]]] = {}
    scores: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for seed, records in logs.items():
        for record in records:
            if record["kind"] == "step":
                for name, value in record["losses"].items():
                    losses.setdefault(name, {}).setdefault(seed, []).append((record["step"], value))
            elif record["kind"] == "validation":
                panel = f"{'test' if record['part'] == 'test' else 'validation'} SumR"
                point = record["epoch"], record["SumR"]
                scores.setdefault(panel, {}).setdefault(seed, []).append(point)
    panels = [(f"loss: {name}", "step", lines) for name, lines in sorted(losses.items())]
    panels += [(name, "epoch", lines) for name, lines in scores.items()]
    if not panels:
        return ""
    columns = 2 if len(panels) == 4 else min(3, len(panels))
    rows = -(-len(panels) // columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 2.4 * rows), layout="constrained")
        for number, (title, unit, lines) in enumerate(panels):
            axes = figure.add_subplot(rows, columns, number + 1)
            axes.set_title(title + mark)
            axes.set_xlabel(unit)
            for colour, (seed, points) in enumerate(lines.items()):
                x, y = np.array(points, dtype=np.float64).T
                _line(axes, x, y, label=f"seed {seed}", colour=COLOURS[colour % len(COLOURS)])
            if np.ptp(axes.get_xlim()) < 1:  # one epoch so far
                axes.set_xlim(x[0] - 1, x[0] + 1)
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            _grid(axes)
        if len(logs) > 1:
            figure.axes[0].legend(frameon=False, fontsize=8)
        return _svg(figure, "curves", "Training curves" + mark)


def sampling_picture(example: Mapping[str, Any], name: str, mark: str) -> str:
    """Draw one video's time line: confidence, the clips that samplers picked, and ground truth.

    Args:
        example: an entry of ``examples.json``, under ``sampling``.
        name: unique in the page.
        mark: the end of the title.
    """
    times = np.array(example["times"], dtype=np.float64)
    middle = times.mean(1)
    samplers = list(example["picks"])
    has_curve = bool(example["scores"])
    heights = [1.0] * has_curve + [0.16 * max(1, len(samplers))]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 0.55 + 1.5 * sum(heights)), layout="constrained")
        axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
        for panel in axes[:, 0]:
            for start, end in _spans(example["truth"] or [], times):
                panel.axvspan(start, end, color=TRUTH, alpha=0.18, linewidth=0)
        if has_curve:
            _confidence(axes[0, 0], middle, np.array(example["scores"]))
        drawn = ["anomaly confidence"] * has_curve + ["picked clips"] * bool(samplers)
        axes[0, 0].set_title(" and ".join(drawn) + mark)
        rows = axes[-1, 0]
        for row, sampler in enumerate(samplers):
            picked = middle[np.array(example["picks"][sampler], dtype=np.int64)]
            colour = COLOURS[(row + 1) % len(COLOURS)]
            rows.eventplot(picked, lineoffsets=-row, linelengths=0.7, linewidths=1, colors=colour)
        rows.set_yticks([-row for row in range(len(samplers))], samplers)
        rows.set_ylim(-len(samplers) + 0.4, 0.6)
        rows.tick_params(axis="y", length=0)
        rows.spines["left"].set_visible(False)
        rows.set_xlim(0, float(example["seconds"]))
        rows.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 1.5, 3, 6, 10], integer=True))
        rows.xaxis.set_major_formatter(FuncFormatter(_clock))
        rows.set_xlabel("time (min:s)")
        return _svg(figure, name, f"Time line of {example['video']}{mark}")


def _confidence(axes: Axes, time: Floats, scores: Floats) -> None:
    if len(scores) > POINTS:  # the maximum of each stretch, so that no peak is lost
        edges = np.arange(POINTS) * len(scores) // POINTS
        time, scores = time[edges], np.maximum.reduceat(scores, edges)
    axes.fill_between(time, scores, color=COLOURS[0], alpha=0.15, linewidth=0)
    axes.plot(time, scores, color=COLOURS[0], linewidth=1.1)
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.5, 1])
    axes.tick_params(axis="x", length=0)
    _grid(axes)


def _line(axes: Axes, x: Floats, y: Floats, *, label: str, colour: str) -> None:
    if len(x) > POINTS:
        edges = np.arange(POINTS) * len(x) // POINTS
        counts = np.diff([*edges, len(x)])
        x, y = np.add.reduceat(x, edges) / counts, np.add.reduceat(y, edges) / counts
    marker = "o" if len(x) < 40 else ""
    axes.plot(x, y, color=colour, linewidth=1.2, marker=marker, markersize=2.5, label=label)


def _grid(axes: Axes) -> None:
    axes.grid(axis="y", color=INK, alpha=0.12, linewidth=0.6)
    axes.set_axisbelow(True)


def _spans(truth: Sequence[bool], times: Floats) -> list[tuple[float, float]]:
    """Return start and end of every stretch of anomalous clips."""
    edges = np.flatnonzero(np.diff([0, *map(int, truth), 0]))
    return [(times[a, 0], times[b - 1, 1]) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _clock(seconds: float, _: int | None = None) -> str:
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"


def _svg(figure: Figure, name: str, title: str) -> str:
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    # Ids are unique only within a chart; a page has many charts.
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    label = title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
