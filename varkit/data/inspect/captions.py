"""Words of captions: lengths, vocabulary, and captions that are nearly the same."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Iterator, Sequence

NEAR = 0.8
"""Two captions are near duplicates if they share at least this part of their words."""
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
    """Return whether a caption has Han characters, so that spaces do not separate its words."""
    return re.search(f"[{HAN}]", caption) is not None


def caption_length(caption: str) -> int:
    """Return the number of words, or of a Chinese caption's characters without the final stop."""
    if is_chinese(caption):
        return len("".join(caption.split()).removesuffix("。"))
    return len(caption.split())


def vocabulary(captions: Sequence[str]) -> set[str]:
    """Return all distinct words in lower case; of Chinese captions, all characters."""
    distinct: set[str] = set()
    for caption in captions:
        if is_chinese(caption):
            distinct.update(words(caption))
        else:
            distinct.update(word.strip(string.punctuation) for word in caption.lower().split())
    return distinct - {""}


def near_duplicates(captions: Sequence[str], share: float = NEAR) -> Iterator[tuple[int, int]]:
    """Find the pairs of captions that share most of their words, in any order.

    The measure is the Dice coefficient of the sets of words x and y, 2 |x & y| / (|x| + |y|). Not
    every pair is compared, since similar sets have one of their rarest words in common (prefix
    filtering, Chaudhuri et al., ICDE 2006).

    Args:
        captions: any number.
        share: the smallest coefficient, above 0.

    Yields:
        Pairs of positions (i, j), i < j, by j and then by i.
    """
    sets = [frozenset(words(caption)) for caption in captions]
    frequency = Counter(word for own in sets for word in own)
    by_word: dict[str, list[int]] = {}
    for j, own in enumerate(sets):
        rarest = sorted(own, key=lambda word: (frequency[word], word))
        # The fewest words shared with a partner: all of the smallest possible one. 1e-9 allows
        # for rounding.
        least = math.ceil(share / (2 - share) * len(own) - 1e-9)
        candidates: set[int] = set()
        for word in rarest[: len(own) - least + 1]:
            candidates.update(by_word.get(word, ()))
            by_word.setdefault(word, []).append(j)
        for i in sorted(candidates):
            shared = 2 * len(own & sets[i])
            if shared >= share * (len(own) + len(sets[i])) - 1e-9:
                yield i, j
