"""Writes moments of videos as clips of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from varkit.errors import DataError, MediaError, VarkitError
from varkit.media.chunks import SOUND_RATE, Pictures, Sound, View
from varkit.media.decode import Decoder
from varkit.search.hits import Hit
from varkit.system.files import replacing

MARGIN = 1.0
"""Seconds before and after a moment that a clip has too."""
LONGEST = 120.0
"""Most seconds of a clip."""
CLOCK = 1000
"""Ticks a second of the pictures' times."""


def cut(hits: Sequence[Hit], folder: Path) -> Iterator[tuple[Hit, Path | VarkitError]]:
    """Write the best moment of each hit as ``01-NAME-SECONDS.mp4``.

    What is decoded runs in bounds of its own (:mod:`varkit.media.decode`); only pictures and sound
    reach the encoder. A file is decoded from its beginning.

    Args:
        hits: the best first.
        folder: made where it is missing.

    Yields:
        A hit, and the clip that was written, or why it could not be: the video is gone or damaged,
        or the disk is full.
    """
    with Decoder() as decoder:
        for rank, hit in enumerate(hits, 1):
            if hit.path is None:
                yield hit, DataError(f"the index does not know where {hit.video!r} is")
                continue
            moment = hit.moments[0]
            start = max(0.0, moment.start - MARGIN)
            end = min(moment.end + MARGIN, start + LONGEST)
            stem = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(hit.video).stem)[:60].strip("._-")
            file = folder / f"{rank:02}-{stem or 'video'}-{int(moment.start)}s.mp4"
            try:
                write_clip(decoder, hit.path, start, end, file)
            except VarkitError as error:
                yield hit, error
            else:
                yield hit, file


def write_clip(decoder: Decoder, source: Path, start: float, end: float, file: Path) -> None:
    """Write a part of a video as H.264 with AAC.

    Args:
        decoder: decodes it.
        source: the video.
        start: seconds.
        end: seconds.
        file: to write; its name ends with ``.mp4``.

    Raises:
        MediaError: there is nothing between these times.
        WriteError: the disk is full or not writable.
    """
    import av

    pictures: list[tuple[float, Any]] = []
    sounds: list[Any] = []
    decoding = decoder.decode(source, views=[View()], sound=True)
    with replacing(file, 0) as part, av.open(str(part), "w", format="mp4") as output:
        video: Any = None
        audio: Any = None
        seen = heard = False
        for piece in decoding:
            if isinstance(piece, Pictures):
                inside = (piece.times >= start) & (piece.times < end)
                for frame, time in zip(piece.frames[inside], piece.times[inside], strict=True):
                    pictures.append((float(time), frame))
                seen |= bool(piece.times[-1] >= end)
            else:
                sounds.append(_between(piece, start, end))
                heard |= piece.start >= end
            if seen and (heard or decoding.facts.sound_codec is None):
                break
        sound = np.concatenate(sounds) if sounds else np.zeros(0, np.float32)
        if not pictures and not len(sound):
            raise MediaError(f"{source} has nothing from {start:.1f} to {end:.1f} s")
        if pictures:
            height, width = pictures[0][1].shape[:2]
            video = output.add_stream("libx264", rate=Fraction(30), options={"crf": "20"})
            video.width, video.height, video.pix_fmt = width & ~1, height & ~1, "yuv420p"
            video.codec_context.time_base = Fraction(1, CLOCK)
        if len(sound):
            audio = output.add_stream("aac", rate=SOUND_RATE, layout="mono")
        for time, picture in pictures:
            if picture.shape[:2] != (height, width):
                continue  # the picture's size changes inside the moment
            even = np.ascontiguousarray(picture[: height & ~1, : width & ~1])
            frame = av.VideoFrame.from_ndarray(even, format="rgb24")
            frame.pts, frame.time_base = round((time - start) * CLOCK), Fraction(1, CLOCK)
            output.mux(video.encode(frame))
        if pictures:
            output.mux(video.encode(None))
        if len(sound):
            samples = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
            samples.sample_rate, samples.pts = SOUND_RATE, 0
            output.mux(audio.encode(samples))
            output.mux(audio.encode(None))
    decoder.close()


def _between(piece: Sound, start: float, end: float) -> Any:
    first = max(0, round((start - piece.start) * SOUND_RATE))
    last = max(0, round((end - piece.start) * SOUND_RATE))
    return piece.samples[first:last]
