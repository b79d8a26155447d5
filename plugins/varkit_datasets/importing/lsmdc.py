"""LSMDC (Rohrbach et al., 2017): lines of cells between tabs, without a heading.

A line is CLIP, START and END as aligned by hand, START and END of the extracted clip, SENTENCE.
Times are ``hh.mm.ss.mmm``. Quotation marks are letters: they do not close. A clip may have several
lines. Lines of the blind test have no sentence; a sentence may hold tabs.
"""

from __future__ import annotations

import re
from pathlib import Path

from varkit_datasets.importing.captions import Captions, split_of
from varkit_datasets.text_lists import read_lines

CELLS = 5
"""Before the sentence."""
_TIME = re.compile(r"(\d\d)\.(\d\d)\.(\d\d)\.(\d{3})")


def read(captions: Captions, path: Path, split: str | None) -> None:
    """Add the clips of one file; without ``split``, its name says it.

    Raises:
        DataError: the file cannot be read.
    """
    split = split_of(captions, path, split)
    for number, line in read_lines(path):
        where = f"{path.name}, line {number}"
        row = line.split("\t")
        if len(row) < CELLS:
            captions.findings.fault(
                f"{where} has {len(row)} cells between tabs; expected {CELLS}, and a sentence"
            )
            continue
        name, aligned_start, aligned_end, start, end, *words = (cell.strip() for cell in row)
        try:
            moment = (_seconds(aligned_start), _seconds(aligned_end))
            first, last = _seconds(start), _seconds(end)
        except ValueError as error:
            captions.findings.fault(f"{where}: {error}")
            continue
        sentence = " ".join(filter(None, words))
        if len(words) > 1 and sentence != words[0]:
            captions.findings.remark("tabs in sentences are read as spaces", where)
        seen = (round(moment[0] - first, 3), round(moment[1] - first, 3))
        captions.add(
            where,
            name,
            [sentence] if sentence else [],
            split=split,
            moments=[[seen]],
            duration=round(last - first, 3),
        )


def _seconds(text: str) -> float:
    """Return the seconds of ``hh.mm.ss.mmm``."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a time, as in '01.02.27.034'")
    hours, minutes, seconds, thousandths = map(int, match.groups())
    return 3600 * hours + 60 * minutes + seconds + thousandths / 1000
