"""A benchmark's plot: time and speed of every backend by B, on logarithmic axes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from varkit.system.files import write_bytes

COLOURS = ("#2f7fd6", "#d9730d", "#2a9d6f", "#b4508f", "#8a7a1f", "#6a6fd0")
MARKERS = "osD^vP"


def draw(report: dict[str, Any], path: Path) -> None:
    """Plot forward plus backward: milliseconds on the left, speed over eager on the right.

    Bars reach from the 20th to the 80th percentile.

    Raises:
        WriteError: the file cannot be written.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogFormatter

    style: dict[Any, Any] = {"axes.spines.right": False, "axes.spines.top": False, "font.size": 9}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(9.6, 3.8), layout="constrained")
        times, speeds = figure.subplots(1, 2)
        for number, backend in enumerate(report["settings"]["backends"]):
            rows = [r for r in report["results"] if r["backend"] == backend and r["correct"]]
            rows.sort(key=lambda row: row["pairs"])
            if not rows:
                continue
            line = {
                "label": backend,
                "color": COLOURS[number % len(COLOURS)],
                "marker": MARKERS[number % len(MARKERS)],
                "markersize": 4,
                "linewidth": 1.2,
            }
            sizes, both = [row["pairs"] for row in rows], [row["both"] for row in rows]
            middle = [f["median_ms"] for f in both]
            below = [f["median_ms"] - f["p20_ms"] for f in both]
            above = [f["p80_ms"] - f["median_ms"] for f in both]
            times.errorbar(sizes, middle, yerr=(below, above), **line)
            if all(f["speed"] is not None for f in both):
                speeds.plot(sizes, [f["speed"] for f in both], **line)
        times.set_title("forward and backward, ms (median, 20 % to 80 %)", loc="left", size=10)
        speeds.set_title("speed over eager (above 1 is faster)", loc="left", size=10)
        times.legend(frameon=False)
        speeds.axhline(1, color="grey", linewidth=0.6)
        for axes in (times, speeds):
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(LogFormatter())
            axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.5)))
            axes.set_xticks(
                report["settings"]["sizes"], [f"{b:,}" for b in report["settings"]["sizes"]]
            )
            axes.set_xlabel("B, pairs in a batch")
        machine, settings = report["machine"], report["settings"]
        figure.suptitle(
            f"{report['operator']}, {settings['dtype']}, E = {settings['experts']}, "
            f"d = {settings['width']}, {settings['device']}, {machine['threads']} CPU thread(s)",
            size=10,
        )
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=150)
    write_bytes(path, buffer.getvalue())
