"""A study of a few numbers, and a look at what the command line makes of it."""

from pathlib import Path

from tests.support.calls import call, printed
from tests.support.tiny_runs import make_data

STUDY = """\
version: 1
title: A <b>tiny</b> study
table: Table IV of ALAN (arXiv 2307.12545)
recipe: data/tiny.yaml
overrides: {train.seeds: [0, 1], train.epochs: 1}
rows:
  fixed: {label: FS, overrides: {samplers: {anomaly: null}}}
  both: {label: FS + AS, published: {A2V: [29.8, 68, 82], V2A: [32.3, 70, 82.3]}, x: 0.5}
  cls:
    label: =<script>alert(1)</script>|
    of: both
    measure: {alignments: {cls: {weight: 1}, avg: {weight: 0}}}
    x: 1
  same: {label: same, of: both, measure: {alignments.cls.weight: 0.5}}
reference: both
show: [table, {use: sweep, axis: alpha}]
"""


def make_study(folder: Path, text: str = STUDY) -> Path:
    """Write data, a recipe and a study; return the study's file."""
    if not (folder / "data").exists():
        make_data(folder / "data")
    file = folder / "mini.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def study(file: Path, *arguments: object, out: Path | None = None):
    """Call ``varkit study``."""
    out = file.parent / "runs" if out is None else out
    return call("study", file, *arguments, "--out", out, "--resamples", 1000)


def plan(file: Path, *arguments: object, out: Path | None = None):
    """Return the plan's rows by name."""
    rows = printed(study(file, *arguments, "--plan", "--no-measure", "--json", out=out))["rows"]
    return {row["row"]: row for row in rows}
