"""CLIP- and SigLIP-like models of transformers: pictures and sentences in one space."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from varkit.blocks.pretrained import load_pretrained, model_type
from varkit.blocks.tokenizer_checks import check_size
from varkit.errors import CheckpointError
from varkit.interfaces import Count, Natural, PictureClips, Place, Positive, Stream
from varkit.system.inputs import read_user_file, reading
from varkit.system.torchvision import mend_torchvision
from varkit_extractors.loading import hashed

KINDS = ("clip", "siglip")
PROCESSORS = ("processor_config.json", "preprocessor_config.json")
"""Files that say how a picture is prepared, since transformers 5 and before; the first counts."""


class Joint(nn.Module):
    """Pictures in a space that they share with sentences (Radford et al., ICML 2021).

    Features have length 1, so inner products are cosines. Pictures are resized bilinearly until
    they cover the model's square, whose centre is cut out; SigLIP's own code squeezes them instead.

    Args:
        model: folder of a CLIP or SigLIP model of transformers: ``config.json``, weights as
            safetensors, the tokenizer's files and those of the image processor.
        fps: pictures per second.
        places: also give the stream ``patches``: the picture cut into so many equal places, a
            square number, each the mean of its projected patches, side by side. CLIP alone has it.
        batch: most pictures that are computed at once.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        *,
        model: Place,
        fps: Positive = 1.0,
        places: Natural = 0,
        batch: Count = 16,
    ) -> None:
        super().__init__()
        folder = Path(model)
        self.kind = model_type(folder, KINDS)
        weights = sorted(folder.glob("*.safetensors"))
        if not weights:
            pickled = next(iter(sorted(folder.glob("*.bin"))), folder / "pytorch_model.bin")
            raise CheckpointError(
                f"{folder} holds no weights as safetensors",
                hint=f"varkit convert {pickled} {folder / 'model.safetensors'}",
            )
        self.network, self.tokenizer = load_pretrained(folder)
        check_size(self.tokenizer, self.network.config.text_config.vocab_size, folder)
        processor, settings = _processor(folder)
        look = _look(processor, settings)
        vision = self.network.config.vision_config
        if look.side != vision.image_size:
            raise CheckpointError(
                f"{processor} gives pictures of {look.side} pixels; the model reads "
                f"{vision.image_size}"
            )
        grid = vision.image_size // vision.patch_size
        self._across = math.isqrt(places)
        if places and (self.kind != "clip" or self._across**2 != places or self._across > grid):
            raise ValueError(
                f"places must be 0 or, for CLIP, a square number up to {grid**2}, not {places}"
            )
        self.reads = PictureClips(fps, look.short_side, look.side)
        self.batch = batch
        self.register_buffer("mean", 255 * torch.tensor(look.mean)[:, None, None])
        self.register_buffer("scale", 1 / (255 * torch.tensor(look.std))[:, None, None])
        self.requires_grad_(False)
        self.eval()
        with torch.inference_mode():
            blank = torch.zeros(1, 1, look.side, look.side, 3, dtype=torch.uint8)
            width = self._encode(blank)["features"].shape[1]
        self.streams = {"features": Stream(width)}
        if places:
            self.streams["patches"] = Stream(places * width)
        self.origin = {
            "version": 1,
            "model": self.kind,
            "sha256": {
                path.name: hashed(path) for path in (folder / "config.json", processor, *weights)
            },
            **asdict(look),
            "logit_scale": float(self.network.logit_scale.exp()),
        }

    def forward(self, clips: Tensor) -> Mapping[str, Tensor]:
        """Return the features of (N, 1, H, W, 3) uint8 pictures, and their places if asked for."""
        return self._encode(clips)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Return (Q, D) sentences in the space of the pictures, of length 1.

        There is at least one. What is longer than the model reads is cut.
        """
        longest = self.network.config.text_config.max_position_embeddings
        tokens = self.tokenizer(
            list(texts),
            # As they were trained: SigLIP always reads the whole length, padding unmasked.
            padding="max_length" if self.kind == "siglip" else True,
            max_length=longest,
            truncation=True,
            return_tensors="pt",
        )
        inputs = {"input_ids": tokens["input_ids"].to(self.mean.device)}
        if self.kind == "clip":
            inputs["attention_mask"] = tokens["attention_mask"].to(self.mean.device)
        with torch.inference_mode():
            pooled: Tensor = self.network.get_text_features(**inputs).pooler_output
        return F.normalize(pooled, dim=-1)

    def _encode(self, clips: Tensor) -> dict[str, Tensor]:
        pictures = (clips[:, 0].permute(0, 3, 1, 2).float() - self.mean) * self.scale
        output = self.network.get_image_features(pixel_values=pictures)
        streams = {"features": F.normalize(output.pooler_output, dim=-1)}
        if self._across:
            patches = self.network.vision_model.post_layernorm(output.last_hidden_state[:, 1:])
            patches = self.network.visual_projection(patches).transpose(1, 2)
            side = math.isqrt(patches.shape[2])
            cells = F.adaptive_avg_pool2d(patches.unflatten(2, (side, side)), self._across)
            streams["patches"] = F.normalize(cells.flatten(2), dim=1).transpose(1, 2).flatten(1)
        return streams

    @staticmethod
    def missing(*, model: str, **_: object) -> list[str]:
        """Return what this machine lacks."""
        lacking = []
        if find_spec("transformers") is None:
            lacking.append("transformers: pip install 'varkit[text]'")
        if not Path(model).is_dir():
            lacking.append(f"the folder {model}: models are not downloaded")
        if (Path(model) / "spiece.model").exists() and find_spec("sentencepiece") is None:
            lacking.append("SigLIP's tokenizer: pip install sentencepiece")
        return lacking

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Write a tiny CLIP of random weights and return options for it."""
        mend_torchvision()
        from transformers import CLIPConfig, CLIPModel

        write_tiny(folder, CLIPConfig, CLIPModel, projection_dim=12)
        return {"model": str(folder), "places": 4}


