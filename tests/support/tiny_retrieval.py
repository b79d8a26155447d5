"""A small real model and a data set for it: a few videos with captions, ranked in milliseconds."""

import numpy as np
import torch
from torch import nn

from varkit.data.in_memory import InMemory
from varkit.interfaces import Captions, Item, Representation, Sequences
from varkit.model.retrieval import RetrievalModel, Weighted

WORDS = ("dog", "fire", "man", "runs", "falls", "car", "burns", "sits")


class Tiny:
    """Videos of 3 to 9 clips with two captions each, drawn from a seed; clip 1 is anomalous."""

    name = "Tiny"
    simulated = True
    query_kind = "captions"
    widths = {"object": 4}  # noqa: RUF012
    query_widths = {}  # noqa: RUF012

    def __init__(self, videos=9, crops=1, bad=None, truth=True):
        self.names = [f"v{i}" for i in range(videos)]
        self.crop_count, self.bad, self.known = crops, bad, truth

    def items(self):
        return [Item(v, (f"{v}#0", f"{v}#1"), int(i % 3 > 0)) for i, v in enumerate(self.names)]

    def open(self, video):
        return InMemory(*(self._clips(video, crop) for crop in range(self.crop_count)))

    def _clips(self, video, crop):
        generator = np.random.default_rng([int(video[1:]), crop])
        clips = 3 + int(video[1:]) % 7
        features = generator.normal(size=(clips, 4)).astype(np.float32)
        if video == self.bad:
            features[0, 0] = np.nan
        start = np.arange(clips, dtype=np.float32)
        return Sequences({"object": features}, np.stack([start, start + 1], axis=1))

    def query(self, query):
        generator = np.random.default_rng([int(query[1:-2]), int(query[-1]), 7])
        return " ".join(generator.choice(WORDS, size=2 + int(query[-1])))

    def truth(self, video):
        if not self.known:
            return None
        inside = np.zeros(self.open(video).length, dtype=bool)
        inside[1] = int(video[1:]) % 3 > 0
        return inside


class Pool(nn.Module):
    """Mean of the clips and of two picked at random; the confidence is the first channel's."""

    consumes = "clips"
    detector = None

    def __init__(self):
        super().__init__()
        self.project = nn.Linear(4, 5)
        self.dropout = nn.Dropout(0.5)

    def forward(self, clips):
        features, mask = clips.streams["object"], clips.mask
        lengths = mask.sum(1)
        drawn = clips.draws.named("random").uniform(2) * lengths[:, None]
        picks = drawn.long().sort(1).values
        picked = features.gather(1, picks[..., None].expand(-1, -1, 4)).mean(1)
        mean = (features * mask[..., None]).sum(1) / lengths[:, None]
        vector = self.dropout(self.project(mean + picked))
        scores = features[..., 0].sigmoid() * mask
        return Representation(
            vectors={"all": nn.functional.normalize(vector, dim=1)[:, None]},
            scores=scores,
            picks={"random": picks},
        )


class Bag(nn.Module):
    """Mean of word embeddings."""

    consumes = "captions"
    detector = None

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(len(WORDS), 5)

    def tokenize(self, texts):
        cut = [[WORDS.index(word) for word in text.split()] for text in texts]
        ids = torch.zeros(len(cut), max(map(len, cut)), dtype=torch.int64)
        mask = torch.zeros_like(ids, dtype=torch.bool)
        for b, row in enumerate(cut):
            ids[b, : len(row)], mask[b, : len(row)] = torch.tensor(row), True
        return Captions(tuple(texts), ids, mask, mask, torch.zeros(*ids.shape, 2).long())

    def forward(self, captions):
        mean = (self.words(captions.ids) * captions.mask[..., None]).sum(1)
        return Representation(vectors={"all": nn.functional.normalize(mean, dim=1)[:, None]})


class Cosine:
    """With factors, or without."""

    def __init__(self, factorises=True):
        self.factorises = factorises

    def similarity(self, video, query):
        return video.vectors["all"][:, 0] @ query.vectors["all"][:, 0].T

    def factors(self, representation, side):
        return representation.vectors["all"][:, 0] if self.factorises else None


def make_model(factorises=True):
    torch.manual_seed(0)
    return RetrievalModel(
        video=Pool(),
        query=Bag(),
        alignments={"all": Weighted(Cosine(factorises), 0.5)},
        objective=None,
    )
