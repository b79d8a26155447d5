"""Features as the field keeps them: from a small file in its real layout to a trained epoch."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from tests.support.importing import (
    VIDEOS,
    clips,
    imported,
    opened,
    rows_of,
    trained,
    write_json,
    write_npz,
    write_table,
)
from tests.support.toys import clips_of
from varkit.errors import DataError


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def folder_of_files(place: Path) -> str:
    for i, video in enumerate(VIDEOS):
        (place / "f" / f"part{i % 2}").mkdir(parents=True, exist_ok=True)
        np.save(place / "f" / f"part{i % 2}" / f"{video}.npy", clips(video))
    (place / "f" / "README.txt").write_text("features")
    return str(place / "f")


def files_with_a_suffix(place: Path) -> str:
    (place / "f").mkdir()
    for video in VIDEOS:
        torch.save(torch.from_numpy(clips(video)), place / "f" / f"{video}_resnet.pt")
    return str(place / "f" / "{video}_resnet.pt")


def a_file_for_each_crop(place: Path, mark: str) -> str:
    (place / "f").mkdir()
    for video in VIDEOS:
        for crop in range(5):
            seed = 0 if crop == 0 else crop
            np.save(place / "f" / f"{video}{mark}{crop}.npy", clips(video, seed=seed))
    return str(place / "f")


def stacked_npz(place: Path) -> str:
    feats = np.stack([clips(video) for video in VIDEOS])
    np.savez(place / "f.npz", ids=np.array(VIDEOS), feats=feats)
    return str(place / "f.npz")


def flat_hdf5(place: Path) -> str:
    with h5py.File(place / "f.h5", "w") as file:
        for video in VIDEOS:
            file.create_dataset(video, data=clips(video), compression="gzip", chunks=(2, 4))
    return str(place / "f.h5")


def nested_hdf5(place: Path) -> str:
    """As ActivityNet's C3D features: a group for each video."""
    with h5py.File(place / "f.hdf5", "w") as file:
        for video in VIDEOS:
            file[f"{video}/c3d_features"] = clips(video).astype(np.float64)
    return str(place / "f.hdf5")


def stacked_hdf5(place: Path) -> str:
    with h5py.File(place / "f.h5", "w") as file:
        file["video_ids"] = [video.encode() for video in VIDEOS]
        file["features"] = np.stack([clips(video) for video in VIDEOS])
        file["lengths"] = np.arange(len(VIDEOS))
    return str(place / "f.h5")


def matlab(place: Path) -> h5py.File:
    """A file as MATLAB's since 7.3: a block of text before HDF5, axes turned, classes named."""
    return h5py.File(place / "f.mat", "w", userblock_size=512)


def as_matlab(file: h5py.File, name: str, array: np.ndarray, kind: str = "single") -> h5py.Dataset:
    made = file.create_dataset(name, data=array.T)
    made.attrs["MATLAB_class"] = np.bytes_(kind)
    return made


def matlab_variables(place: Path) -> str:
    with matlab(place) as file:
        for video in VIDEOS:
            as_matlab(file, video, clips(video))
    return str(place / "f.mat")


def matlab_struct(place: Path) -> str:
    with matlab(place) as file:
        for video in VIDEOS:
            as_matlab(file, f"features/{video}", clips(video))
        file["features"].attrs["MATLAB_class"] = np.bytes_("struct")
    return f"{place / 'f.mat'}#features"


def matlab_cells(place: Path) -> str:
    with matlab(place) as file:
        refs = {"names": [], "feats": []}
        for i, video in enumerate(VIDEOS):
            codes = np.array([[ord(letter) for letter in video]], np.uint16)
            refs["names"].append(as_matlab(file, f"#refs#/n{i}", codes, "char").ref)
            refs["feats"].append(as_matlab(file, f"#refs#/f{i}", clips(video)).ref)
        for name, cells in refs.items():
            made = file.create_dataset(name, (1, len(cells)), h5py.ref_dtype)
            made[0] = cells
            made.attrs["MATLAB_class"] = np.bytes_("cell")
    return str(place / "f.mat")


def dictionary_of_tensors(place: Path) -> str:
    torch.save({video: torch.from_numpy(clips(video)) for video in VIDEOS}, place / "f.pth")
    return str(place / "f.pth")


