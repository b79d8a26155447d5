"""Small simulated worlds, and what a clip of them shows, told without the code that shows it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from varkit_simulator.features import ALWAYS
from varkit_simulator.population import Plan, draw_population

SMALL = {"size": "small", "videos": 24, "median_clips": 12, "longest": 60, "width": 8}


def population(task="text", videos=24, **changes):
    plan = Plan(task=task, videos=videos, test=0.2, median_clips=12, longest=60, others=2, seed=0)
    return draw_population(replace(plan, **changes))


def factors_at(video, clip):
    """(factor, value) of all that a clip shows fully; None where an event fades in or out."""
    shown = []
    for number, happening in enumerate(video.happenings):
        during = any(start <= clip < end for start, end in happening.segments)
        if not during and any(start - 2 <= clip < end + 2 for start, end in happening.segments):
            return None
        half = sum(happening.segments[-1]) // 2
        for factor, value in happening.scenario.factors().items():
            late = factor != "outcome" or clip >= half
            if number == 0 if factor in ALWAYS else during and late:
                shown.append((factor, value))
    return shown


def possible_lags(seen, heard):
    """By how many clips, of 0 to 4, a sound's changes may follow those of the picture."""
    changes = [
        set(np.flatnonzero(np.abs(np.diff(clips, axis=0)).sum(1) > 1e-3)) for clips in (seen, heard)
    ]
    return {lag for lag in range(5) if changes[1] <= {clip + lag for clip in changes[0]}}
