"""A whole store is verified, and written as plain files."""

from __future__ import annotations

import json
import sqlite3

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.support.calls import call, failed, passed, printed
from tests.support.stores import SILENT, clock, made, make_store, put
from varkit.media import catalogue
from varkit.media.store import Store, stream_file
from varkit.media.verify import verify_store


@pytest.fixture
def store(tmp_path):
    videos = {
        "gate/a.mp4": {"image": made("image", clock(8, 1.0)), "yamnet": SILENT},
        "b.mp4": {
            "image": made("image", clock(5, 1.0), seed=1),
            "yamnet": made("yamnet", clock(5, 0.96), seed=1),
        },
    }
    root = make_store(tmp_path / "store", videos)
    with Store(root, writing=True) as opened:
        put(opened, "c.mp4", {}, status="failed", reason="not a video")
    return root


def file_of(root, name="b.mp4"):
    with Store(root) as opened:
        return stream_file(root, opened.catalogue.video(name))


def texts(findings):
    return " | ".join(finding.text for finding in findings)


def test_a_store_that_is_in_order_has_remarks_alone(store):
    result = verify_store(store)
    assert not result.faults
    assert result.splits == {"all": {"videos": 3, "ok": 2, "partial": 0, "failed": 1}}
    assert result.size == 4 * (8 * 4 + 5 * 4 + 5 * 2)
    assert result.fingerprint == verify_store(store, quick=True).fingerprint
    said = texts(result.remarks)
    assert "'c.mp4' is failed: not a video" in said
    assert "1 without yamnet: it has no sound" in said
    shown = passed(call("data", "verify", store)).stdout
    assert "in order" in shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t["yamnet.features"].__setitem__((4, 0), np.inf), "clip 4 holds NaN"),
        (lambda t: t.update({"image.times": t["image.times"] * np.nan}), "ascending times"),
        (lambda t: t.update({"image.features": np.zeros((4, 4), "f4")}), r"expected (5, 4)"),
        (lambda t: t.pop("image.features"), "image.features"),
    ],
)
def test_what_is_wrong_with_a_file_is_a_fault(store, change, message):
    file = file_of(store)
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)
    result = verify_store(store)
    assert message in texts(result.faults)
    assert "SHA-256 differs" in texts(result.faults)
    assert result.fingerprint is None
    shown = call("data", "verify", store, "--json")
    assert shown.exit_code == 3
    assert json.loads(shown.stdout)["in_order"] is False


def test_every_flipped_bit_counts_and_missing_files_are_named(store):
    file = file_of(store)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert "SHA-256 differs" in texts(verify_store(store).faults)
    assert not verify_store(store, quick=True).faults
    file.unlink()
    for quick in (False, True):
        assert str(file) in texts(verify_store(store, quick=quick).faults)


def test_a_file_of_no_video_is_a_remark(store):
    (file_of(store).parent / "x.safetensors").write_bytes(b"")
    result = verify_store(store)
    assert not result.faults
    assert "x.safetensors belongs to no video" in texts(result.remarks)


def test_a_record_that_was_changed_is_a_fault(store):
    with sqlite3.connect(store / catalogue.NAME) as connection:
        connection.execute(
            "UPDATE extractor SET record = replace(record, '\"version\": 1', '\"version\": 2')"
        )
    connection.close()
    assert "extractor 'image': its record has the fingerprint" in texts(verify_store(store).faults)


def test_a_store_has_no_options(store):
    result = call("data", "verify", store, "a=1")
    assert (result.exit_code, "it has no options" in result.stderr) == (2, True)


def test_an_export_is_plain_files_that_a_folder_reads(store, tmp_path):
    out = tmp_path / "plain"
    result = passed(call("data", "export", store, out))
    assert "left out: c.mp4" in result.stderr
    with Store(store) as opened:
        tensors = opened.tensors(opened.catalogue.video("b.mp4"))
    for key, array in tensors.items():
        (file,) = (f for f in (out / key).iterdir() if f.name.startswith("b.mp4"))
        np.testing.assert_array_equal(np.load(file), array)
    assert (
        json.loads((out / "extractors.json").read_text())["image.features"]["stream"] == "features"
    )
    shown = printed(
        call(
            "data",
            "show",
            "folder",
            "b.mp4",
            f"root={out}",
            "streams={object: image.features}",
            "--json",
        )
    )
    assert shown["clips"] == 5
    assert "holds a manifest.csv" in failed(call("data", "export", store, out))