def nested_dictionary(place: Path) -> str:
    rows = {video: list(torch.from_numpy(clips(video))) for video in VIDEOS}
    torch.save({"features": rows, "version": 1}, place / "f.pt")
    return f"{place / 'f.pt'}#features"


def pickle_of_arrays(place: Path) -> str:
    (place / "f.pkl").write_bytes(pickle.dumps({video: clips(video) for video in VIDEOS}))
    return str(place / "f.pkl")


CONTAINERS = {
    "folder of .npy": folder_of_files,
    "files with a suffix": files_with_a_suffix,
    "crops __0": lambda place: a_file_for_each_crop(place, "__"),
    "crops _0": lambda place: a_file_for_each_crop(place, "_"),
    ".npz by video": lambda place: write_npz(place / "f.npz"),
    ".npz of names and one array": stacked_npz,
    "HDF5 by video": flat_hdf5,
    "HDF5 with a group for each video": nested_hdf5,
    "HDF5 of names and one array": stacked_hdf5,
    "MATLAB 7.3 variables": matlab_variables,
    "MATLAB 7.3 struct": matlab_struct,
    "MATLAB 7.3 cells": matlab_cells,
    "dictionary of tensors": dictionary_of_tensors,
    "dictionary in a dictionary": nested_dictionary,
    "pickle of arrays": pickle_of_arrays,
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_each_container_leads_to_a_trained_epoch(kind, tmp_path):
    captions = write_table(tmp_path)
    result = imported("table", [captions], CONTAINERS[kind](tmp_path), tmp_path / "out")
    folder = opened(result)
    for video in VIDEOS:
        read = folder.open(video)
        assert (clips_of(folder, video).streams["object"] == clips(video)).all()
        if kind.startswith("crops"):
            assert read.crops == 5
            assert (clips_of(folder, video, 3).streams["object"] == clips(video, seed=3)).all()
    trained(result, tmp_path)


def write_crops(place: Path, axis: int) -> tuple[str, dict[str, np.ndarray]]:
    """Write ten crops a video, in the order of torchvision's, as (10, T, D) or (T, 10, D)."""
    crops = {
        video: np.stack([clips(video, 5 + i, seed=crop) for crop in range(10)])
        for i, video in enumerate(VIDEOS)
    }
    turned = {v: array if axis == 0 else array.transpose(1, 0, 2) for v, array in crops.items()}
    np.savez(place / "crops.npz", **turned)
    return str(place / "crops.npz"), crops


@pytest.mark.parametrize("axis", [0, 1])
def test_ten_crops_on_either_axis_with_the_centre_anywhere(axis, tmp_path):
    features, crops = write_crops(tmp_path, axis)
    result = imported(
        "table", [write_table(tmp_path)], features, tmp_path / "out", crops_axis=axis, centre=4
    )
    folder = opened(result)
    for video, array in crops.items():
        assert (clips_of(folder, video).streams["object"] == array[4]).all()
        assert (clips_of(folder, video, 1).streams["object"] == array[0]).all()
        assert (clips_of(folder, video, 9).streams["object"] == array[9]).all()
    trained(result, tmp_path)


def test_swapped_axes_are_noticed(tmp_path):
    captions = write_table(tmp_path)
    for axis in (0, 1):
        features, _ = write_crops(tmp_path, axis)
        with pytest.raises(DataError, match=f"axes are swapped, .* try --crops-axis {axis}"):
            imported("table", [captions], features, tmp_path / "out", crops_axis=1 - axis)
        assert not (tmp_path / "out").exists()
    # Nothing differs among videos of one length, but nobody cuts 32 crops.
    np.savez(tmp_path / "f.npz", **dict.fromkeys(VIDEOS, np.ones((32, 10, 4), np.float32)))
    with pytest.raises(DataError, match=r"axes are swapped, as in \(32, 10, 4\) read as"):
        imported("table", [captions], str(tmp_path / "f.npz"), tmp_path / "out")


def test_videos_with_other_crops_than_most_are_named(tmp_path):
    arrays = {video: np.ones((5, 8, 4), np.float32) for video in VIDEOS}
    arrays["video3"] = arrays["video3"][0]
    np.savez(tmp_path / "f.npz", **arrays)
    assert "arrays do not have 5 crops as most: 'video3' (8, 4)" in refused(
        str(tmp_path / "f.npz"), tmp_path
    )


@pytest.mark.parametrize(
    ("array", "shape", "dtype"),
    [
        (np.ones(4, np.float32), (1, 4), np.float32),
        (np.ones((3, 4), np.float16), (3, 4), np.float16),
        (np.ones((3, 4), ">f8"), (3, 4), np.float32),
        (np.ones((3, 4), np.int64, order="F"), (3, 4), np.float32),
        (np.ones((1, 3, 4), np.float32), (1, 3, 4), np.float32),
        (np.ones((3, 4, 1, 1), np.float32), (3, 4), np.float32),
        (np.ones((1, 3, 1, 1, 4), np.float32), (3, 4), np.float32),
    ],
)
def test_shapes_and_types_that_are_met_become_clips(array, shape, dtype, tmp_path):
    np.savez(tmp_path / "f.npz", **dict.fromkeys(VIDEOS, array))
    out = tmp_path / "out"
    imported("table", [write_table(tmp_path)], str(tmp_path / "f.npz"), out)
    made = np.load(out / rows_of(out)["video0"]["object_features"])
    assert (made.shape, made.dtype) == (shape, dtype)
    assert (made == 1).all()


def test_a_bfloat16_tensor_becomes_float32(tmp_path):
    torch.save({v: torch.ones(2, 4, dtype=torch.bfloat16) for v in VIDEOS}, tmp_path / "f.pt")
    out = tmp_path / "out"
    imported("table", [write_table(tmp_path)], str(tmp_path / "f.pt"), out)
    assert np.load(out / rows_of(out)["video0"]["object_features"]).dtype == np.float32


def test_streams_of_other_rates_and_missing_sounds_are_said_in_the_section(tmp_path):
    sounds = {video: clips(video, 12, 3) for video in VIDEOS[2:]}
    sounds["video2"] = np.full((12, 3), np.nan, np.float32)
    sounds["video3"] = np.empty((0, 3), np.float32)
    np.savez(tmp_path / "sound.npz", **sounds)
    features = {"object": write_npz(tmp_path / "f.npz"), "audio": str(tmp_path / "sound.npz")}
    captions = write_table(tmp_path)
    with pytest.raises(DataError) as caught:
        imported("table", [captions], features | {"sound": features.pop("audio")}, tmp_path / "out")
    assert "lacks 2 of 8 videos" in str(caught.value)
    assert "'video0', 'video1'" in str(caught.value)
    features = {"object": features["object"], "sound": str(tmp_path / "sound.npz")}
    result = imported("table", [captions], features, tmp_path / "out", missing="may-lack")
    assert result.data["may_lack"] == ["sound"]
    assert result.data["clips_of"] == "object"
    assert "stream 'sound' is absent of 4 of 8 videos" in result.remarks
    folder = opened(result)
    assert [sorted(folder.open(v).absent) for v in VIDEOS[:5]] == [["sound"]] * 4 + [[]]
    trained(result, tmp_path)

    fewer = imported("table", [captions], features, tmp_path / "fewer", missing="leave-out")
    assert fewer.left_out == {
        "video0": "no features of stream 'sound'",
        "video1": "no features of stream 'sound'",
        "video2": "nothing in its array of stream 'sound'",
        "video3": "nothing in its array of stream 'sound'",
    }
    assert sorted(p.name for p in (tmp_path / "fewer/features/object").iterdir()) == [
        f"{video}.npy" for video in VIDEOS[4:]
    ]


def test_a_stream_of_no_video_is_refused_even_if_videos_may_lack_it(tmp_path):
    other = write_npz(tmp_path / "f.npz", ["other"])
    assert "lacks 8 of 8 videos (it has 'other')" in refused(other, tmp_path, missing="may-lack")
    np.savez(tmp_path / "f.npz", **dict.fromkeys(VIDEOS, np.full((2, 4), np.nan)))
    assert "no video has anything of it" in refused(other, tmp_path, missing="may-lack")


def test_videos_are_joined_by_names_without_folders_and_suffixes(tmp_path):
    named = {f"train/{video}.mp4": clips(video) for video in VIDEOS}
    np.savez(tmp_path / "f.npz", **named, other=clips("other"))
    result = imported("table", [write_table(tmp_path)], str(tmp_path / "f.npz"), tmp_path / "out")
    assert (clips_of(opened(result), "video3").streams["object"] == clips("video3")).all()
    assert "stream 'object': arrays of videos that the captions lack: 'other'" in result.remarks
    np.savez(tmp_path / "f.npz", **named, **{"test/video3.avi": clips("x")})
    with pytest.raises(DataError, match="several arrays may be that of a video: 'video3'"):
        imported("table", [write_table(tmp_path)], str(tmp_path / "f.npz"), tmp_path / "again")


def test_a_gallery_needs_no_captions(tmp_path):
    features = {"object": a_file_for_each_crop(tmp_path, "__"), "audio": write_npz(Path("f.npz"))}
    result = imported("features", [], features, tmp_path / "out")
    assert result.counts == {"test": {"videos": 8, "captions": 0}}
    folder = opened(result)
    assert sorted(item.video for item in folder.split("test")) == list(VIDEOS)
    assert (clips_of(folder, "video3").streams["object"] == clips("video3")).all()


def test_names_that_no_file_may_have_are_kept_in_the_manifest(tmp_path):
    names = ("../../evil", "/etc/passwd", "a#b.npz", "CON", "con", "é" * 200, ".hidden", "x" * 300)
    np.savez(tmp_path / "f.npz", **{name: clips(name) for name in names if "/" not in name})
    torch.save({name: torch.from_numpy(clips(name)) for name in names}, tmp_path / "f.pt")
    rows = [{"video": n, "split": "train", "caption": "a man"} for n in names]
    rows[0]["split"] = "test"
    captions = write_json(tmp_path / "captions.json", rows)
    result = imported("table", [captions], str(tmp_path / "f.pt"), tmp_path / "out")
    assert list(rows_of(tmp_path / "out")) == list(names)
    files = {row["object_features"] for row in rows_of(tmp_path / "out").values()}
    assert len({name.casefold() for name in files}) == len(names)
    assert {p.name for p in (tmp_path / "out/features/object").iterdir()} == {
        Path(file).name for file in files
    }
    folder = opened(result)
    for name in names:
        assert (clips_of(folder, name).streams["object"] == clips(name)).all()


# What is wrong with a file.


def refused(features: str, tmp_path: Path, **options) -> str:
    with pytest.raises(DataError) as caught:
        imported("table", [write_table(tmp_path)], features, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))
    return str(caught.value)


