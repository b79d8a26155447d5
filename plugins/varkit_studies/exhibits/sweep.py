"""A figure plotted against a number given in the rows, as in ALAN's Fig. 6."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from varkit.runs.report.tables import Table
from varkit_studies.comparison.tables import between
from varkit_studies.exhibits import Exhibit, Picture
from varkit_studies.finished import FinishedStudy

Figure = Literal[
    "SumR",
    "query_to_video.R@1",
    "query_to_video.R@5",
    "query_to_video.R@10",
    "video_to_query.R@1",
    "video_to_query.R@5",
    "video_to_query.R@10",
]


class Sweep:
    """A figure of every row that has an ``x``, with its interval; a line for each ``series``.

    Args:
        axis: the name of the horizontal axis.
        figure: the figure that is drawn.
        log: whether the horizontal axis is logarithmic.
    """

    def __init__(self, *, axis: str, figure: Figure = "SumR", log: bool = False) -> None:
        self.axis = axis
        self.figure: str = figure
        self.log = log

    def __call__(self, study: FinishedStudy, folder: Path) -> Exhibit:
        """Draw the plot as ``sweep.png``."""
        points = self._points(study)
        title = f"{self.figure} against {self.axis}{study.mark()}"
        rows = tuple(
            (p["series"] or "", f"{p['x']:g}", f"{p['value']:.1f}", between((p["low"], p["high"])))
            for p in points
        )
        table = Table(
            title=title,
            caption="95 %: over test videos, and also over trainings if a row has several.",
            columns=("", self.axis, self.figure, "95 %"),
            rows=rows,
        )
        pictures = (self._draw(points, title, folder / "sweep.png"),) if points else ()
        return Exhibit(
            title=title,
            notes=() if points else ("No finished row has an x.",),
            tables=(table,),
            pictures=pictures,
            records=tuple(points),
            figures={"axis": self.axis, "figure": self.figure, "points": points},
        )

    def _points(self, study: FinishedStudy) -> list[dict[str, Any]]:
        points = []
        for name, row in study.rows.items():
            options = row.row.options
            if options.x is None:
                continue
            value = study.values(name)[self.figure]
            low, high = value.interval_trainings or value.interval
            points.append(
                {
                    "series": options.series,
                    "x": options.x,
                    "row": name,
                    "figure": self.figure,
                    "value": value.value,
                    "low": low,
                    "high": high,
                    "sd_trainings": value.sd_trainings,
                }
            )
        return sorted(points, key=lambda point: (point["series"], point["x"]))

    def _draw(self, points: list[dict[str, Any]], title: str, file: Path) -> Picture:
        import io

        import matplotlib
        from matplotlib.figure import Figure as Canvas

        from varkit.runs.report.charts import COLOURS
        from varkit.system.files import write_bytes

        with matplotlib.rc_context({"text.parse_math": False, "font.size": 9}):
            canvas = Canvas(figsize=(6.4, 3.6), dpi=150, layout="constrained")
            axes = canvas.add_subplot()
            axes.spines[["right", "top"]].set_visible(False)
            axes.set_title(title, loc="left", fontsize=9)
            axes.set_xlabel(self.axis)
            axes.set_ylabel(self.figure)
            if self.log:
                axes.set_xscale("log")
            for number, series in enumerate(dict.fromkeys(p["series"] for p in points)):
                own = [p for p in points if p["series"] == series]
                x, y = [p["x"] for p in own], [p["value"] for p in own]
                # A percentile interval need not contain the value itself.
                reach = [
                    [max(0.0, p["value"] - p["low"]) for p in own],
                    [max(0.0, p["high"] - p["value"]) for p in own],
                ]
                colour = COLOURS[number % len(COLOURS)]
                axes.errorbar(
                    x, y, yerr=reach, color=colour, marker="o", capsize=3, label=series or None
                )
            if any(p["series"] for p in points):
                axes.legend(frameon=False)
            data = io.BytesIO()
            canvas.savefig(data, format="png", metadata={"Software": None})
        write_bytes(file, data.getvalue())
        return Picture(file, f"{title}; bars: 95 % intervals")
