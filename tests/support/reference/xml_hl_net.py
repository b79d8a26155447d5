"""XML and HL-Net, one item, one clip, one word at a time, in float64.

`p` holds a module's parameters by name; sequences hold no padding.
"""

import math
from itertools import pairwise

import numpy as np

from tests.support.reference.alan_video import (
    attention,
    convolution,
    layer_norm,
    linear,
    part,
    sigmoid,
    softmax,
    unit,
)

# XML


def attend(x, p, name, heads):
    return layer_norm(x + attention(x, x, p, f"{name}attention.", heads), p, f"{name}norm.")


def place(x, p, name):
    table = p[f"{name}table.weight"]
    placed = np.stack([row + table[min(i, len(table) - 1)] for i, row in enumerate(x)])
    return layer_norm(placed, p, f"{name}norm.")


def project(x, p, name):
    return np.maximum(linear(layer_norm(x, p, f"{name}0."), p, f"{name}2."), 0)


def xml_stream(features, picks, e, p, *, heads, normalize):
    """(T, C) features of expert number e and its picks -> (N, D) of the N clips picked at all."""
    clips = [features[i] for i in sorted(set(picks))]
    x = project(np.stack([unit(c) if normalize else c for c in clips]), p, f"project.{e}.")
    return attend(place(x, p, "position."), p, f"attend.{e}.", heads)


def xml_queries(words, p, *, heads, normalize):
    """(L, D) words -> one vector an expert."""
    x = project(np.stack([unit(w) if normalize else w for w in words]), p, "project.")
    states = attend(place(x, p, "position."), p, "attend.", heads)
    found = []
    for weights in p["modular.weight"]:
        share = softmax(np.array([weights @ state for state in states]))
        found.append(sum(a * state for a, state in zip(share, states, strict=True)))
    return found


def xml_score(streams, queries):
    """(N, D) clips and a (D,) query of each expert -> one number."""
    best = [
        max(float(unit(clip) @ unit(query)) for clip in clips)
        for clips, query in zip(streams, queries, strict=True)
    ]
    return sum(best) / len(best)


def sampled_negative(s, uniform, *, margin, pool):
    """Rows of s are videos; `pool` = how many of the best negatives may be drawn, or None."""
    total = 0.0
    for i in range(len(s)):
        videos = sorted((s[j][i] for j in range(len(s)) if j != i), reverse=True)[:pool]
        queries = sorted((s[i][j] for j in range(len(s)) if j != i), reverse=True)[:pool]
        for negatives, u in ((videos, uniform[i][0]), (queries, uniform[i][1])):
            if negatives:
                drawn = negatives[int(u * len(negatives))]
                total += max(0.0, margin + drawn - s[i][i])
    return total / len(s)


# HL-Net


def averaged(x, count):
    """Means over equal segments, if there are more clips than `count`."""
    T = len(x)
    if count >= T:
        return x
    edges = [i * T // count for i in range(count + 1)]
    return np.stack([x[a:b].sum(0) / (b - a) for a, b in pairwise(edges)])


def similarity_graph(x, threshold, sparse):
    T = len(x)
    graph = np.zeros((T, T))
    for i in range(T):
        mass = []
        for j in range(T):
            cosine = float(unit(x[i]) @ unit(x[j]))
            if cosine > threshold or (sparse and i == j):
                mass.append(math.exp(cosine))
            else:
                mass.append(0.0 if sparse else 1.0)
        graph[i] = [m / sum(mass) for m in mass]
    return graph


def distance_graph(T, normalize):
    graph = np.array([[math.exp(-abs(i - j) / math.e) for j in range(T)] for i in range(T)])
    return np.stack([row / row.sum() for row in graph]) if normalize else graph


def score_graph(scores):
    edges = [[sigmoid((1 - abs(a - b) - 0.5) / 0.1) for b in scores] for a in scores]
    return np.stack([softmax(np.array(row)) for row in edges])


def branch(x, graph, p):
    residual = convolution(x, p["residual.weight"], p["residual.bias"])
    h = np.maximum(graph @ (x @ p["first.weight"].T) + residual, 0)
    return np.maximum(graph @ (h @ p["second.weight"].T) + h, 0)


def online(x, p):
    """(T, C) -> (T,) confidence; clip t sees itself and the clips before it."""
    for layer in ("layers.0.", "layers.1."):
        x = np.maximum(linear(x, p, layer), 0)
    weight, bias = p["convolution.weight"][0], p["convolution.bias"][0]
    past = weight.shape[1] - 1
    z = []
    for t in range(len(x)):
        value = bias
        for k in range(past + 1):
            if t + k - past >= 0:
                value += weight[:, k] @ x[t + k - past]
        z.append(value)
    return sigmoid(np.array(z))


def hl_net(x, p, *, segments, threshold, sparse, normalize, pooling, experts, padding=0):
    """(T, C) -> (E, D) vectors and the (S,) scores of the segments.

    `padding` = so many segments of zeros at the end are convolved, and are neighbours in time.
    """
    raw = averaged(x, segments)
    count = len(raw)
    padded = np.concatenate([raw, np.zeros((padding, raw.shape[1]))])
    stem = np.maximum(linear(np.maximum(linear(padded, p, "stem.0."), 0), p, "stem.3."), 0)
    scores = online(stem[:count], part(p, "detector."))
    wide = ((0, padding), (0, padding))
    graphs = {
        "similar": np.pad(similarity_graph(raw, threshold, sparse), wide),
        "near": distance_graph(count + padding, normalize),
        "score": np.pad(score_graph(scores), wide),
    }
    h = np.concatenate([branch(stem, g, part(p, f"{n}.")) for n, g in graphs.items()], axis=1)
    h = h[:count]
    share = scores if pooling == "score" else np.ones(len(raw))
    mean = sum(a * row for a, row in zip(share / share.sum(), h, strict=True))
    return np.stack([linear(mean, p, f"project.{e}.") for e in range(experts)]), scores


def top_k_loss(scores, y):
    k = len(scores) // 16 + 1
    top = sorted((math.log(s / (1 - s)) for s in scores), reverse=True)[:k]
    rho = sigmoid(sum(top) / len(top))
    return -math.log(rho) if y == 1 else -math.log(1 - rho)