def test_all_faulty_arrays_are_listed_at_once(tmp_path):
    arrays = {video: clips(video) for video in VIDEOS}
    arrays["video0"] = clips("a", 5, 3)
    arrays["video1"] = np.ones((2, 2, 2, 2), np.float32)
    arrays["video2"] = clips("video2")
    arrays["video2"][3, 1] = np.inf
    arrays["video3"] = np.ones((2, 4), complex)
    arrays["video4"] = np.array([["a"]])
    arrays["video5"] = np.full((5, 4), 1e300)
    np.savez(tmp_path / "f.npz", **arrays)
    said = refused(str(tmp_path / "f.npz"), tmp_path)
    for part in (
        "6 faults",
        "arrays are not 4 wide as most: 'video0' (5, 3)",
        "'video1': has shape (2, 2, 2, 2); expected (T, D), or (C, T, D) for C crops",
        "'video2': clip 3 holds NaN or infinity",
        "'video3': holds complex128, not numbers",
        "'video4': holds <U1, not numbers",
        "'video5': clip 0 holds NaN or infinity",
    ):
        assert part in said, said


def change_hdf5(tmp_path: Path, change) -> str:
    """Write a file of all videos, of which ``change(file)`` makes ``video0``."""
    with h5py.File(tmp_path / "f.h5", "w") as file:
        for video in VIDEOS[1:]:
            file[video] = clips(video)
        for extra in range(9):  # more than are searched for names
            file[f"z{extra}"] = clips("z")
        change(file)
    return str(tmp_path / "f.h5")


