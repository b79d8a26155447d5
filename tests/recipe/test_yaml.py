import os
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from varkit.errors import RecipeError
from varkit.recipe import yaml


def problems(data: bytes) -> tuple[str, ...]:
    with pytest.raises(RecipeError) as caught:
        yaml.parse(data, "r.yaml")
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, None) for text in ("null", "~", "")),
        *((text, True) for text in ("true", "True")),
        *((text, int(text)) for text in ("12", "-3", "+3", "017")),
        *((text, float(text)) for text in ("1e-3", "5.0e-5", ".5", "1.", "1.10")),
        ("False", False),
        ("0o17", 15),
        ("0x1F", 31),
        (".inf", float("inf")),
        ("-.INF", float("-inf")),
        ("'1'", "1"),
        ('"true"', "true"),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: Any):
    found = yaml.parse(f"a: {text}\n".encode(), "r.yaml").value["a"]
    assert found == value
    assert type(found) is type(value)


def test_what_yaml_1_1_would_change_stays_text_and_nan_is_read():
    texts = ("no", "on", "y", "yes", "1_000", "0b11", "12:30", "2024-01-31", "1e", "<<", "=")
    for text in texts:
        assert yaml.parse(f"{text}: {text}".encode(), "r.yaml").value == {text: text}
    found = yaml.parse(b".nan", "r.yaml").value
    assert found != found


def test_places_are_those_of_keys_and_items():
    document = yaml.parse(b"a: 1\nb:\n  c: [x, {d: 2}]\n", "r.yaml")
    assert dict(document.places) == {
        (): (1, 1),
        ("a",): (1, 1),
        ("b",): (2, 1),
        ("b", "c"): (3, 3),
        ("b", "c", 0): (3, 7),
        ("b", "c", 1): (3, 10),
        ("b", "c", 1, "d"): (3, 11),
    }


def test_every_duplicate_key_is_reported_with_both_lines():
    assert problems(b"a: 1\nb: {c: 1, c: 2}\n'a': 2\n") == (
        "r.yaml:2:11: 'c' is given twice, first on line 2",
        "r.yaml:3:1: 'a' is given twice, first on line 1",
    )


BOMB = b"a: &a [x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (97 + i, 97 + i, b", ".join([b"*%c" % (96 + i)] * 9)) for i in range(1, 9)
)


@pytest.mark.parametrize(
    ("data", "place", "said"),
    [
        (b"", "1:1", "empty"),
        (b"# nothing\n", "1:1", "empty"),
        (b"a: 1\n---\nb: 2", "2:1", "another document"),
        (b"a:\n\tb: 1", "2:1", "tab"),
        (b"\xef\xbb\xbfa: 1", "1:1", "byte order mark"),
        ("a: 1".encode("utf-16"), "1:1", "not UTF-8"),
        (b"a: 1\nb: caf\xe9", "2:7", "not UTF-8"),
        (b"a: 1\nb: x\0y", "2:5", r"'\x00'"),
        (b"a: 1\nb: \x1b[31m", "2:4", r"'\x1b'"),
        (b"a: !!python/object/apply:os.system [true]", "1:4", "!!python/object/apply:os.system"),
        (b"!!python/name:os.system", "1:1", "tag"),
        (b"a: !!int 3", "1:4", "tag"),
        (b"a: !mine 3", "1:4", "tag"),
        (b"a: &x 1\nb: *x", "1:4", "anchors"),
        (b"a: *x", "1:4", "anchors"),
        (BOMB, "1:4", "anchors"),
        (b"1: a", "1:1", "key must be text"),
        (b"true: a", "1:1", "key must be text"),
        (b"? [a]\n: b", "1:3", "key must be text"),
        (b"a: b: c", "1:5", "not YAML"),
        (b"a: 'b", "1:6", "not YAML"),
        (b"a: [b", "1:6", "not YAML"),
        (b"a: @b", "1:4", "not YAML"),
        (b"%YAML 9.0\n---\na: 1", "1:1", "not YAML"),
        (b'a: "\\ud800"', "1:4", "surrogate"),
        (b'a: "\\UFFFFFFFF"', "1:7", "not YAML"),
        (b"a: " + b"9" * 5000, "1:4", "too many digits"),
        (b"[" * 100_000, "1:21", "nested deeper"),
        (b"{" * 100_000, "1:21", "nested deeper"),
        (b"- " * 50_000, "1:41", "nested deeper"),
        (b"".join(b" " * i + b"a:\n" for i in range(300)), "20:20", "nested deeper"),
    ],
)
def test_traps_are_errors_with_a_place(data: bytes, place: str, said: str):
    began = time.process_time()
    (problem, *_) = problems(data)
    assert time.process_time() - began < 1
    assert problem.startswith(f"r.yaml:{place}: ")
    assert said in problem


