"""The hash of what a data set asks: of the test split's queries, and of nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.toys import Toy
from varkit.data.in_memory import hash_questions


@pytest.mark.parametrize("query", ["text", "audio"])
def test_questions_are_the_test_videos_and_what_is_asked_of_them(query):
    def asked(of="test", **changes):
        toy = Toy(query=query)
        items = {name: toy.split(name) for name in ("train", "test")}
        first, *rest = items[of]
        items[of] = [*rest, replace(first, **changes)]
        toy.split = items.__getitem__
        return hash_questions(toy)

    same = hash_questions(Toy(query=query))
    assert asked() == asked(label=None) == asked("train", video="w") == same, "in any order"
    for change in ({"video": "w"}, {"queries": ("v12#0",)}, {"queries": ("v12#0", "v12#2")}):
        assert asked(**change) != same


def test_questions_are_captions_to_the_letter():
    toy, seen = Toy(), set()
    for caption in ("a man", "A man", "a man."):
        toy.query = lambda query, caption=caption: caption
        seen.add(hash_questions(toy))
    assert len(seen) == 3
