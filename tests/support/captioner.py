"""A kind of component that varkit does not have: its row, protocol and check."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from varkit.interfaces import Clips
from varkit.plugins.kinds import Kind
from varkit.testing.checks import expect, run
from varkit.testing.probes import pad_clips
from varkit.testing.stand_ins import make_clips


class Captioner(Protocol):
    language: str

    def __call__(self, clips: Clips) -> tuple[str, ...]: ...


ROW = Kind(
    name="captioner",
    plural="captioners",
    summary="a sentence on what a video shows",
    protocol=f"{__name__}:Captioner",
    supplied=("experts",),
    check=f"{__name__}:check_captioner",
    template=str(Path(__file__).with_name("captioner_template.py")),
)


@dataclass(frozen=True)
class Case:
    captioner: Captioner
    clips: Clips


def check_captioner(captioner, *, widths, subject="captioner"):
    return run(
        subject, (captions_fit, padding_changes_nothing), Case(captioner, make_clips(widths))
    )


def captions_fit(case):
    """There is one sentence a video."""
    captions = case.captioner(case.clips)
    expect(len(captions) == len(case.clips) and all(captions), f"{captions}")


def padding_changes_nothing(case):
    """Further padding changes no sentence."""
    before, after = case.captioner(case.clips), case.captioner(pad_clips(case.clips, 3))
    expect(before == after, f"{before} becomes {after}")
