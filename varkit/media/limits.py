"""What a media file may be, and what decoding it may cost.

Users' files come from anywhere: a name says nothing about the content, a header nothing about what
follows. So containers are on a list, sizes have a limit before anything is decoded, and the process
that decodes is bounded by the system.
"""

from __future__ import annotations

from dataclasses import dataclass

CONTAINERS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "flv", "asf", "mxf", "ivf", "dv", "dhav", "gif"),
    *("h264", "hevc", "m4v", "mpegvideo", "mjpeg"),  # video without a container
    *("ogg", "wav", "w64", "aiff", "caf", "au", "flac", "mp3", "aac", "amr", "ac3", "eac3"),
)
"""FFmpeg's names of the containers that are opened. None of them names other files or addresses,
as ``concat``, ``hls``, ``dash``, ``sdp`` and the devices do."""
UNTIMED = ("h264", "hevc", "m4v", "mpegvideo", "mjpeg", "mp3", "aac", "amr", "ac3", "eac3")
"""Containers of them that store no duration: FFmpeg guesses it from the size of the file."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one file.

    Attributes:
        pixels: of a picture, as stored and as resized; the default admits 7680 x 4320.
        seconds: of the file; the default admits a recording of a day.
        memory: bytes of address space that decoding may add to the process.
        patience: seconds without any progress after which a file is given up.
        pace: seconds of waiting allowed for each second of the file, beyond ``patience``.
    """

    pixels: int = 2**25
    seconds: float = 100_000.0
    memory: int = 3 * 2**29
    patience: float = 30.0
    pace: float = 4.0

    def allowance(self, seconds: float) -> float:
        """Return how long decoding so many seconds of a file may take, in seconds."""
        return self.patience + self.pace * min(seconds, self.seconds)