def external_link(file):
    with h5py.File("secret.h5", "w") as other:
        other["a"] = clips("secret")
    file["video0"] = h5py.ExternalLink("secret.h5", "a")


def soft_link(file):
    file["video0"] = h5py.SoftLink("/video1")


def external_array(file):
    Path("raw.bin").write_bytes(b"\0" * 80)
    file.create_dataset("video0", (5, 4), np.float32, external=[("raw.bin", 0, 80)])


def virtual_array(file):
    layout = h5py.VirtualLayout((5, 4), np.float32)
    layout[:] = h5py.VirtualSource("secret.h5", "a", (5, 4))
    file.create_virtual_dataset("video0", layout)


def giant_shape(file):
    file.create_dataset("video0", (10**9, 4096), np.float32, chunks=(64, 4096))


def giant_chunk(file):
    made = file.create_dataset(
        "video0", (2, 4), np.float32, chunks=(2**18, 512), maxshape=(None, None), compression=9
    )
    made[:] = 0


def objects(file):
    file.create_dataset("video0", data=["a", "b"], dtype=h5py.string_dtype())


def compound(file):
    file["video0"] = np.zeros(3, [("a", "f4"), ("b", "f4")])


def scalar(file):
    file["video0"] = 3.0


def no_shape(file):
    file["video0"] = h5py.Empty("f")


