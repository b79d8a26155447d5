"""Captions as words: how long they are, how many there are, which nearly say the same."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Iterator, Sequence

NEAR = 0.8
"""Two captions nearly say the same if they share so much of their words."""
HAN = "\u3400-\u9fff"
_WORD = re.compile(rf"[{HAN}]|[^\W{HAN}]+")


def words(caption: str) -> list[str]:
    """Return a caption's words in lower case, without punctuation; a Han character is a word.

    >>> words("A man, in red,  ran away.")
    ['a', 'man', 'in', 'red', 'ran', 'away']
    >>> words("一名男子。")
    ['一', '名', '男', '子']
    """
    return _WORD.findall(caption.casefold())


def is_chinese(caption: str) -> bool:
    """Return whether a caption has Han characters, so that spaces do not part its words."""
    return re.search(f"[{HAN}]", caption) is not None


def caption_length(caption: str) -> int:
    """Return a caption's whitespace words, of a Chinese one its characters but the final stop."""
    if is_chinese(caption):
        return len("".join(caption.split()).removesuffix("。"))
    return len(caption.split())


def vocabulary(captions: Sequence[str]) -> set[str]:
    """Return the different words in lower case, of Chinese captions the characters."""
    found: set[str] = set()
    for caption in captions:
        if is_chinese(caption):
            found.update(words(caption))
        else:
            found.update(word.strip(string.punctuation) for word in caption.lower().split())
    return found - {""}


def near_duplicates(captions: Sequence[str], share: float = NEAR) -> Iterator[tuple[int, int]]:
    """Find the pairs of captions that share most of their words, whatever the words' order.

    What two captions share is the Dice coefficient of their sets of words x and y,
    2 |x & y| / (|x| + |y|). Not every pair is looked at: two sets that share enough have one of
    their rarest words in common (prefix filtering, Chaudhuri et al., ICDE 2006).

    Args:
        captions: any number.
        share: the least coefficient, above 0.

    Yields:
        Pairs of positions (i, j), i < j, by j and then by i.
    """
    sets = [frozenset(words(caption)) for caption in captions]
    frequency = Counter(word for found in sets for word in found)
    by_word: dict[str, list[int]] = {}
    for j, found in enumerate(sets):
        rarest = sorted(found, key=lambda word: (frequency[word], word))
        # A partner of the least size, all of it shared, shares this many; less the rounding.
        least = math.ceil(share / (2 - share) * len(found) - 1e-9)
        candidates: set[int] = set()
        for word in rarest[: len(found) - least + 1]:
            candidates.update(by_word.get(word, ()))
            by_word.setdefault(word, []).append(j)
        for i in sorted(candidates):
            shared = 2 * len(found & sets[i])
            if shared >= share * (len(found) + len(sets[i])) - 1e-9:
                yield i, j
