"""Colours that a caption and its translation name differently."""

from __future__ import annotations

import re
from collections.abc import Mapping

ENGLISH = {
    "black": "black",
    "blacks": "black",
    "blue": "blue",
    "brown": "brown",
    "gray": "grey",
    "green": "green",
    "grey": "grey",
    "orange": "orange",
    "pink": "pink",
    "purple": "purple",
    "red": "red",
    "silver": "silver",
    "white": "white",
    "yellow": "yellow",
}
CHINESE = {
    "黑": "black",
    "蓝": "blue",
    "棕": "brown",
    "褐": "brown",
    "灰": "grey",
    "绿": "green",
    "橙": "orange",
    "橘": "orange",
    "粉": "pink",
    "紫": "purple",
    "红": "red",
    "银": "silver",
    "白": "white",
    "黄": "yellow",
}
NO_COLOURS = ("白天", "收银", "银行", "红绿灯")
"""Day, cash desk, bank and traffic light: their characters do not mean colours there."""

_NO_COLOURS, _WORD = re.compile("|".join(NO_COLOURS)), re.compile("[a-z]+")


def colour_disagreements(
    captions: Mapping[str, tuple[str, str]],
) -> tuple[int, dict[str, tuple[frozenset[str], frozenset[str]]]]:
    """Compare the colours of captions and their translations; nothing is corrected.

    A colour in only one of the two is usually an omission in the other, not an error. Colours that
    have nothing in common are an error.

    Args:
        captions: video -> English and Chinese caption.

    Returns:
        How many videos have a colour in either language; and video -> English and Chinese colours,
        where they differ.
    """
    coloured = 0
    different = {}
    for video, (english, chinese) in captions.items():
        words = _WORD.findall(english.casefold())
        first = frozenset(ENGLISH[word] for word in words if word in ENGLISH)
        plain = _NO_COLOURS.sub(" ", chinese)
        second = frozenset(CHINESE[sign] for sign in plain if sign in CHINESE)
        coloured += bool(first or second)
        if first != second:
            different[video] = first, second
    return coloured, different
