import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from varkit_baselines.mmt import MmtSimilarity, MultiModalTransformer

from tests.support import golden
from tests.support.alan import (
    LENGTHS,
    WIDTHS,
    expect_padding_and_batch_to_change_nothing,
    make_clips,
    random,
    shake,
)
from tests.support.baselines import with_missing
from tests.support.reference import expert_mixtures as reference
from tests.support.reference.alan_video import numpy_state
from varkit.errors import VarkitError
from varkit.interfaces import Representation
from varkit.testing.stand_ins import Drawn, Spread

EXPERTS = ("object", "motion")


def small(experts=EXPERTS, samplers=None, **options):
    torch.manual_seed(0)
    samplers = {"fixed": Spread(count=7)} if samplers is None else samplers
    options = {"layers": 2, "heads": 2, "feedforward": 8, "dropout": 0.0, **options}
    model = MultiModalTransformer(6, experts, WIDTHS, samplers, **options)
    return shake(model).double().eval()


def timed(clips, seconds=4.0):
    """The clips with times: each lasts so long, and begins where the last one ends."""
    starts = seconds * torch.arange(clips.mask.shape[1], dtype=torch.float32)
    times = torch.stack([starts, starts + seconds], dim=-1).expand(len(clips), -1, -1)
    return replace(clips, times=times * clips.mask.unsqueeze(-1))


def expected(model, clips, picks, *, window=1.0, heads=2, layers=2, **_):
    sizes = {"window": window, "heads": heads, "layers": layers}
    out = []
    for b, length in enumerate(LENGTHS):
        streams = [clips.streams[name][b, :length].numpy() for name in model.experts]
        times = clips.times[b, :length].double().numpy()
        chosen = [rows[b].tolist() for rows in picks.values()]
        state = numpy_state(model)
        out.append(reference.multi_modal_transformer(streams, times, chosen, state, **sizes))
    return torch.from_numpy(np.stack(out))


@pytest.mark.parametrize("no_grad", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"window": 0.5},
        {"window": "duration"},
        {"window": "duration", "positions": 6},
        {"layers": 1, "heads": 3},
        {"experts": ("motion",)},
        {"samplers": {"fixed": Spread(count=3), "drawn": Drawn(count=4)}},
    ],
    ids=lambda options: ", ".join(options),
)
def test_videos_equal_the_reference(options, no_grad):
    model = small(**options)
    clips = with_missing(timed(make_clips(garbage=math.nan, extra=2)))
    with torch.set_grad_enabled(not no_grad):
        found = model(clips)
    right = expected(model, clips, found.picks, **options)
    torch.testing.assert_close(found.vectors["cls"], right, rtol=1e-8, atol=1e-10)


def positions_of(times, **options):
    """The positions of a video's clips, given when each begins and ends."""
    clips = make_clips((len(times),))
    clips = replace(clips, times=torch.tensor([times], dtype=torch.float32))
    return small(**options)._positions(clips)[0].tolist()


def test_positions_stand_for_seconds_and_stop_at_the_last():
    times = [(0.0, 0.5), (0.5, 1.5), (1.0, 2.98), (28.0, 28.9), (28.5, 29.5), (600.0, 601.0)]
    assert positions_of(times) == [2, 3, 3, 30, 31, 31]
    assert positions_of(times, window=2.0) == [2, 2, 2, 16, 16, 31]
    assert positions_of(times, positions=8) == [2, 3, 3, 7, 7, 7]


def test_positions_can_stand_for_shares_of_the_duration():
    times = [(290.0 * i, 290.0 * (i + 1)) for i in range(29)]
    assert positions_of(times, window="duration") == list(range(2, 31))
    assert positions_of([(0.0, 0.0)], window="duration") == [2]
    # The padding has no share in the duration.
    clips = timed(make_clips((3, 30)))
    found = small(window="duration")._positions(clips)[0, :3].tolist()
    assert found == [2 + int(29 * share) for share in (1 / 6, 3 / 6, 5 / 6)]