def test_the_largest_file_is_read_within_a_second_and_ten_megabytes_are_refused_unread(tmp_path):
    path = tmp_path / "big.yaml"
    path.write_bytes(b"a: 1 # " + b"x" * 10_000_000)
    began = time.process_time()
    with pytest.raises(RecipeError, match=r"big\.yaml: larger than 128 KiB"):
        yaml.load(path)
    assert time.process_time() - began < 1
    lines = b"".join(b"k%d: {a: [1, 2, 3], b: x}\n" % i for i in range(4500))
    assert 0.9 * yaml.MAX_BYTES < len(lines) <= yaml.MAX_BYTES
    began = time.process_time()
    assert len(yaml.parse(lines, "r.yaml").value) == 4500
    assert time.process_time() - began < 3  # 0.6 s on an idle core


def test_files_that_are_none(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, said in (("none.yaml", "no such file"), ("", "a folder"), ("pipe", "a pipe")):
        with pytest.raises(RecipeError, match=said):
            yaml.load(tmp_path / name)


def test_command_line_values():
    assert yaml.parse_value("[1, 2]", "x") == [1, 2]
    assert yaml.parse_value("{a: 1e-3}", "x") == {"a": 1e-3}
    assert yaml.parse_value("'no' ", "x") == "no"
    assert yaml.parse_value(" 3 ", "x") == 3
    assert yaml.parse_value("~", "x") is None
    for text in ("no", "a #b", "a: b", "*a", "&a", "!a", "@a", "%a", "- a", "? a", "|", "[a", "{a"):
        assert yaml.parse_value(text, "x") == text
    with pytest.raises(RecipeError, match="x:1:1: not UTF-8"):
        yaml.parse_value(os.fsdecode(b"\xff"), "x")


PIECES = (
    "a|b: |- |[|]|{|}|,|:|\n|  |\t|&a|*a|!!int|'|\"|\\u|#|? |%YAML 1.|---|...|1e9|0o|\0|é|\x85|>"
)
YAMLISH = st.lists(st.sampled_from([*PIECES.split("|"), "|"])).map(lambda p: "".join(p).encode())


@settings(max_examples=500)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda t: t.encode()), YAMLISH))
@example(b"%YAML 1." + b"1" * 5000)
@example(b'"\\U00110000"')
@example(b"? ? ?")
def test_any_bytes_give_a_value_or_a_recipe_error(data: bytes):
    problems: tuple[str, ...] = ("r.yaml: none",)
    try:
        yaml.parse(data, "r.yaml")
    except RecipeError as error:
        problems = error.problems
    assert problems
    assert all(problem.startswith("r.yaml:") for problem in problems)


TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["no", "1e-3", "0o17", "12:30", "null", "~", "", "a: b", "a #b", "- a", "x\ny", "2024-01-01"]
)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150)
@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4))
def test_what_is_written_is_read_back(value: dict[str, Any]):
    assert yaml.parse(yaml.dump(value).encode(), "r.yaml").value == value
    assert yaml.parse_value(yaml.flow(value), "command line") == value
    for item in value.values():
        assert yaml.parse_value(yaml.flow(item), "command line") == item


def test_dump_writes_one_line_a_leaf_with_comments():
    value = {"a": {"b": 1e-5, "c": (1, 2)}, "d": {}, "e": "no"}
    assert yaml.dump(value, {("a", "b"): "here", ("e",): "there"}) == (
        "a:\n  b: 1.0e-05  # here\n  c: [1, 2]\nd: {}\ne: 'no'       # there\n"
    )
