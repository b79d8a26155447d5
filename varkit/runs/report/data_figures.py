"""Pictures of a data set and of its videos, as PNG files."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from varkit.data.inspect.captions import caption_length
from varkit.data.inspect.show import VideoDetails
from varkit.data.inspect.stats import Statistics
from varkit.errors import VarkitError
from varkit.runs.report.tables import mark
from varkit.system.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, RED = "#2f7fd6", "#d9730d", "#e5484d"
POINTS = 1000


def write_histograms(statistics: Statistics, folder: Path) -> list[Path]:
    """Draw the lengths of captions and videos, the anomalous shares and the classes.

    Args:
        statistics: of a data set.
        folder: gets a PNG for each that the data set has.

    Raises:
        VarkitError: the extra ``report`` is not installed.
        WriteError: a file cannot be written.
    """
    figures, where = statistics.figures, _where(statistics.name, simulated=statistics.simulated)
    unit = "characters" if "characters.mean" in figures else "words"
    captions = [caption_length(text) for video in statistics.videos for text in video.captions]
    shares = [video.fraction for video in statistics.videos if video.segments]
    written = []
    with style():
        if captions:
            mean = figures[f"{unit}.mean"]
            figure = panels(f"{unit.capitalize()} in a caption, mean {mean:.1f}{where}")
            _histogram(figure, captions, [n - 0.5 for n in range(min(captions), max(captions) + 2)])
            written.append(save(figure, folder / "captions.png"))
        clips = [video.clips for video in statistics.videos]
        if any(clips):
            figure = panels(f"Clips in a video, median {figures['clips.p50']:,.0f}{where}")
            _histogram(figure, clips, np.geomspace(min(clips), max(clips) + 1, 40).tolist())
            figure.axes[0].set_xscale("log")
            written.append(save(figure, folder / "clips.png"))
        if shares:
            figure = panels(f"Anomalous share of the videos that have an anomaly{where}")
            _histogram(figure, shares, np.linspace(0, 1, 41).tolist())
            written.append(save(figure, folder / "anomalous_share.png"))
        classes = Counter(name for video in statistics.videos for name in video.item.classes)
        if classes:
            figure = panels(f"Videos in a class{where}", height=0.8 + 0.24 * len(classes))
            names, counts = zip(*reversed(classes.most_common()), strict=True)
            figure.axes[0].barh(names, counts, color=BLUE)
            written.append(save(figure, folder / "classes.png"))
    return written


def write_video(details: VideoDetails, path: Path) -> None:
    """Draw, for each stream, the clips' norm and their distance from the mean of all clips.

    Anomalous parts of the video are shaded.

    Raises:
        VarkitError: the extra ``report`` is not installed.
        WriteError: the file cannot be written.
    """
    title = f"{details.item.video}{_where(details.dataset, simulated=details.simulated)}"
    with style():
        figure = panels(title, rows=len(details.curves), height=0.6 + 1.7 * len(details.curves))
        shown = figure.axes
        for axes, (stream, curves) in zip(shown, details.curves.items(), strict=True):
            for anomaly in details.anomalies:
                axes.axvspan(*anomaly["seconds"], color=RED, alpha=0.18, linewidth=0)
            for label, values, colour in (
                ("norm", curves.norm, BLUE),
                ("distance from the mean", curves.distance, ORANGE),
            ):
                clips, drawn = _thinned(values)
                seconds = details.times[np.minimum(clips, len(details.times) - 1), 0]
                axes.plot(seconds, drawn, color=colour, linewidth=1, label=label)
            axes.set_ylabel(stream)
            axes.set_ylim(bottom=0)
        shown[-1].set_xlabel("seconds")
        figure.legend(*shown[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
        save(figure, path)


def _histogram(figure: Figure, values: Sequence[float], bins: Sequence[float]) -> None:
    figure.axes[0].hist(values, bins=bins, color=BLUE)
    figure.axes[0].set_ylabel("how many")


def _thinned(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return positions and the maximum of each stretch, so that no peak is lost."""
    count = min(POINTS, len(values))
    edges = np.arange(count) * len(values) // count
    return edges, np.maximum.reduceat(values, edges)


def _where(name: str, *, simulated: bool) -> str:
    return f": {name}{mark({'simulated': simulated})}"


@contextmanager
def style() -> Iterator[None]:
    """Set the style of pictures; a name with dollar signs is not read as a formula.

    Raises:
        VarkitError: the extra ``report`` is not installed.
    """
    if find_spec("matplotlib") is None:
        raise VarkitError("pictures need matplotlib", hint="pip install 'varkit[report]'")
    import matplotlib

    style: dict[Any, Any] = {
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 10,
        "font.size": 9,
        "legend.frameon": False,
        "text.parse_math": False,
    }
    with matplotlib.rc_context(style):
        yield


def panels(title: str, *, rows: int = 1, height: float = 3.2) -> Figure:
    """Return a figure with panels stacked vertically."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, height), layout="constrained")
    figure.subplots(rows, 1, sharex=True, squeeze=False)[0, 0].set_title(title)
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, and return its path."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a character that no font here has
        figure.savefig(buffer, format="png", dpi=150)
    write_bytes(path, buffer.getvalue())
    return path