def test_a_repeated_clip_counts_once():
    clips = timed(make_clips())
    whole = small(samplers={"fixed": Spread(count=17)})(clips)
    more = small(samplers={"fixed": Spread(count=68)})(clips)
    torch.testing.assert_close(more.vectors["cls"], whole.vectors["cls"], rtol=1e-9, atol=1e-12)


def test_the_greatest_value_is_of_all_clips_and_not_of_those_sampled():
    clips = timed(make_clips())
    model = small(samplers={"fixed": Spread(count=2)})
    before = model(clips)
    assert before.picks["fixed"][2].tolist() == [0, 8]
    streams = {name: x.clone() for name, x in clips.streams.items()}
    # Neither 5 nor 6 is sampled: one takes over all the greatest values, the other has none.
    streams["motion"][2, 6] = streams["motion"][2, :17].amax(dim=0)
    streams["motion"][2, 5] -= 100
    same = model(replace(clips, streams=streams)).vectors["cls"]
    torch.testing.assert_close(same, before.vectors["cls"])
    streams["motion"][2, 6] += 1
    other = model(replace(clips, streams=streams)).vectors["cls"]
    assert not torch.allclose(other[2], before.vectors["cls"][2], atol=1e-4)


def test_nobody_looks_at_a_missing_expert():
    clips = with_missing(timed(make_clips()))
    model = small()
    found = model(clips)
    assert found.weights["cls"].tolist() == [[0.5, 0.5], [0.5, 0.5], [0.0, 1.0], [0.5, 0.5]]
    with torch.no_grad():
        model.project[0].bias += 1  # what stands in for it is another
    moved = model(clips).vectors["cls"][2]
    torch.testing.assert_close(moved[1], found.vectors["cls"][2, 1], rtol=1e-9, atol=1e-12)
    assert not torch.allclose(moved[0], found.vectors["cls"][2, 0], atol=1e-4)


def test_padding_and_batch_change_nothing():
    model = small(window="duration", samplers={"fixed": Spread(count=7), "drawn": Drawn(count=4)})
    expect_padding_and_batch_to_change_nothing(
        model, lambda **options: timed(make_clips(**options))
    )


def test_weights_start_as_in_bert():
    torch.manual_seed(0)
    model = MultiModalTransformer(96, EXPERTS, WIDTHS, {"fixed": Spread()})
    drawn = [model.position, model.kind]
    for layer in model.layers:
        drawn += [layer.attention.in_proj_weight, layer.attention.out_proj.weight]
        drawn += [layer.inner.weight, layer.outer.weight]
        for name, bias in layer.named_parameters():
            assert not name.endswith("bias") or not bias.any()
    for weight in drawn:
        assert weight.std().item() == pytest.approx(0.02, abs=0.003)
        assert weight.mean().item() == pytest.approx(0, abs=0.005)


def test_what_cannot_be_built_is_said():
    with pytest.raises(VarkitError, match="heads=4 does not divide"):
        small(heads=4)


def similarity():
    torch.manual_seed(0)
    return shake(MmtSimilarity(6, EXPERTS)).double().eval()


def sentences():
    return Representation(
        tokens={"sentence": random(3, 1, 6, seed=4)},
        masks={"sentence": torch.ones(3, 1, dtype=torch.bool)},
    )


def test_dropout_of_the_whole_query_touches_the_weights_alone():
    model = similarity()
    still = model.factors(sentences(), "query").unflatten(1, (2, 6))
    for gate in model.gates:
        gate.norm.eval()
    model.dropout.train()
    torch.manual_seed(1)
    moved = model.factors(sentences(), "query").unflatten(1, (2, 6))
    assert not torch.allclose(moved.norm(dim=2), still.norm(dim=2))
    unit = torch.nn.functional.normalize
    torch.testing.assert_close(unit(moved, dim=2), unit(still, dim=2))


def golden_outputs(parts):
    model, align = parts
    video = model(with_missing(timed(make_clips())))
    return {"vectors": video.vectors["cls"], "similarity": align.similarity(video, sentences())}


def test_values_stay():
    golden.check("mmt", torch.nn.ModuleList([small(), similarity()]), golden_outputs)
