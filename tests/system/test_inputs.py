"""What a user names may be anything but a healthy file; every reader refuses it in words."""

import errno
import os
import socket
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from varkit_datasets.spreadsheets import read_table
from varkit_datasets.tables import read_rows
from varkit_datasets.text_lists import read_lines

from varkit.errors import RunError, VarkitError
from varkit.evaluation.rank_files import read_ranks
from varkit.recipe import yaml
from varkit.search.score_files import read_scores
from varkit.system import tensors
from varkit.system.inputs import GIANT, open_user_file, read_user_file, reading
from varkit.system.npy import members, open_member
from varkit.system.records import read_json


def sparse(path, size=2 * GIANT):
    with path.open("wb") as file:
        file.write(b"begin")
        file.truncate(size)


def listen(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


# What is made at a path, and what is said of it.
STRANGE = {
    "pipe": (os.mkfifo, "it is a pipe, not a file"),
    "socket": (listen, "it is a socket, not a file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a file"),
    "folder": (Path.mkdir, "it is a folder, not a file"),
    "sparse": (sparse, f"it claims {2 * GIANT:,} bytes, of which the disk holds "),
    "loop": (lambda path: path.symlink_to(path), os.strerror(errno.ELOOP)),
    "absent": (lambda path: None, os.strerror(errno.ENOENT)),
}

READERS = {
    "results.json": partial(read_json, kind=object),
    "model.safetensors": tensors.load,
    "recipe.yaml": yaml.load,
    "ranks.jsonl": read_ranks,
    "vectors.npz": read_scores,
    "manifest.csv": read_rows,
    "manifest.jsonl": read_rows,
    "manifest.parquet": read_rows,
    "list.txt": read_lines,
    "table.xlsx": lambda path: read_table(path, ["a"]),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_not_a_file_is_refused_before_it_is_opened(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    path = Path("x")
    make, said = STRANGE[kind]
    make(path)
    with pytest.raises(OSError, match=said):
        open_user_file(path)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", STRANGE)
def test_every_reader_refuses_it_in_an_error_that_names_it(tmp_path, kind, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    STRANGE[kind][0](Path(name))
    with pytest.raises(VarkitError, match=name):
        READERS[name](Path(name))


@pytest.mark.parametrize("name", sorted(READERS.keys() - {"list.txt", "manifest.csv"}))
@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe\0\0", b"PK\x05\x06" + b"\xff" * 18])
def test_every_reader_of_a_format_refuses_other_content(tmp_path, name, content):
    """Nested deeper than a parser recurses, of no encoding, and an archive's end that lies."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VarkitError, match=name):
        READERS[name](tmp_path / name)


def test_a_file_with_holes_that_is_mostly_content_is_read(tmp_path):
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.write(b"a" * 2**20)
        file.truncate(GIANT + 1)
    with open_user_file(path) as file:
        assert file.read(3) == b"aaa"
    path.write_bytes(b"abc")
    assert read_user_file(path) == b"abc"


@pytest.mark.parametrize("fault", [MemoryError(), RecursionError("too deep"), KeyError("x")])
def test_whatever_a_library_raises_becomes_one_error(fault):
    refused = pytest.raises(RunError, match=r"^a\.json cannot be read: .")
    with refused as caught, reading("a.json", RunError):
        raise fault
    assert caught.value.__cause__ is fault


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_what_numpy_writes_is_unpacked(tmp_path, method):
    np.save(tmp_path / "a.npy", np.ones(3))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.write(tmp_path / "a.npy", "a.npy")
    refused = pytest.raises(ValueError, match="compressed as numpy does not")
    with zipfile.ZipFile(tmp_path / "a.npz") as archive, refused:
        open_member(archive, members(archive)["a"])


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_with_two_arrays_of_one_name_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for content in (b"one", b"two"):
            archive.writestr("a.npy", content)
        with pytest.raises(ValueError, match="holds two arrays 'a'"):
            members(archive)
