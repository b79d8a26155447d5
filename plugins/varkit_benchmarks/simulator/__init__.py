"""A simulated benchmark: videos drawn from a small world, their captions or sounds, the truth.

Read :mod:`.events` and :mod:`.world` (what can happen), :mod:`.timeline` (how long, and when),
:mod:`.captions` (what is said of it), :mod:`.signals` (what the features show) and
:mod:`.generate` (what is written), in that order.
"""
