"""Sentences about everyday life, which find nothing in particular.

How well they match says what a good match is. None is about anything that
:data:`varkit.search.concepts.CONCEPTS` names.
"""

from __future__ import annotations

_PEOPLE = (
    "a woman, an old man, two children, a teacher, the neighbour, a student, a young couple, "
    "my grandmother, a girl, some friends"
)
_ANIMALS = (
    "a cat, a brown horse, a cow, a flock of sheep, a rabbit, a duck, a squirrel, a goat, "
    "a big turtle, an elephant"
)
_VEHICLES = (
    "a train, a yellow bus, a tram, a ferry, a bicycle, a tractor, a taxi, a delivery van, "
    "a sailing boat, a small plane"
)
_HEARD = (
    "a guitar, a piano, a church bell, a radio, a choir, a violin, an alarm clock, a flute, "
    "a songbird, light rain"
)
_TOPICS = (
    (
        _PEOPLE,
        "reading a letter at the kitchen table, watering the plants, folding a clean shirt, "
        "peeling an orange, cooking soup, painting a wooden chair, sleeping on the sofa, "
        "washing the dishes",
    ),
    (
        _PEOPLE,
        "playing tennis in the park, swimming in a lake, buying bread at the market, "
        "waiting for the bus, typing on a computer in an office, dancing at a wedding, "
        "climbing a hill in the snow, taking photographs of a bridge",
    ),
    (
        _ANIMALS,
        "eating grass in a field, drinking from a river, lying in the sun, walking through the "
        "forest, looking at the camera, standing behind a fence, crossing a stream, "
        "resting under a tree",
    ),
    (
        _VEHICLES,
        "passing by slowly, standing still in the morning, painted green, being washed, "
        "carrying passengers, in front of the mountains, turning around, leaving on time",
    ),
    (
        _HEARD,
        "in the next room, heard from far away, in the evening, very quiet, in an empty hall, "
        "near an open window, on a summer morning, for a few minutes",
    ),
)

NULL_SENTENCES = tuple(
    f"{who} {what}"
    for subjects, predicates in _TOPICS
    for who in subjects.split(", ")
    for what in predicates.split(", ")
)
"""400 of them."""
