"""Real features and captions, made into a folder by the example script, and by the import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from varkit_datasets.folder import Folder

from tests.support.importing import imported, opened
from tests.support.toys import clips_of
from varkit.testing.datasets import check_dataset

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "msrvtt_folder.py"


def test_the_script_makes_a_folder_of_all_videos_and_captions(real_data, tmp_path):
    source = real_data / "msrvtt1k"
    if not source.is_dir():
        pytest.skip(f"no MSR-VTT features and captions in {source}")
    subprocess.run([sys.executable, SCRIPT, source, tmp_path], check=True)
    folder = Folder(root=str(tmp_path), streams={"object": "rgb"}, seconds_per_clip=0.3)
    check_dataset(folder)
    train, test = folder.split("train"), folder.split("test")
    assert [item.video for item in train] == [f"video{i}" for i in range(800)]
    assert [item.video for item in test] == [f"video{i}" for i in range(800, 1000)]
    assert {len(item.queries) for item in [*train, *test]} == {20}
    assert {item.label for item in train} == {None}
    with np.load(source / "features_50x128_f32.npz", allow_pickle=False) as archive:
        row = archive["ids"].tolist().index("video901")
        np.testing.assert_array_equal(
            clips_of(folder, "video901").streams["object"], archive["feats"][row]
        )


def test_the_import_makes_the_same_videos_and_captions_with_categories_and_durations(
    real_data, tmp_path
):
    source = real_data / "msrvtt1k"
    if not source.is_dir():
        pytest.skip(f"no MSR-VTT features and captions in {source}")
    subprocess.run([sys.executable, SCRIPT, source, tmp_path / "script"], check=True)
    made = Folder(root=str(tmp_path / "script"), streams={"object": "rgb"})
    lists = {"train": made.split("train"), "test": made.split("test")}
    for split, items in lists.items():
        (tmp_path / f"{split}.txt").write_text("\n".join(item.video for item in items))
    result = imported(
        "msrvtt",
        [source / "captions_video0-999.json"],
        str(source / "features_50x128_f32.npz"),
        tmp_path / "out",
        lists=[(split, tmp_path / f"{split}.txt") for split in lists],
    )
    folder = opened(result)
    check_dataset(folder)
    for split, items in lists.items():
        assert [(i.video, i.queries) for i in folder.split(split)] == [
            (i.video, i.queries) for i in items
        ]
        for item in items[::97]:
            both = [[data.query(query) for query in item.queries] for data in (made, folder)]
            assert both[0] == both[1]
            streams = [clips_of(data, item.video).streams["object"] for data in (made, folder)]
            np.testing.assert_array_equal(*streams)
    assert folder.split("train")[0].classes == ("vehicles/autos",)
    assert folder.open("video0").times[-1, 1] == pytest.approx(11.72)
