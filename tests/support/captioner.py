"""A kind of component that varkit does not have: its row, protocol and check."""

from pathlib import Path
from typing import Protocol

from varkit.plugins.kinds import Kind
from varkit.testing.checks import expect, run
from varkit.testing.probes import pad_clips
from varkit.testing.stand_ins import make_clips


class Captioner(Protocol):
    language: str

    def __call__(self, clips): ...


ROW = Kind(
    name="captioner",
    plural="captioners",
    summary="a sentence on what a video shows",
    protocol=f"{__name__}:Captioner",
    supplied=("experts",),
    check=f"{__name__}:check_captioner",
    template=str(Path(__file__).with_name("captioner_template.py")),
)


def check_captioner(captioner, *, widths, subject="captioner"):
    checks = (captions_fit, padding_changes_nothing)
    return run(subject, captioner, checks, lambda: (captioner, make_clips(widths)))


def captions_fit(case):
    """There is one sentence a video."""
    captioner, clips = case
    expect(len(captioner(clips)) == len(clips), f"{captioner(clips)}")


def padding_changes_nothing(case):
    """Further padding changes no sentence."""
    captioner, clips = case
    before, after = captioner(clips), captioner(pad_clips(clips, 3))
    expect(before == after, f"{before} becomes {after}")