def two_arrays(file):
    file["video0/a"] = file["video0/b"] = clips("a")


def circle(file):
    file["video0/a"] = file.create_group("video0")


def name_of_bytes(file):
    h5py.h5g.create(file.id, b"\xff\xfe")


def unknown_filter(file):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((5, 4))
    plist.set_filter(32099, h5py.h5z.FLAG_OPTIONAL)
    space = h5py.h5s.create_simple((5, 4))
    made = h5py.h5d.create(file.id, b"video0", h5py.h5t.NATIVE_FLOAT, space, plist)
    made.write_direct_chunk((0, 0), b"\0" * 80, filter_mask=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (external_link, "holds 'video0' as a link to another file; refused"),
        (soft_link, "holds 'video0' as a link to another name; refused"),
        (external_array, "keeps its numbers in other files; refused"),
        (virtual_array, "keeps its numbers in other files; refused"),
        (giant_shape, "would grow from 0 to 16,384,000,000,000 bytes; refused"),
        (giant_chunk, "bytes; refused"),
        (objects, "holds object, not numbers"),
        (compound, "not numbers"),
        (scalar, "has shape ()"),
        (no_shape, "is empty: it has no shape"),
        (two_arrays, "holds 2 arrays: a, b; name one, as in PATH#NAME"),
        (circle, "holds a group, not an array"),
        (name_of_bytes, r"holds a name that is not UTF-8 text: b'\xff\xfe'"),
        (unknown_filter, "is compressed by filter 32099, which is not installed; h5repack"),
    ],
)
def test_hdf5_files_that_lead_astray_are_refused(change, message, tmp_path):
    assert message in refused(change_hdf5(tmp_path, change), tmp_path)