def write_tiny(folder: Path, config: Any, model: Any, **options: Any) -> None:
    """Write a model of random weights with a tokenizer, in the format of pretrained ones.

    Args:
        folder: where to.
        config: the class of its configuration.
        model: its class.
        **options: of its configuration.
    """
    from varkit.blocks.pretrained import quiet
    from varkit.blocks.tiny_language import write_tiny_language

    write_tiny_language(folder)  # for its tokenizer; the model is written over
    tower = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    tower["intermediate_size"] = 32
    special = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    text = {**tower, **special, "vocab_size": 128, "max_position_embeddings": 12}
    vision = {**tower, "image_size": 32, "patch_size": 8}
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(0)
        made = model(config(text_config=text, vision_config=vision, **options))
        made.save_pretrained(folder)
    size = {"height": 32, "width": 32}
    look = {"size": size, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}
    (folder / PROCESSORS[1]).write_text(json.dumps(look))


@dataclass(frozen=True)
class _Look:
    """How a model wants to see a picture: resized, cut to a square, and its colours normalised."""

    short_side: int
    side: int
    mean: list[float]
    std: list[float]


def _processor(folder: Path) -> tuple[Path, Any]:
    """Return the file that describes the image processor, and what it says of it.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    nested, alone = (folder / name for name in PROCESSORS)
    if nested.exists():
        with reading(nested, CheckpointError):
            settings = json.loads(read_user_file(nested))
            if "image_processor" in settings:
                return nested, settings["image_processor"]
    with reading(alone, CheckpointError):
        return alone, json.loads(read_user_file(alone))


def _look(path: Path, settings: Any) -> _Look:
    """Read the settings of an image processor; ``path`` is their file, for messages.

    Raises:
        CheckpointError: one is missing or wrong, or asks for what is not done here.
    """
    with reading(path, CheckpointError):
        short_side = side = _side(settings["size"])
        if settings.get("crop_size") and settings.get("do_center_crop") is not False:
            side = _side(settings["crop_size"])
        mean, std = ([float(x) for x in settings[f"image_{key}"]] for key in ("mean", "std"))
        finite = all(map(math.isfinite, mean + std))
        if not (side <= short_side and len(mean) == len(std) == 3 and finite and min(std) > 0):
            raise ValueError(f"it says sides {short_side}, {side}, mean {mean}, deviation {std}")
        off = [key for key in ("do_rescale", "do_normalize") if settings.get(key) is False]
        if off or not math.isclose(255 * settings.get("rescale_factor", 1 / 255), 1, rel_tol=1e-6):
            raise ValueError("only colours divided by 255 and then normalised are supported")
        return _Look(short_side, side, mean, std)


def _side(size: Any) -> int:
    """Return the side of a square: files state it as a number, one edge, or height and width."""
    sides = set(size.values()) if isinstance(size, dict) else {size}
    side = sides.pop()
    if sides or not isinstance(side, int) or not 1 <= side <= 4096:
        raise ValueError(f"{size} is not the size of a square of 1 to 4096 pixels")
    return side
