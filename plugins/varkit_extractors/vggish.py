"""VGGish: sounds become the embeddings that AudioSet was released with.

Hershey et al., "CNN architectures for large-scale audio classification" (ICASSP 2017); the network
and what follows it as in ``research/audioset/vggish`` of github.com/tensorflow/models.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from varkit.errors import CheckpointError
from varkit.interfaces import Place, SoundClips, Stream
from varkit.system import tensors
from varkit.system.inputs import InputError, open_user_file, reading
from varkit.system.npy import members, read_member
from varkit_extractors.loading import fill, hashed, random_weights, read_weights
from varkit_extractors.log_mel import BANDS, FRAMES, HOP, SAMPLES, LogMel

WIDTH = 128
BOUND = 2.0
"""Whitened numbers are cut to [-BOUND, BOUND] before they are rounded."""

_GROUPS = ((64,), (128,), (256, 256), (512, 512))
"""The widths of the convolutions; each group ends with a pooling that halves the sides."""


class VGGish(nn.Module):
    """Embeddings (``features``) of each 0.96 s of sound.

    Published features differ in what follows the last layer. Ports to PyTorch end with a ReLU, as
    the first code did; that of today does not. The features of AudioSet and YouTube-8M are whitened
    and rounded; negative means in the parameters say that no ReLU came before.

    Args:
        weights: ``vggish-10086976.pth`` of github.com/harritaylor/torchvggish, or its tensors as
            ``.safetensors``.
        relu: whether the embedding ends with a ReLU.
        pca: the published ``vggish_pca_params.npz``, by which the embedding is whitened.
        quantise: whether a whitened embedding is cut to [-2, 2] and rounded down to one of 256
            steps, 0 to 255.

    Raises:
        CheckpointError: a file is missing, damaged, or of another network.
        ValueError: ``quantise`` without ``pca``.
    """

    pca_means: Tensor
    pca_eigen_vectors: Tensor

    def __init__(
        self, *, weights: Place, relu: bool = True, pca: Place | None = None, quantise: bool = False
    ) -> None:
        super().__init__()
        if quantise and pca is None:
            raise ValueError("quantise=true needs pca: only whitened embeddings are rounded")
        self.reads = SoundClips(samples=SAMPLES, hop=HOP)
        self.streams = {"features": Stream(WIDTH)}
        self.batch = 32
        self.relu, self.whitened, self.quantise = relu, pca is not None, quantise
        self.log_mel = LogMel(offset=0.01)
        self.network = _load(Path(weights))
        self.origin = {
            "network": "VGGish",
            "version": 1,
            "weights_sha256": hashed(Path(weights)),
        }
        if pca is not None:
            self.origin["pca_sha256"] = hashed(Path(pca))
            for name, tensor in _read_pca(Path(pca)).items():
                self.register_buffer(name, tensor, persistent=False)

    def forward(self, clips: Tensor) -> Mapping[str, Tensor]:
        """Return the (N, 128) features of (N, 15600) samples."""
        features = self.network(self.log_mel(clips))
        if self.relu:
            features = F.relu(features)
        if self.whitened:
            features = F.linear(features.double() - self.pca_means, self.pca_eigen_vectors)
        if self.quantise:
            features = ((features.clamp(-BOUND, BOUND) + BOUND) * (255 / (2 * BOUND))).floor()
        return {"features": features.float()}

    @staticmethod
    def missing(*, weights: str, pca: str | None = None, **_: object) -> list[str]:
        """Return what this machine lacks."""
        lacking = [] if Path(weights).is_file() else [f"the weights {weights}"]
        if pca is not None and not Path(pca).is_file():
            lacking.append(f"the parameters of the whitening {pca}")
        return lacking

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Write random weights of narrow hidden layers."""
        path = folder / "vggish.safetensors"
        tensors.save(path, random_weights(Network(hidden=32)), {})
        return {"weights": str(path)}


class Network(nn.Module):
    """VGGish from patches to embeddings, before the last ReLU; tensors named as in the ports.

    Args:
        hidden: width of the hidden layers; 4,096 as published.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        width, layers = 1, list[nn.Module]()
        for group in _GROUPS:
            for wider in group:
                layers += [nn.Conv2d(width, wider, 3, padding=1), nn.ReLU()]
                width = wider
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        halved = 2 ** len(_GROUPS)
        self.embeddings = nn.Sequential(
            nn.Linear(FRAMES // halved * BANDS // halved * width, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, WIDTH),
        )

    def forward(self, patches: Tensor) -> Tensor:
        """Map ``(N, 96, 64)`` to ``(N, 128)``."""
        maps = self.features(patches[:, None])
        # TensorFlow, where the weights are from, has the channels last when it flattens.
        embeddings: Tensor = self.embeddings(maps.permute(0, 2, 3, 1).flatten(1))
        return embeddings


def _load(path: Path) -> Network:
    state = read_weights(path)
    first = state.get("embeddings.0.bias")
    with torch.device("meta"):
        network = Network(4096 if first is None else first.numel())
    fill(network, state, path)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a fifth faster
    return network


def _read_pca(path: Path) -> dict[str, Tensor]:
    """Return the means ``(128,)`` and the eigenvectors ``(128, 128)``, one a row, in float64."""
    shapes = {"pca_means": (WIDTH,), "pca_eigen_vectors": (WIDTH, WIDTH)}
    made = {}
    with reading(path, CheckpointError), open_user_file(path) as file:
        archive = zipfile.ZipFile(file)
        arrays = members(archive)
        for name, shape in shapes.items():
            if name not in arrays:
                raise InputError(f"holds no array {name!r}")
            array = read_member(archive, arrays[name])
            if array.dtype.kind != "f" or array.size != torch.Size(shape).numel():
                raise InputError(f"holds {name} of shape {array.shape} instead of {shape}")
            made[name] = torch.from_numpy(array.astype("float64").reshape(shape))
    return made