def test_in_a_file_of_few_arrays_links_are_refused_too(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        external_link(file)
    assert "as a link to another file; refused" in refused(str(tmp_path / "f.h5"), tmp_path)


def test_the_named_array_of_each_group_is_read(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        for video in VIDEOS:
            file[f"{video}/rgb"], file[f"{video}/flow"] = clips(video), clips(video, 5, 2)
    captions = write_table(tmp_path)
    result = imported("table", [captions], f"{tmp_path / 'f.h5'}#flow", tmp_path / "out")
    assert (clips_of(opened(result), "video2").streams["object"] == clips("video2", 5, 2)).all()
    with pytest.raises(DataError, match="holds no 'flwo'"):
        imported("table", [captions], f"{tmp_path / 'f.h5'}#flwo", tmp_path / "no")


def corrupt_npz(place: Path, **members: bytes) -> str:
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return str(place)


def npy_header(shape: str, descr: str = "'<f4'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def test_archives_that_lie_or_hold_objects_are_refused(tmp_path):
    bomb = npy_header("(100000000,)") + bytes(400_000_000)
    told = refused(corrupt_npz(tmp_path / "bomb.npz", video0=bomb), tmp_path)
    assert "would grow from" in told
    short = corrupt_npz(tmp_path / "short.npz", video0=npy_header("(9, 9)"))
    assert "is truncated: its header promises shape (9, 9)" in refused(short, tmp_path)
    np.savez(tmp_path / "o.npz", video0=np.array([{}], dtype=object))
    assert "holds Python objects" in refused(str(tmp_path / "o.npz"), tmp_path)
    (tmp_path / "no.npz").write_bytes(b"PK")
    assert "no.npz cannot be read" in refused(str(tmp_path / "no.npz"), tmp_path)


def test_names_and_one_array_must_fit(tmp_path):
    names, feats = np.array(VIDEOS), np.zeros((8, 5, 4), np.float32)
    path = tmp_path / "f.npz"
    np.savez(path, ids=names, a=feats, b=feats)
    assert "has 2 arrays of as many: 'a', 'b'; name one" in refused(str(path), tmp_path)
    assert "has no array 'c' of 8 videos" in refused(f"{path}#c", tmp_path)
    np.savez(path, ids=names[[0, 0, *range(2, 8)]], a=feats)
    assert "names video 'video0' twice in 'ids'" in refused(str(path), tmp_path)
    np.savez(path, ids=np.array([b"\xff"] * 8), a=feats)
    assert "not UTF-8 text" in refused(str(path), tmp_path)
    np.savez(path, ids=names, a=np.asfortranarray(np.ones((8, 5, 4))))
    assert "Fortran's order" in refused(str(path), tmp_path)


def test_a_stacked_array_is_read_in_any_order(tmp_path):
    path = stacked_npz(tmp_path)
    rows = [{"video": v, "split": "train", "caption": "a"} for v in reversed(VIDEOS)]
    result = imported("table", [write_json(tmp_path / "t.json", rows)], path, tmp_path / "out")
    for video in VIDEOS:
        assert (clips_of(opened(result), video).streams["object"] == clips(video)).all()


class Harm:
    def __reduce__(self):
        return os.system, ("touch harmed",)


def test_pickles_that_would_run_code_are_refused_and_do_not(tmp_path):
    (tmp_path / "f.pkl").write_bytes(pickle.dumps({"video0": Harm()}))
    assert "which is not data; refused" in refused(str(tmp_path / "f.pkl"), tmp_path)
    assert not Path("harmed").exists()
    torch.save([torch.ones(2)], tmp_path / "f.pt")
    said = refused(str(tmp_path / "f.pt"), tmp_path)
    assert "holds a list, not a dictionary of arrays by video" in said
    torch.save(dict.fromkeys(VIDEOS, "a"), tmp_path / "f.pt")
    assert "'video0': holds a str, not a tensor" in refused(str(tmp_path / "f.pt"), tmp_path)
    torch.save({1: torch.ones(1, 2), "1": torch.ones(1, 2)}, tmp_path / "f.pt")
    assert "names video '1' twice" in refused(str(tmp_path / "f.pt"), tmp_path)


def test_files_that_are_no_features_say_what_is_read(tmp_path):
    assert "there is no file" in refused(str(tmp_path / "no.h5"), tmp_path)
    (tmp_path / "a.csv").write_text("")
    said = refused(str(tmp_path / "a.csv"), tmp_path)
    assert "is not a folder, or a file of features by video" in said
    assert "hint: known: .npz, .h5, .hdf5" in said
    (tmp_path / "old.mat").write_bytes(b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + bytes(200))
    said = refused(str(tmp_path / "old.mat"), tmp_path)
    assert "in MATLAB's older format" in said
    assert "'-v7.3'" in said
    (tmp_path / "bad.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert "bad.h5 cannot be read" in refused(str(tmp_path / "bad.h5"), tmp_path)
    os.mkfifo(tmp_path / "pipe.h5")
    assert "pipe.h5 is not a file" in refused(str(tmp_path / "pipe.h5"), tmp_path)


def test_files_of_one_video_must_be_one_and_crops_complete(tmp_path):
    place = tmp_path / "f"
    folder_of_files(tmp_path)
    np.save(place / "video0.npy", clips("x"))
    assert "has two files of 'video0'" in refused(str(place), tmp_path)
    (place / "video0.npy").unlink()
    (place / "part0/video0.npy").rename(place / "part0/video0__1.npy")
    said = refused(str(place), tmp_path)
    assert "'video0': has crops 1; some are missing" in said
    np.save(place / "video0__0.npy", clips("x", 9))
    assert "has crops of different shapes: (9, 4), (5, 4)" in refused(str(place), tmp_path)
    np.save(place / "video0.npy", clips("x"))
    assert "has a file for each crop, and another one" in refused(str(place), tmp_path)


def test_without_h5py_the_extra_is_named(tmp_path, monkeypatch):
    path = flat_hdf5(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    assert "hint: pip install 'varkit[import]'" in refused(path, tmp_path)
