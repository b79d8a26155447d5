"""VATEX (Wang et al., ICCV 2019): a list of clips with ten captions in each of two languages.

A clip is called by its film's identifier on YouTube, which may hold ``-`` and ``_``, and by its
first and last second: ``Ptf_2VRj-V0_000122_000132``. The public test file has English alone, the
private one names clips without captions: both are candidates of the test split.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from varkit.system.inputs import reading
from varkit_datasets import cells
from varkit_datasets.importing.captions import Captions, expect, read_json, split_of

Language = Literal["en", "zh", "both"]
KEYS = {"en": ("enCap",), "zh": ("chCap",), "both": ("enCap", "chCap")}
_CLIP = re.compile(r".+_(\d{6})_(\d{6})")


def read(captions: Captions, path: Path, split: str | None, *, language: Language = "en") -> None:
    """Add the videos of one file; without ``split``, its name says it.

    Raises:
        DataError: the file cannot be read, or has another layout.
    """
    split = split_of(captions, path, split)
    content = read_json(path)
    with reading(path):
        clips = expect(content, list, "the file")
    for number, clip in enumerate(clips, 1):
        where = f"{path.name}, item {number}"
        try:
            name = expect(expect(clip, dict, "a clip").get("videoID"), str, "'videoID'")
            where = f"{path.name}, clip {name!r}"
            times = _CLIP.fullmatch(name)
            if times is None:
                raise ValueError("'videoID' must end with two times, as in 'ID_000122_000132'")
            texts = [
                t for key in KEYS[language] for t in expect(clip.get(key, []), list, repr(key))
            ]
        except ValueError as error:
            captions.findings.fault(f"{where}: {error}")
            continue
        if not texts and any(clip.get(key) for key in KEYS["both"]):
            captions.findings.fault(
                f"{path.name} has captions, but none in {language!r}", cells.shown(name)
            )
        start, end = (float(time) for time in times.groups())
        captions.add(where, name, texts, split=split, duration=end - start)
