"""Which classes a benchmark's splits hold, as its own lists count them."""

from __future__ import annotations

from collections.abc import Mapping

NORMAL = "Normal"

UCF_CRIME: Mapping[str, tuple[int, int]] = {
    # class: videos in training, in test
    NORMAL: (800, 150),
    "Abuse": (48, 2),
    "Arrest": (45, 5),
    "Arson": (41, 9),
    "Assault": (47, 3),
    "Burglary": (87, 13),
    "Explosion": (29, 21),
    "Fighting": (45, 5),
    "RoadAccidents": (127, 23),
    "Robbery": (145, 5),
    "Shooting": (27, 23),
    "Shoplifting": (29, 21),
    "Stealing": (95, 5),
    "Vandalism": (45, 5),
}

XD_CLASSES: Mapping[str, str] = {
    "A": NORMAL,
    "B1": "Fighting",
    "B2": "Shooting",
    "B4": "Riot",
    "B5": "Abuse",
    "B6": "Car accident",
    "G": "Explosion",
}

XD_LABELS: Mapping[str, tuple[int, int]] = {
    # label in the file's name: videos in training, in test
    "A": (2049, 300),
    "B1-0-0": (376, 107),
    "B6-0-0": (375, 93),
    "B4-0-0": (374, 99),
    "G-0-0": (272, 85),
    "B2-0-0": (232, 62),
    "B5-0-0": (31, 7),
    "B1": (1, 0),
    "G": (1, 0),
    "B1-B2-0": (47, 11),
    "B2-G-0": (44, 8),
    "G-B2-0": (27, 5),
    "B2-B6-0": (25, 4),
    "B2-B1-0": (19, 6),
    "B6-B2-0": (9, 2),
    "G-B6-0": (9, 0),
    "B2-G-B6": (5, 0),
    "B6-G-0": (5, 1),
    "B2-B5-0": (4, 2),
    "B1-B2-B6": (4, 1),
    "B1-B5-0": (4, 0),
    "B1-B2-G": (3, 0),
    "G-B2-B1": (3, 0),
    "B1-G-0": (3, 0),
    "B2-B6-G": (2, 2),
    "B4-B1-0": (2, 0),
    "B4-B2-B1": (2, 0),
    "B5-B2-0": (2, 0),
    "B6-B2-G": (2, 0),
    "B2-B6-B1": (2, 0),
    "B1-B6-0": (2, 1),
    "B1-B4-0": (2, 0),
    "B1-B2-B5": (2, 0),
    "B5-B1-B2": (2, 0),
    "B6-G-B2": (1, 0),
    "B5-B1-0": (1, 0),
    "B4-B1-G": (1, 0),
    "B2-B5-G": (1, 0),
    "G-B2-B6": (1, 1),
    "B6-B4-0": (1, 0),
    "G-B1-0": (1, 0),
    "B1-B5-B6": (1, 0),
    "B2-B1-B5": (1, 0),
    "B2-G-B1": (1, 0),
    "B4-B2-0": (1, 0),
    "B4-B5-B1": (1, 0),
    "B4-G-0": (0, 1),
    "B5-B6-0": (0, 1),
    "B4-B5-0": (0, 1),
}


def classes_of(label: str) -> tuple[str, ...]:
    """Return the classes of a label in its order; ``0`` is padding.

    >>> classes_of("G-B2-0")
    ('Explosion', 'Shooting')
    """
    return tuple(XD_CLASSES[part] for part in label.split("-") if part != "0")
