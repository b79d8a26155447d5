"""ALAN's samplers, detector, video and audio encoder, one video and one number at a time.

Written from the equations in float64, with loops, to be read rather than to be fast. `p` is a
state dict of float64 numpy arrays; a `name` in it ends with a dot.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np


def part(p, name):
    """The parameters below a name."""
    return {key.removeprefix(name): value for key, value in p.items() if key.startswith(name)}


def numpy_state(module):
    return {name: x.detach().double().numpy() for name, x in module.state_dict().items()}


# Samplers


def fixed_frame(T, N):
    """round(j (T - 1) / (N - 1)), halves up."""
    step = Fraction(T - 1, N - 1) if N > 1 else Fraction(0)
    return [math.floor(j * step + Fraction(1, 2)) for j in range(N)]


def segments(T, u):
    """One clip of each of N equal segments."""
    return [math.floor((j + u_j) * T / len(u)) for j, u_j in enumerate(u)]


def roulette(scores, temperature, r):
    """Alg. 1: pick i with q_{i-1} < r <= q_i, by walking along q."""
    mass = [math.exp(x / temperature) for x in scores]
    q, total = [], 0.0
    for m in mass:
        total += m / sum(mass)
        q.append(total)
    q[-1] = 1.0
    picks = []
    for value in r:
        i = 0
        while q[i] < value:
            i += 1
        picks.append(i)
    return sorted(picks)


# Detector


def convolution(x, weight, bias):
    """(T, C_in) -> (T, C_out); beyond the ends x is 0."""
    T, width = x.shape
    outputs, _, kernel = weight.shape
    y = np.zeros((T, outputs))
    for t in range(T):
        for o in range(outputs):
            y[t, o] = bias[o]
            for k in range(kernel):
                at = t + k - kernel // 2
                if 0 <= at < T:
                    for c in range(width):
                        y[t, o] += weight[o, c, k] * x[at, c]
    return y


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def confidence(x, p, layers=3):
    """(T, C) -> (T,)."""
    for i in range(layers):
        x = convolution(x, p[f"convolutions.{i}.weight"], p[f"convolutions.{i}.bias"])
        if i < layers - 1:
            x = np.maximum(x, 0)
    return sigmoid(x[:, 0])


def topk_bce(scores, y, *, plus_one=False):
    """Eq. 7 and 8 for one video."""
    k = len(scores) // 16 + 1 if plus_one else max(1, len(scores) // 16)
    rho = min(max(sum(sorted(scores)[-k:]) / k, 1e-6), 1 - 1e-6)
    return -math.log(rho) if y == 1 else -math.log(1 - rho)


# Layers


def linear(x, p, name):
    return x @ p[name + "weight"].T + p[name + "bias"]


def layer_norm(x, p, name):
    rows = []
    for row in x:
        scaled = (row - row.mean()) / math.sqrt(((row - row.mean()) ** 2).mean() + 1e-5)
        rows.append(scaled * p[name + "weight"] + p[name + "bias"])
    return np.stack(rows)


def gelu(x):
    return np.vectorize(lambda v: v * 0.5 * (1 + math.erf(v / math.sqrt(2))))(x)


def softmax(x):
    return np.exp(x) / np.exp(x).sum()


def attention(queries, keys, p, name, heads):
    """(L, D), (L', D) -> (L, D), one query and one head at a time."""
    dim = queries.shape[1]
    size = dim // heads
    w, b = p[name + "in_proj_weight"], p[name + "in_proj_bias"]
    q = queries @ w[:dim].T + b[:dim]
    k = keys @ w[dim : 2 * dim].T + b[dim : 2 * dim]
    v = keys @ w[2 * dim :].T + b[2 * dim :]
    out = np.zeros_like(queries)
    for i in range(len(queries)):
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            shares = softmax(np.array([q[i, own] @ row[own] / math.sqrt(size) for row in k]))
            out[i, own] = sum(share * row[own] for share, row in zip(shares, v, strict=True))
    return linear(out, p, name + "out_proj.")


def self_layer(z, p, name, heads):
    z = layer_norm(z + attention(z, z, p, name + "self_attn.", heads), p, name + "norm1.")
    inner = linear(gelu(linear(z, p, name + "linear1.")), p, name + "linear2.")
    return layer_norm(z + inner, p, name + "norm2.")


def cross_layer(z, others, p, name, heads):
    seen = linear(attention(z, others, p, name + "attention.", heads), p, name + "linear.")
    return layer_norm(z + seen, p, name + "norm.")


# Encoders


def unit(x):
    length = math.sqrt((x**2).sum())
    return x if length == 0 else x / length


def sinusoid(positions, dim):
    table = np.zeros((positions, dim))
    for i in range(positions):
        for c in range(dim):
            angle = i / 10000 ** ((c - c % 2) / dim)
            table[i, c] = math.sin(angle) if c % 2 == 0 else math.cos(angle)
    return table


def where(position, i, j, T, P):
    """The position of clip i of T, which is the j-th pick."""
    if position == "relative":
        return P * i // T + 1
    return min((j if position == "order" else i) + 1, P)


def embed(sequences, picks, T, p, *, position, positions):
    """LN([mean(U), U, mean(R), R] + position + sequence)."""
    table = p.get("table", None)
    if table is None:
        table = sinusoid(positions + 1, sequences[0].shape[1])
    rows = []
    for m, (tokens, chosen) in enumerate(zip(sequences, picks, strict=True)):
        rows.append(tokens.mean(0) + table[0] + p["sequence"][m])
        for j, (token, i) in enumerate(zip(tokens, chosen, strict=True)):
            at = where(position, i, j, T, positions)
            rows.append(token + table[at] + p["sequence"][m])
    return layer_norm(np.stack(rows), p, "norm.")


def two_stream(
    streams,
    p,
    choose,
    *,
    heads,
    position="relative",
    positions=100,
    normalize=False,
    projected=False,
    self_layers=1,
    cross_layers=1,
):
    """One video: streams [(T, C)] in the experts' order; choose(scores) -> M lists of picks.

    Returns g (E, D), h (E, D), tokens [(sum N, D)], scores (T,) and the picks.
    """
    E, T = len(streams), len(streams[0])
    clips = [linear(x, p, f"projections.{s}.linear.") for s, x in enumerate(streams)]
    if normalize:
        clips = [np.stack([unit(row) for row in x]) for x in clips]
    scores = confidence(
        np.concatenate(clips if projected else streams, axis=1), part(p, "detector.")
    )
    picks = choose(scores)
    z = []
    for s in range(E):
        sequences = [clips[s][chosen] for chosen in picks]
        own = part(p, f"embeddings.{s}.")
        tokens = embed(sequences, picks, T, own, position=position, positions=positions)
        for i in range(self_layers):
            tokens = self_layer(tokens, p, f"self_encoders.{s}.layers.{i}.", heads)
        z.append(tokens)
    for i in range(cross_layers if E > 1 else 0):
        before = list(z)
        for s in range(E):
            others = np.concatenate([before[o] for o in range(E) if o != s])
            z[s] = cross_layer(before[s], others, p, f"cross_encoders.{i}.attend.{s}.", heads)
    g, h, frames = [], [], []
    for tokens in z:
        cls, means, kept, start = [], [], [], 0
        for chosen in picks:
            cls.append(tokens[start])
            means.append(tokens[start + 1 : start + 1 + len(chosen)].mean(0))
            kept.append(tokens[start + 1 : start + 1 + len(chosen)])
            start += 1 + len(chosen)
        g.append(sum(cls) / len(cls))
        h.append(sum(means) / len(means))
        frames.append(np.concatenate(kept))
    return np.stack(g), np.stack(h), frames, scores, picks


def gated_embedding(x, p, name, *, statistics=None):
    """z ∘ sigmoid(BN(W z + b)); statistics (mean, variance) of the batch, or the running ones."""
    z = linear(x, p, name + "project.")
    gate = linear(z, p, name + "gate.")
    if name + "norm.running_mean" in p:
        mean, variance = statistics or (p[name + "norm.running_mean"], p[name + "norm.running_var"])
    else:
        mean, variance = gate.mean(), gate.var()
    gate = (gate - mean) / np.sqrt(variance + 1e-5)
    return unit(z * sigmoid(gate * p[name + "norm.weight"] + p[name + "norm.bias"]))


def expert_weights(vectors, p):
    """Softmax over one score an expert."""
    return softmax(np.array([linear(x, p, f"score.{k}.")[0] for k, x in enumerate(vectors)]))


def gated_experts(g, h, p, experts, *, weights_from="gated", weights="shared"):
    """Vectors {name: (E, D)} and weights {name: (E,)} of one query."""
    plain = {"cls": g, "avg": h}
    vectors = {
        name: np.stack([gated_embedding(x, p, f"{name}.{k}.") for k in range(experts)])
        for name, x in plain.items()
    }
    found = {}
    for name in plain:
        source = "cls" if weights == "shared" else name
        ungated = [plain[source]] * experts
        seen = vectors[source] if weights_from == "gated" else ungated
        found[name] = expert_weights(seen, part(p, f"weights.{source}."))
    return vectors, found
