"""ALAN's text side written slowly from the equations, in numpy float64 and plain loops."""

from __future__ import annotations

import math

import numpy as np

from tests.support.reference.alan_video import sinusoid


def cosine(a, b):
    length = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / length if length else 0.0


def similarity(video, query, weights):
    """Eq. 3 or 4: (V, E, D), (Q, E, D), (Q, E) to (V, Q)."""
    s = np.zeros((len(video), len(query)))
    for i in range(len(video)):
        for j in range(len(query)):
            for k in range(video.shape[1]):
                s[i, j] += weights[j, k] * cosine(video[i, k], query[j, k])
    return s


def ranking_loss(s, margin):
    """Eq. 6."""
    count = len(s)
    total = 0.0
    for i in range(count):
        for j in range(count):
            if j != i:
                total += max(0.0, s[i, j] - s[i, i] + margin)
                total += max(0.0, s[j, i] - s[i, i] + margin)
    return total / count


def linear(x, p, name):
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def layer_norm(x, p, name):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]


def batch_norm(x, p, name):
    """By the statistics of the batch, as in training."""
    mean = x.mean(0)
    variance = ((x - mean) ** 2).mean(0)
    return (x - mean) / np.sqrt(variance + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]


def gated_embedding(x, p, name, norm):
    """GEU: z = W'x + b', y = z sigmoid(norm(Wz + b)), y / |y|."""
    z = linear(x, p, f"{name}.project")
    y = z / (1 + np.exp(-norm(linear(z, p, f"{name}.gate"), p, f"{name}.norm")))
    return y / np.sqrt((y * y).sum(-1, keepdims=True))


def text_tower(states, words, p, *, experts, norm, ungated=False, separate=False):
    """X^t (B, L, H) and its words (B, L) to vectors {"cls", "avg"} and weights of the same names.

    `p` holds the head's parameters under the names of its state dict.
    """
    g = states[:, 0]
    h = np.stack([x[w].mean(0) if w.any() else x[0] for x, w in zip(states, words, strict=True)])
    vectors, weights = {}, {}
    for name, x in (("cls", g), ("avg", h)):
        units = [gated_embedding(x, p, f"{name}.{k}", norm) for k in range(experts)]
        vectors[name] = np.stack(units, axis=1)
        own = name if separate else "cls"
        source = {"cls": g, "avg": h}[own]
        scores = np.zeros((len(x), experts))
        for k in range(experts):
            y = source if ungated else vectors[own][:, k]
            scores[:, k] = linear(y, p, f"weights.{own}.score.{k}")[:, 0]
        e = np.exp(scores - scores.max(1, keepdims=True))
        weights[name] = e / e.sum(1, keepdims=True)
    return vectors, weights


def attention(q, kv, p, name, heads):
    """Multi-head attention of (Lq, D) queries on (Lk, D) keys and values, all of them real."""
    d = q.shape[1]
    w, b = p[f"{name}.in_proj_weight"], p[f"{name}.in_proj_bias"]
    query = q @ w[:d].T + b[:d]
    key = kv @ w[d : 2 * d].T + b[d : 2 * d]
    value = kv @ w[2 * d :].T + b[2 * d :]
    size = d // heads
    out = np.zeros_like(query)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for i in range(len(q)):
            scores = np.array([query[i, part] @ k[part] for k in key]) / math.sqrt(size)
            e = np.exp(scores - scores.max())
            out[i, part] = (e / e.sum()) @ value[:, part]
    return linear(out, p, f"{name}.out_proj")


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def decoder_layer(x, clips, p, name, heads):
    """Post-norm Transformer decoder layer."""
    x = layer_norm(x + attention(x, x, p, f"{name}.self_attn", heads), p, f"{name}.norm1")
    x = layer_norm(x + attention(x, clips, p, f"{name}.multihead_attn", heads), p, f"{name}.norm2")
    hidden = gelu(linear(x, p, f"{name}.linear1"))
    return layer_norm(x + linear(hidden, p, f"{name}.linear2"), p, f"{name}.norm3")


def masked_phrase_loss(words, ids, clips, masked, p, *, heads, embeddings, positions=False):
    """One pass of L_mpm: mean over captions of the mean over their masked positions of CE.

    Args:
        words: one (L, H) a caption, its word pieces' states and nothing else.
        ids: one (L,) a caption.
        clips: one (N, D) a caption, real clips only.
        masked: one list of positions a caption.
        p: the task's parameters.
        heads: of the decoder.
        embeddings: (vocabulary, H) of a tied head.
        positions: add sinusoids to the masked caption, of which word piece i has position i + 1,
            after [CLS].
    """
    losses = []
    layers = 1 + max(int(name.split(".")[1]) for name in p if name.startswith("decoder."))
    for x, wanted, seen, hidden in zip(words, ids, clips, masked, strict=True):
        if not hidden:
            continue
        y = linear(x, p, "project") if "project.weight" in p else x.copy()
        for position in hidden:
            y[position] = p["mask_vector"]
        if positions:
            y += sinusoid(len(y) + 1, y.shape[1])[1:]
        for layer in range(layers):
            y = decoder_layer(y, seen, p, f"decoder.{layer}", heads)
        total = 0.0
        for position in hidden:
            out = y[position]
            out = linear(out, p, "head.expand") if "head.expand.weight" in p else out
            logits = embeddings @ out + p["head.bias"]
            largest = logits.max()
            total += largest + math.log(np.exp(logits - largest).sum()) - logits[wanted[position]]
        losses.append(total / len(hidden))
    return sum(losses) / len(losses) if losses else 0.0
