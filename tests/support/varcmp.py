"""Representations to align, and the hierarchy written out in loops over numpy float64."""

from dataclasses import replace

import numpy as np
import torch

from varkit.blocks.pooling import masked_mean
from varkit.blocks.unit import unit
from varkit.interfaces import Representation
from varkit.testing.probes import pad_tokens

KAPPA = 5.0
LEVELS = {
    "text": ("semantic", "fine", "spatial"),
    "audio": ("semantic", "fine", "temporal", "spatial"),
}
DIM = 8
WIDTHS = {"clip": DIM, "patches": 2 * DIM}
SOUND = {"audio": DIM}


def make(kind="text", videos=3, queries=4, frames=7, dim=6, patches=2, prior=True, seed=0):
    """Return float64 videos of 1 to ``frames`` frames and queries of ``kind``."""
    numbers = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=numbers, dtype=torch.float64)

    lengths = torch.tensor([frames - v % 3 * (frames // 3) for v in range(videos)])
    mask = torch.arange(frames) < lengths[:, None]
    tokens = {"frames": draw(videos, frames, dim), "patches": draw(videos, frames, patches * dim)}
    video = Representation(
        vectors={"avg": draw(videos, 1, dim)},
        tokens={name: x.masked_fill(~mask[..., None], 0) for name, x in tokens.items()},
        masks=dict.fromkeys(tokens, mask),
        scores=draw(videos, frames).sigmoid() * mask if prior else None,
    )
    many = 5 if kind == "text" else frames + 1
    own = torch.arange(many) < torch.tensor([many - q % 4 for q in range(queries)])[:, None]
    name = "words" if kind == "text" else "sounds"
    query = Representation(
        vectors={"avg": draw(queries, 1, dim)},
        tokens={name: draw(queries, many, dim).masked_fill(~own[..., None], 0)},
        masks={name: own},
        scores=draw(queries, many).sigmoid() * own if prior and kind == "audio" else None,
    )
    return video, query


def of_features(clips, asked, kind):
    """Representations of both sides' features themselves, without any encoder."""
    frames, rows = unit(clips.streams["clip"]), unit(asked.streams["audio"])
    patches = unit(clips.streams["patches"].view(len(clips), -1, 2, DIM)).flatten(2)
    video = Representation(
        vectors={"avg": masked_mean(frames, clips.mask)[:, None]},
        tokens={"frames": frames, "patches": patches},
        masks=dict.fromkeys(("frames", "patches"), clips.mask),
    )
    if kind == "audio":
        mean = masked_mean(rows, asked.mask)[:, None]
        return video, Representation({"avg": mean}, {}, {"sounds": rows}, {"sounds": asked.mask})
    words = asked.mask & (torch.arange(rows.shape[1]) > 0)
    return video, Representation({"avg": rows[:, :1]}, {}, {"words": rows}, {"words": words})


def padded(representation, more):
    """With further padding, of its scores, too."""
    scores = representation.scores
    scores = None if scores is None else torch.nn.functional.pad(scores, (0, more))
    return replace(pad_tokens(representation, more), scores=scores)


def cosine(a, b):
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def softmax(x):
    e = np.exp(np.asarray(x) - max(x))
    return e / e.sum()


def expected(video, query, level, *, beta, keep, delta=2, kappa=KAPPA):
    """Return the (V, Q) similarity of one level, a pair, a frame, a word at a time."""
    out = np.zeros((len(video), len(query)))
    for v in range(len(video)):
        for q in range(len(query)):
            out[v, q] = _pair(video, query, v, q, level, beta, keep, delta, kappa)
    return torch.from_numpy(out)


def _rows(representation, name, b):
    if name not in representation.tokens:
        return None
    return representation.tokens[name][b][representation.masks[name][b]].numpy()


def _pair(video, query, v, q, level, beta, keep, delta, kappa):
    frames, patches = _rows(video, "frames", v), _rows(video, "patches", v)
    words, sounds = _rows(query, "words", q), _rows(query, "sounds", q)
    whole = query.vectors["avg"][q, 0].numpy()
    if level == "semantic":
        return cosine(video.vectors["avg"][v, 0].numpy(), whole)
    prior = np.zeros(len(frames))
    if video.scores is not None:
        prior = video.scores[v].numpy()[: len(frames)].copy()
    counting = list(range(len(frames)))
    near = {}
    if sounds is not None:
        for t in range(len(frames)):
            there = [s for s in range(len(sounds)) if abs(s - t) <= delta]
            if there:
                near[t] = max(cosine(frames[t], sounds[s]) for s in there)
            if query.scores is not None:
                prior[t] = (prior[t] + (query.scores[q, t] if t < len(sounds) else 0)) / 2
        counting = list(near)
    relevance = {t: cosine(frames[t], whole) for t in counting}
    weight = {t: kappa * relevance[t] + beta * prior[t] for t in counting}
    many = max(1, int(np.ceil(keep * len(counting) - 1e-6)))
    counting = sorted(sorted(counting, key=lambda t: -weight[t])[:many])
    omega = softmax([weight[t] for t in counting])
    if level == "temporal":
        return float(sum(w * near[t] for w, t in zip(omega, counting, strict=True)))
    if level == "spatial":
        places = patches.reshape(len(frames), -1, len(whole))
        found = []
        for t in counting:
            if sounds is None:
                best = [max(cosine(place, word) for place in places[t]) for word in words]
                found.append(np.mean(best))
            else:
                heard = t < len(sounds)
                found.append(max(cosine(p, sounds[t]) for p in places[t]) if heard else 0.0)
        return float(omega @ found)
    sentence = float(sum(w * relevance[t] for w, t in zip(omega, counting, strict=True)))
    if words is None:
        return sentence
    each = []
    for word in words:
        cosines = np.array([cosine(frames[t], word) for t in counting])
        by_word = softmax(kappa * cosines + beta * prior[counting])
        each.append(by_word @ cosines)
    return (sentence + np.mean(each)) / 2
