import torch
from varkit_every_other import EveryOther

from varkit.interfaces import Draws
from varkit.testing import check


def test_it_keeps_every_promise_of_a_sampler():
    check("sampler", EveryOther, {"count": 4})


def test_it_takes_every_second_clip():
    mask = torch.tensor([[True] * 9, [True] * 3 + [False] * 6])
    picks = EveryOther(count=4)(None, mask, Draws(0, ("long", "short")), training=False)
    assert picks.tolist() == [[0, 2, 4, 6], [0, 2, 2, 2]]
