"""my_part: an extractor for varkit."""

from collections.abc import Mapping

from torch import Tensor

from varkit import hookimpl
from varkit.interfaces import PictureClips, Positive, Stream
from varkit.plugins.registry import Register


class MyPart:
    """The mean colour of pictures.

    Args:
        fps: pictures per second.
    """

    def __init__(self, *, fps: Positive = 1.0) -> None:
        self.reads = PictureClips(fps=fps, short_side=64)
        self.streams = {"colour": Stream(width=3)}
        self.batch = 64
        self.origin = {"version": 1}

    def __call__(self, clips: Tensor) -> Mapping[str, Tensor]:
        """Return the (N, 3) colours, in [0, 1], of (N, 1, H, W, 3) pictures."""
        return {"colour": clips.float().mean(dim=(1, 2, 3)) / 255}


@hookimpl
def register_extractors(register: Register) -> None:
    """Register the extractor."""
    register("my_part", MyPart, summary="the mean colour of pictures")
