"""Folders of tiny videos, some bright, some loud, and a search recipe for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from tests.support import extractors, spaces

RATE = 16_000


def write_video(path: Path, shades: Sequence[int], level: float | None = None) -> Path:
    """Write a video of one shade a second, 5 pictures a second, with a tone if a level is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = sum(path.stem.encode())  # where a field differs, so that no two videos look the same
    with av.open(str(path), "w", format="mp4") as file:
        video = file.add_stream("libx264", rate=5, options={"crf": "10"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = None if level is None else file.add_stream("aac", rate=RATE, layout="mono")
        for shade in np.repeat(shades, 5):
            picture = np.full((48, 64, 3), shade, np.uint8)
            top, left = (16 * (mark % 3), 16 * (mark // 3 % 4))
            picture[top : top + 16, left : left + 16] = 255 - shade
            file.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(video.encode(None))
        if audio is not None:
            tone = level * np.sin(np.arange(RATE * len(shades)) / 5)
            frame = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None], "fltp", "mono")
            frame.sample_rate = RATE
            file.mux(audio.encode(frame))
            file.mux(audio.encode(None))
    return path


def make_footage(root: Path) -> Path:
    """Write a folder of four videos of two cameras."""
    write_video(root / "gate" / "2024-05-01_10-00-00.mp4", [20] * 8 + [220] * 4, 0.9)
    write_video(root / "gate" / "2024-05-01_11-00-00.mp4", [120] * 6, 0.2)
    write_video(root / "yard" / "2024-05-02_10-00-00.mp4", [60] * 3)
    write_video(root / "yard" / "night.mp4", [10] * 14, 0.05)
    return root


def write_recipe(folder: Path, *, windows: str = "{seconds: 4, hop: 2}", space: str = "") -> Path:
    """Write a search recipe over the tiny extractors and the tiny space."""
    path = folder / "search_shades.yaml"
    files = f"[{extractors.__file__}, {spaces.__file__}]"
    path.write_text(
        f"version: 1\nplugins: {files}\nextract: {{eye: {{fps: 1}}, ear: {{}}}}\n"
        f"space: {{use: shades{space}}}\nwindows: {windows}\nconcepts: [loud and bright]\n"
    )
    return path
