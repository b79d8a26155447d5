"""A simulated benchmark: videos drawn from a small world, their captions or sounds, the truth.

What there is: :mod:`.events`, :mod:`.crimes`, :mod:`.daily` and :mod:`.world` (what can happen),
:mod:`.timeline` (how long, and when), :mod:`.wishes`, :mod:`.captions` and :mod:`.stories` (what is
said of it), and :mod:`.population`, which puts a benchmark's videos together; :mod:`.driven` does
so from captions that are there.

How it is shown: :mod:`.parts` (what every clip shows), :mod:`.signals` and :mod:`.looks` (how that
looks in features), :mod:`.layouts`, :mod:`.ground_truth` and :mod:`.generate` (files).
"""
