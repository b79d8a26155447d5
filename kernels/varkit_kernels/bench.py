"""The ranking loss, measured: correctness first, then time, share of the ceiling, and memory.

``python -m varkit_kernels.bench --pairs 64 1024`` prints a table, ``--json`` all figures. A backend
that is wrong is not timed. The ceiling is a square matrix product of the same dtype, measured in
the same run; a percentage of it says more than a time, and is comparable between machines.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from varkit_kernels.measure import figures, matrix_product_ceiling, peak_extra, repeat
from varkit_kernels.similarity_ranking import eager, ranking_loss
from varkit_kernels.similarity_ranking.backends import BACKENDS, refusals
from varkit_kernels.similarity_ranking.compiled import similarity as one_product
from varkit_kernels.similarity_ranking.sides import check_group, make_sides

BASELINES = ("eager", "one_product", "keep_index")
"""``eager`` goes expert by expert, as most people write it; ``one_product`` multiplies once;
``keep_index`` is expert by expert with the loss as MMT and CE run it (:func:`keep_index_loss`)."""

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5, torch.float16: 2e-2, torch.bfloat16: 3e-2}
"""The error, relative in norm, above which a backend counts as wrong; see :func:`_allowed`."""

CHECKED = 256
"""Pairs that correctness is checked on, at most; float64 is slow."""


@dataclass(frozen=True)
class Inputs:
    """Pairs with a shared mean, as features have, which need gradients."""

    video: list[Tensor]
    query: list[Tensor]
    weights: list[Tensor]

    @property
    def leaves(self) -> list[Tensor]:
        """All tensors."""
        return [*self.video, *self.query, *self.weights]

    def to(self, dtype: torch.dtype) -> Inputs:
        """Return the same numbers in another dtype."""
        parts = (self.video, self.query, self.weights)
        return Inputs(*([x.detach().to(dtype).requires_grad_() for x in part] for part in parts))


def make_inputs(
    pairs: int, experts: int, width: int, dtype: torch.dtype, device: torch.device, seed: int = 0
) -> Inputs:
    """Draw both alignments of a batch."""
    generator = torch.Generator(device).manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    mean = draw(experts, width)

    def vectors() -> list[Tensor]:
        return [(draw(pairs, experts, width) + mean).to(dtype).requires_grad_() for _ in range(2)]

    weights = [draw(pairs, experts).softmax(1).to(dtype).requires_grad_() for _ in range(2)]
    return Inputs(vectors(), vectors(), weights)


def loss_of(name: str, dtype: torch.dtype, margin: float) -> Callable[[Inputs], Tensor]:
    """Return the loss as a backend or a baseline computes it."""
    if name not in ("one_product", "keep_index"):
        return lambda x: ranking_loss(
            x.video,
            x.query,
            x.weights,
            alpha=(0.5, 0.5),
            margin=margin,
            dtype=dtype,
            backend=name,
        )

    def loss(x: Inputs) -> Tensor:
        left, right = make_sides(x.video, x.query, x.weights, (0.5, 0.5), paired=True)
        if name == "keep_index":
            return keep_index_loss(eager.similarity(left, right, dtype), margin)
        group = check_group(None, len(left), x.video[0].device)
        similarity = one_product(left, right, dtype)
        return eager.ranking_loss(similarity, margin=margin, group=group, reduction="paper")

    return loss


def keep_index_loss(similarity: Tensor, margin: float) -> Tensor:
    """Return the () loss, over B, in the way of MMT's and CE's training code.

    Scores of both directions become one long column, a list of those off the diagonal is made on
    the CPU at every step, and what it names is copied out before the hinge.
    """
    count = len(similarity)
    positive = similarity.diagonal().unsqueeze(1).expand(count, count).reshape(-1, 1)
    positives = torch.cat([positive, positive])
    scores = torch.cat([similarity.reshape(-1, 1), similarity.T.reshape(-1, 1)])
    off_diagonal = (torch.ones(count, count) - torch.eye(count)).reshape(-1, 1)
    kept = torch.cat([off_diagonal, off_diagonal]).flatten().nonzero().flatten()
    kept = kept.to(similarity.device)
    hinges = (margin - positives.index_select(0, kept) + scores.index_select(0, kept)).relu()
    return hinges.sum() / max(count, 1)


def bench(
    pairs: Sequence[int] = (64, 1024, 4096),
    *,
    backends: Sequence[str] | None = None,
    dtype: torch.dtype = torch.float32,
    experts: int = 2,
    width: int = 768,
    margin: float = 0.05,
    device: str | torch.device | None = None,
    seconds: float = 2.0,
    report: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Measure backends and baselines side by side.

    Args:
        pairs: batch sizes B.
        backends: of :data:`BACKENDS` and :data:`BASELINES`; None = all that can run.
        dtype: in which products are computed. Vectors are float32 on the CPU, and of this dtype
            elsewhere.
        experts: E, in each of two alignments.
        width: D.
        margin: Delta; it decides how many pairs violate.
        device: where; None = a GPU if there is one.
        seconds: measuring time a figure, roughly.
        report: gets each result as it is known.

    Returns:
        ``machine``, ``settings``, ``ceiling_tflops``, ``refused`` (backend -> why it cannot run),
        and ``results``: for each B and backend, ``error`` (of the loss and of the gradients,
        against float64), ``correct``, and if so ``forward``, ``backward`` and ``both``, each with
        ``median_ms``, ``p20_ms``, ``p80_ms``, ``tflops`` and ``percent_of_ceiling``; ``speedup``
        over eager, and ``peak_extra_mib``: what forward and backward need on top of the inputs,
        their gradients included.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    place = torch.device(device)
    given = torch.float32 if place.type == "cpu" else dtype
    sample = make_sides(*(make_inputs(1, 1, 1, given, place).video,) * 2, None, None, paired=True)[
        0
    ]
    refused = refusals(sample, dtype)
    names = [*BASELINES, *(b for b in BACKENDS if b not in BASELINES and b not in refused)]
    if backends is not None:
        names = list(backends)
    ceiling = matrix_product_ceiling(dtype, place, seconds)
    results = []
    for count in pairs:
        eager_ms = None
        for name in names:
            function = loss_of(name, dtype, margin)
            checked = make_inputs(min(count, CHECKED), experts, width, given, place)
            result: dict[str, Any] = {
                "pairs": count,
                "backend": name,
                "error": _errors(function, checked, margin),
            }
            allowed = _allowed(dtype, checked, margin)
            result["correct"] = all(e <= allowed for e in result["error"].values())
            if result["correct"]:
                inputs = make_inputs(count, experts, width, given, place)
                unit = 2 * count**2 * 2 * experts * width
                for phase, units in (("forward", 1), ("backward", 2), ("both", 3)):
                    times = _times(function, inputs, phase, seconds)
                    result[phase] = figures(times, units * unit, ceiling)
                extra = peak_extra(partial(_both, function, inputs), place)
                result["peak_extra_mib"] = None if extra is None else extra / 2**20
                median = result["both"]["median_ms"]
                eager_ms = median if name == "eager" else eager_ms
                result["speedup"] = None if eager_ms is None else eager_ms / median
            results.append(result)
            if report is not None:
                report(result)
    return {
        "machine": _machine(place),
        "settings": {
            "dtype": _name(dtype),
            "vectors": _name(given),
            "experts": experts,
            "alignments": 2,
            "width": width,
            "margin": margin,
            "seconds": seconds,
        },
        "ceiling_tflops": ceiling,
        "refused": refused,
        "results": results,
    }


def _errors(
    function: Callable[[Inputs], Tensor], inputs: Inputs, margin: float
) -> dict[str, float]:
    """Return the errors of the loss and of the gradients, relative in norm, against float64."""
    exact = inputs.to(torch.float64)
    expected = loss_of("eager", torch.float64, margin)(exact)
    loss = function(inputs)
    right = torch.autograd.grad(expected, exact.leaves)
    found = torch.autograd.grad(loss, inputs.leaves)
    size = torch.stack([e.norm() for e in right]).norm()
    errors = [g.double() - e for g, e in zip(found, right, strict=True)]
    wrong = torch.stack([e.norm() for e in errors]).norm()
    return {
        "loss": abs(loss.item() - expected.item()) / max(abs(expected.item()), 1e-30),
        "gradients": (wrong / size.clamp(min=1e-30)).item(),
    }


def _allowed(dtype: torch.dtype, inputs: Inputs, margin: float) -> float:
    """Return the largest error that counts as right.

    In half precision a score can fall on the other side of the margin, whoever multiplies; how
    often depends on the batch. So there a backend may be half as wrong again as eager is.
    """
    if dtype.itemsize > 2:
        return TOLERANCE[dtype]
    eager = _errors(loss_of("eager", dtype, margin), inputs, margin)
    return max(TOLERANCE[dtype], 1.5 * max(eager.values()))


def _times(
    function: Callable[[Inputs], Tensor], inputs: Inputs, phase: str, seconds: float
) -> list[float]:
    """Return the seconds of repeats of one phase."""
    leaves, device = inputs.leaves, inputs.leaves[0].device
    if phase == "forward":
        return repeat(lambda: function(inputs), device, seconds)
    if phase == "backward":
        return repeat(
            lambda loss: torch.autograd.grad(loss, leaves),
            device,
            seconds,
            lambda: (function(inputs),),
        )
    return repeat(partial(_both, function, inputs), device, seconds)


def _both(function: Callable[[Inputs], Tensor], inputs: Inputs) -> None:
    torch.autograd.grad(function(inputs), inputs.leaves)


def _machine(device: torch.device) -> dict[str, Any]:
    cuda = device.type == "cuda"
    try:
        import triton

        version = triton.__version__
    except ImportError:
        version = None
    return {
        "device": torch.cuda.get_device_name(device) if cuda else platform.processor() or "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "triton": version,
        "python": platform.python_version(),
    }


def line(result: dict[str, Any]) -> str:
    """Return a result as one line of a table."""
    start = f"{result['pairs']:6}  {result['backend']:12}"
    if not result["correct"]:
        return f"{start}  WRONG, so not timed: {result['error']}"
    times = "  ".join(
        f"{phase} {result[phase]['median_ms']:9.3f} ms" for phase in ("forward", "backward", "both")
    )
    both, speedup, extra = result["both"], result["speedup"], result["peak_extra_mib"]
    return (
        f"{start}  {times} [{both['p20_ms']:.3f}, {both['p80_ms']:.3f}]  "
        f"{both['tflops']:7.3f} TFLOP/s  {both['percent_of_ceiling']:5.1f} %  "
        + ("" if extra is None else f"{extra:8.1f} MiB  ")
        + ("" if speedup is None else f"{speedup:5.2f}x")
    )


def main() -> None:
    """Measure what the options say and print it."""
    parser = argparse.ArgumentParser(prog="python -m varkit_kernels.bench", description=__doc__)
    parser.add_argument("--pairs", type=int, nargs="+", default=[64, 1024, 4096])
    parser.add_argument("--backends", nargs="+", choices=sorted({*BACKENDS, *BASELINES}))
    names = {_name(dtype): dtype for dtype in TOLERANCE}
    parser.add_argument("--dtype", choices=list(names), default="float32")
    parser.add_argument("--experts", type=int, default=2)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--margin", type=float, default=0.05)
    parser.add_argument("--device")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", action="store_true")
    options = vars(parser.parse_args())
    threads, as_json = options.pop("threads"), options.pop("json")
    if threads is not None:
        torch.set_num_threads(threads)
    options["dtype"] = names[options["dtype"]]
    found = bench(**options, report=None if as_json else lambda r: _write(line(r)))
    _write(
        json.dumps(found, indent=2) if as_json else f"ceiling {found['ceiling_tflops']:.3f} TFLOP/s"
    )


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


if __name__ == "__main__":
    main()
