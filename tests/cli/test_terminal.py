"""What varkit prints: tables of 80 columns, and strangers' text without control."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

from varkit.cli.output import echo, print_json, printable
from varkit.cli.terminal import print_table, print_text
from varkit.runs.report.tables import Table


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def test_a_table_that_is_too_wide_continues_below_with_its_first_column(capsys):
    columns = ("run", *(f"figure {n}" for n in range(20)))
    rows = [(name, *(f"{n}.25 ±1.0" for n in range(20))) for name in ("a", "b [red]")]
    print_table(Table(columns, tuple(rows), title="Figures", caption="How to read it. " * 9))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    starts = [line.split()[0] for line in lines if line.startswith(("run", "a ", "b [red]"))]
    assert starts == ["run", "a", "b"] * (len(starts) // 3)
    cells = [cell for line in lines if line.startswith("b ") for cell in line[7:].split("  ")]
    assert [cell.strip() for cell in cells if cell] == [*rows[1][1:]]


def test_text_wraps_between_words_but_no_path_is_broken(capsys):
    path, text = "/runs/" + "x" * 90, "a man falls and nobody helps him " * 5
    print_table(Table(("caption", "folder"), ((text, path), (text, path)), words=2))
    out = capsys.readouterr().out
    assert out.count(path) == 2
    assert " ".join(out.replace(path, "").split()).count(text.strip()) == 2


def test_rows_that_share_their_first_cell_stand_together(capsys):
    print_table(Table(("run", "way"), (("a", "1"), ("", "2"), ("b", "3"), ("b", "4"))))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [["run", "way"], ["a", "1"], ["2"], [], ["b", "3"], ["b", "4"]]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07 a \x1b[2J", "\\x1b]0;title\\x07 a \\x1b[2J"),
        ("\x9b31m \x7f \x00", "\\x9b31m \\x7f \\x00"),
        ("right \u202e left \u2066", "right \\u202e left \\u2066"),
        ("progress\rdone", "progress\\rdone"),
        ("a file's \udcff byte", "a file's \\udcff byte"),
        ("two\nlines", "two\nlines"),
        ("no-break\u00a0space,\u3000wide\tand tab", "no-break space, wide and tab"),
        ("一名男子 👩\u200d🚒 ±1 → x", "一名男子 👩\u200d🚒 ±1 → x"),
    ],
)
def test_what_could_control_a_terminal_is_printed_as_its_escape(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", "Q->V +-1.0 \\u4e00"),
        ("latin-1", "Q->V +-1.0 \\u4e00"),
        ("utf-8", "Q→V ±1.0 一"),
    ],
)
def test_an_output_that_cannot_hold_a_sign_gets_a_similar_one_or_its_escape(encoding, shown):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    assert printable("Q→V ±1.0 一", stream) == shown


def test_all_ways_of_printing_escape_and_json_stays_exact(capsys):
    evil = "a\x1b[31m\x7fb"
    echo(evil)
    echo(evil, err=True, fg="red")
    print_text(evil)
    print_table(Table((evil, "x"), ((evil, evil),), title=evil, caption=evil))
    print_json({evil: evil})
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err.removeprefix("\x1b[31m").removesuffix("\x1b[0m\n")
    assert "\x7f" not in out + err
    assert json.loads(out[out.index("{") :]) == {evil: evil}


def test_a_sentence_in_a_pipe_stays_on_one_line_and_wraps_on_request(capsys, monkeypatch):
    text = "runs lie below /mnt/cameras of the north/" + "x " * 60 + "end"
    print_text(text, indent=4)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
    monkeypatch.delenv("COLUMNS")
    print_text(text)
    assert capsys.readouterr().out == text + "\n"


def test_a_path_with_spaces_is_one_cell(capsys):
    path = "/mnt/cameras of the north/" + "x " * 40 + "end"
    print_table(Table(("run", "folder"), (("a", path),), words=2))
    assert path in capsys.readouterr().out


@pytest.mark.parametrize("setting", ["ascii", "cp1252"])
def test_output_in_another_encoding_is_not_a_failure(setting):
    environment = {**os.environ, "PYTHONIOENCODING": setting}
    for arguments in (["data", "show", "simulated", "一\x1b[31m"], ["run", "é→.yaml"]):
        done = subprocess.run(
            [sys.executable, "-m", "varkit", *arguments], env=environment, capture_output=True
        )
        assert done.returncode in (1, 2)
        assert b"UnicodeEncodeError" not in done.stderr
        assert b"\x1b" not in done.stdout + done.stderr
