"""Tables on a terminal of 80 columns."""

from __future__ import annotations

import pytest

from varkit.cli.terminal import print_table
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
