"""Turn MSR-VTT's features and captions into a folder that ``data: {use: folder}`` reads.

    python examples/msrvtt_folder.py SOURCE OUT

SOURCE holds ``features_50x128_f32.npz`` (``ids`` (V,), ``feats`` (V, 50, 128)) and
``captions_video0-999.json``. OUT receives one feature file a video and ``manifest.csv`` with every
caption; the first 800 videos are for training, the other 200 for test. In a recipe::

    data: {use: folder, root: OUT, streams: {object: rgb}, seconds_per_clip: 0.3}
    model: {experts: [object]}
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np

TRAIN = 800


def convert(source: Path, out: Path) -> None:
    """Write ``out/features/*.npy`` and, last, ``out/manifest.csv``.

    Raises:
        ValueError: a video has no caption, or a caption no video.
    """
    with np.load(source / "features_50x128_f32.npz", allow_pickle=False) as archive:
        features = dict(zip(archive["ids"].tolist(), archive["feats"], strict=True))
    content = json.loads((source / "captions_video0-999.json").read_text(encoding="utf-8"))
    captions: dict[str, list[str]] = {video: [] for video in features}
    for sentence in content["sentences"]:
        if sentence["video_id"] not in captions:
            raise ValueError(f"caption of {sentence['video_id']!r}, which has no features")
        captions[sentence["video_id"]].append(sentence["caption"])
    (out / "features").mkdir(parents=True, exist_ok=True)
    part = out / "manifest.csv.part"
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["video", "split", "label", "caption", "rgb"])
        for video in sorted(features, key=lambda name: int(name.removeprefix("video"))):
            if not captions[video]:
                raise ValueError(f"{video!r} has no caption")
            split = "train" if int(video.removeprefix("video")) < TRAIN else "test"
            np.save(out / "features" / f"{video}.npy", features[video])
            for caption in captions[video]:
                writer.writerow([video, split, "", caption, f"features/{video}.npy"])
    part.replace(out / "manifest.csv")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("source", type=Path, metavar="SOURCE")
    parser.add_argument("out", type=Path, metavar="OUT")
    arguments = parser.parse_args()
    convert(arguments.source, arguments.out)


if __name__ == "__main__":
    main()
