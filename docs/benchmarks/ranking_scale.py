"""Time and memory of ranking at scale: ``python docs/benchmarks/ranking_scale.py``.

Ranks as many random queries as videos, each pair a little more alike than chance, from their
factor vectors. Prints the seconds of the ranking alone and the largest resident memory that the
process ever had, torch and the vectors themselves included.
"""

from __future__ import annotations

import argparse
import resource
import time

import torch

from varkit.data.positives import Positives
from varkit.evaluation.metrics import summarize
from varkit.evaluation.rank import ranks_from_factors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=100_000, help="V = Q")
    parser.add_argument("--width", type=int, default=256, help="K, the length of a factor vector")
    parser.add_argument("--chunk", type=int, help="rows compared at once; default: varkit's")
    options = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    video = torch.randn(options.pairs, options.width, generator=generator)
    query = torch.randn(options.pairs, options.width, generator=generator).add_(video, alpha=0.2)
    positives = Positives.own(torch.arange(options.pairs))
    chunk = {} if options.chunk is None else {"chunk": options.chunk}
    began = time.perf_counter()
    ranks = ranks_from_factors(video, query, positives, **chunk)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report = summarize(ranks)
    print(
        f"{options.pairs} x {options.pairs} scores, K = {options.width}: {seconds:.1f} s on "
        f"{torch.get_num_threads()} threads, peak memory of the process {peak:.0f} MiB "
        f"(SumR {report['SumR']:.1f}, n = {report['query_to_video']['n']})"
    )


if __name__ == "__main__":
    main()
