"""The kit passes an honest space, and its check names every planted fault."""

import numpy as np
import pytest

from varkit.interfaces import Block, Channel, Reason, Track
from varkit.testing import ConformanceError, check
from varkit.testing.templates.space import MyPart

WORDS = {"words": Channel((Block("classes", 4, log=True),), frozenset({"text"}))}
TWO = dict.fromkeys(("words", "more"), WORDS["words"])


class Honest(MyPart):
    """The template, with a score that is a logarithm, and something that it keeps."""

    def __init__(self, streams, kept):
        super().__init__(streams, kept)
        self.channels = WORDS
        self.kept = dict(kept) or {"factor": np.full(1, np.pi, np.float32)}

    def encode_text(self, texts):
        return (super().encode_text(texts) + 0.1) * self.kept["factor"]


def changed(change):
    """Return a fault that changes the values of the honest tracks."""

    def tracks(self, streams):
        made = MyPart.tracks(self, streams)["words"]
        return {"words": {name: change(track) for name, track in made.items()}}

    return {"tracks": tracks}


def encoded(change):
    return {"encode_text": lambda self, texts: change(Honest.encode_text(self, texts))}


def in_place(track):
    track.values[0] = 0.5
    return track


FAULTS = {
    "channels_are_valid": [
        {"channels": property(lambda self: {}, lambda self, value: None)},
        {"channels": property(lambda self: TWO, lambda self, value: None)},
    ],
    "tracks_are_as_declared": [
        changed(lambda t: Track(t.values[:, :2], t.times)),
        changed(lambda t: Track(t.values.astype(float), t.times)),
        changed(lambda t: Track(t.values[:0], t.times[:0])),
        changed(lambda t: Track(t.values - 1, t.times)),
        changed(lambda t: Track(t.values, t.times[::-1])),
        {"tracks": lambda self, streams: {"others": {}}},
    ],
    "what_a_video_lacks_is_left_out": [
        {"tracks": lambda self, streams: {"words": {"classes": streams[self.stream]}}},
        {
            "tracks": lambda self, streams: {
                "words": {"classes": Track(np.ones((1, 4), np.float32), np.array([[0.0, 1.0]]))}
            }
        },
    ],
    "sentences_are_rows": [
        encoded(lambda rows: rows[:, :3]),
        encoded(lambda rows: rows.astype(float)),
        encoded(lambda rows: -rows),
        encoded(lambda rows: np.log(rows * 0)),
    ],
    "sentences_are_independent": [encoded(lambda rows: rows - rows.min() + len(rows))],
    "what_it_keeps_is_enough": [
        {"kept": property(lambda self: {"factor": self.f}, lambda self, value: count(self))},
        {"origin": property(lambda self: {"at": id(self)}, lambda self, value: None)},
    ],
    "origin_is_json": [
        {"origin": property(lambda self: {"at": (1, 2)}, lambda self, value: None)},
        {"origin": property(lambda self: {"at": {1}}, lambda self, value: None)},
    ],
    "reasons_name_blocks": [
        {"reasons": lambda self, *_: [Reason("nobody", "car", 0.5)]},
        {"reasons": lambda self, *_: [Reason("classes", "car", share) for share in (0.2, 0.3)]},
        {"reasons": lambda self, *_: [Reason("classes", "car", 2.0)]},
    ],
    "nothing_is_random": [
        changed(lambda t: Track(np.random.rand(*t.values.shape).astype(np.float32), t.times))
    ],
    "inputs_stay": [changed(in_place)],
}


def count(self, made=[0]):  # noqa: B006  # one for all instances
    """Give every instance another number."""
    made[0] += 1
    self.f = np.full(1, made[0], np.float32)


def test_an_honest_space_passes():
    assert {result.check for result in check("space", Honest)} == set(FAULTS)


@pytest.mark.parametrize(
    ("name", "members"), [(name, fault) for name, faults in FAULTS.items() for fault in faults]
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_a_planted_fault_is_named(name, members):
    with pytest.raises(ConformanceError) as caught:
        check("space", type("Faulty", (Honest,), members))
    assert name in {result.check for result in caught.value.results if result.fault}
