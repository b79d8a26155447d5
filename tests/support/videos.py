"""Small videos made by PyAV. Each picture shows its own number, so its time can be checked."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from varkit.media.chunks import Pictures, Sound
from varkit.media.decode import Decoder

COLUMNS, ROWS = 4, 3
UNIT = Fraction(1, 1000)


def picture(number: int, width: int, height: int) -> np.ndarray:
    """Return an RGB picture whose 4 x 3 fields are the bits of a number, the first at top left."""
    bits = [255 * (number >> bit & 1) for bit in range(COLUMNS * ROWS)]
    grid = np.array(bits, np.uint8).reshape(ROWS, COLUMNS)
    rows = np.arange(height) * ROWS // height
    columns = np.arange(width) * COLUMNS // width
    return np.repeat(grid[np.ix_(rows, columns)][..., None], 3, axis=2)


def number(frame: np.ndarray) -> int:
    """Return the number that a picture shows."""
    height, width = frame.shape[:2]
    fields = [
        frame[(2 * row + 1) * height // (2 * ROWS), (2 * column + 1) * width // (2 * COLUMNS)]
        for row in range(ROWS)
        for column in range(COLUMNS)
    ]
    return sum((field.mean() > 127) << bit for bit, field in enumerate(fields))


def make_video(
    path: Path,
    times: Sequence[int] = (),
    *,
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    pixels: str = "yuv420p",
    container: str | None = None,
    options: dict[str, str] | None = None,
    b_frames: int = 2,
    turn: int = 0,
    aspect: Fraction | None = None,
    sound: np.ndarray | None = None,
    sound_codec: str = "aac",
    sound_format: str = "fltp",
    layout: str = "mono",
    rate: int = 48_000,
    sound_start: int = 0,
    unit: Fraction = UNIT,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a video with picture ``i`` at ``times[i]`` and sound, times in units.

    ``sound`` is ``(channels, N)``, float; without ``times`` the file has sound alone.
    """
    with av.open(str(path), "w", format=container, container_options=options or {}) as file:
        file.metadata.update(metadata or {})
        packets = []
        if times:
            shown = file.add_stream(codec, rate=25)
            shown.width, shown.height = size
            shown.pix_fmt = pixels
            shown.codec_context.time_base = shown.time_base = unit
            shown.codec_context.gop_size = 10
            if codec == "libx264":
                shown.options = {"preset": "ultrafast", "bf": str(b_frames), "crf": "10"}
            if aspect is not None:
                shown.codec_context.sample_aspect_ratio = aspect
            if turn:
                shown.set_display_rotation(turn)
        if sound is not None:
            heard = file.add_stream(sound_codec, rate=rate, layout=layout)
            heard.codec_context.format = sound_format
        for index, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(index, *size), format="rgb24")
            frame.pts, frame.time_base = time, unit
            packets += shown.encode(frame)
        if times:
            packets += shown.encode()
        if sound is not None:
            step = heard.codec_context.frame_size or 1024
            first = round(sound_start * unit * rate)
            for start in range(0, sound.shape[1], step):
                packets += heard.encode(
                    _frame(
                        sound[:, start : start + step], sound_format, layout, rate, first + start
                    )
                )
            packets += heard.encode()
        for packet in sorted(
            (p for p in packets if p.dts is not None), key=lambda p: p.dts * p.time_base
        ):
            file.mux(packet)
    return path


def _frame(samples: np.ndarray, fmt: str, layout: str, rate: int, start: int) -> av.AudioFrame:
    kind = {
        "s16": (np.int16, 32767),
        "flt": (np.float32, 1),
        "fltp": (np.float32, 1),
        "u8": (np.uint8, 127),
    }
    dtype, full = kind[fmt]
    data = samples * full + (128 if fmt == "u8" else 0)
    data = (data if full == 1 else np.round(data)).astype(dtype)
    if not fmt.endswith("p"):
        data = data.T.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(data), format=fmt, layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
    return frame


def collect(decoder: Decoder, path: Path, *views, sound: bool = False):
    """Decode a file; return the frames and times of each view, the sound, and the decoding."""
    decoding = decoder.decode(path, views=views, sound=sound)
    pieces = list(decoding)
    shown = []
    for view in views:
        parts = [p for p in pieces if isinstance(p, Pictures) and p.view == view]
        frames = np.concatenate([p.frames for p in parts]) if parts else np.zeros((0, 1, 1, 3))
        times = np.concatenate([p.times for p in parts]) if parts else np.zeros(0)
        shown.append((frames, times))
    return shown, [p for p in pieces if isinstance(p, Sound)], decoding
