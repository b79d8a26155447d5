"""Make a manifest of the Surveillance Camera Fight Dataset for ``recipes/folder_demo.yaml``.

    python examples/scfd_folder.py SOURCE OUT [--seed 0]
    varkit run recipes/folder_demo.yaml data.root=OUT data.videos=SOURCE

SOURCE holds the clips, ``fight/*.mp4`` and ``noFight/*.mp4``, and ``videos.txt``, which lists for
each recording the clips that were cut from it. The data set has no captions. These are made from
the folder names alone, in words of our own: nobody looked at a clip to write them, so they say of
every clip in a folder the same. Captions of test are worded differently from those of train.

A third of the clips is for test, about as many of each folder. Recordings are split, not clips, in
an order that the seed decides; so no scene is in both parts. OUT receives ``manifest.csv``.
"""

from __future__ import annotations

import argparse
import csv
import random
from collections.abc import Mapping
from pathlib import Path

CAPTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "fight": {
        "train": (
            "people are fighting",
            "a fight breaks out and blows are traded",
            "someone is attacked and beaten",
            "several people hit and kick each other",
        ),
        "test": (
            "a violent brawl",
            "a man punches another person",
            "an assault is caught on camera",
            "somebody is knocked to the ground",
            "an argument turns violent",
        ),
    },
    "noFight": {
        "train": (
            "nobody is fighting, all is calm",
            "people walk past and nothing happens",
            "an ordinary moment in a public place",
            "people stand around and talk",
        ),
        "test": (
            "a quiet scene without any violence",
            "passers-by go about their day",
            "customers wait peacefully",
            "no sign of trouble",
            "everyone minds their own business",
        ),
    },
}
TEST = 1 / 3


def recordings(source: Path) -> list[list[str]]:
    """Return the clips of each recording that are there, as names like ``fight/fi001.mp4``.

    Clips of no recording, which come from other data sets, count as one.
    """
    there = {path.stem: f"{path.parent.name}/{path.name}" for path in source.glob("*/*.mp4")}
    groups: dict[str, list[str]] = {}
    for line in (source / "videos.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("http"):
            own = groups.setdefault(line.strip(), [])  # some are listed twice
        elif (clip := there.pop(line.partition(":")[0].strip(), None)) is not None:
            own.append(clip)
    return [group for group in (*groups.values(), sorted(there.values())) if group]


def split(groups: list[list[str]], seed: int) -> dict[str, str]:
    """Return the part, train or test, of each clip."""
    clips = [clip for group in groups for clip in group]
    wanted = {folder: TEST * sum(c.startswith(f"{folder}/") for c in clips) for folder in CAPTIONS}
    part = dict.fromkeys(clips, "train")
    random.Random(seed).shuffle(groups)
    for group in groups:
        counts = {folder: sum(c.startswith(f"{folder}/") for c in group) for folder in CAPTIONS}
        if all(count <= wanted[folder] for folder, count in counts.items()):
            part |= dict.fromkeys(group, "test")
            wanted = {folder: wanted[folder] - counts[folder] for folder in CAPTIONS}
    return part


def main() -> None:
    """Read the command line and write the manifest."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("source", type=Path, metavar="SOURCE")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    part = split(recordings(arguments.source), arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with (arguments.out / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["video", "split", "label", "class", "caption"])
        for clip in sorted(part):
            folder = clip.partition("/")[0]
            for caption in CAPTIONS[folder][part[clip]]:
                writer.writerow([clip, part[clip], int(folder == "fight"), folder, caption])


if __name__ == "__main__":
    main()
