"""Workbooks from elsewhere: found by headings, and refused where they are hostile."""

from __future__ import annotations

import zipfile

import openpyxl
import pytest
from varkit_datasets.spreadsheets import COLUMNS, ROWS, read_table

from varkit.errors import DataError

WANTED = ("Video Name", "English Text")


def write(path, *sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets):
        sheet = book.create_sheet(f"sheet {number}")
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_columns_are_found_wherever_they_stand(tmp_path):
    notes = [["Notes"], ["read me"]]
    table = [
        ["Captions of 2023"],
        [],
        [None, " english\ttext ", "Extra", "VIDEO NAME\n", "Chinese Text", None],
        [None, "A  man\nruns. ", 7, "a.mp4\n", "跑", None],
        [],
        [None, None, "only extra", None, None],
        [None, 42, None, 1.5, None],
    ]
    path = write(tmp_path / "a.xlsx", notes, table)
    assert read_table(path, WANTED, ["Chinese Text", "French Text"]) == [
        (4, {"Video Name": "a.mp4", "English Text": "A man runs.", "Chinese Text": "跑"}),
        (7, {"Video Name": "1.5", "English Text": "42", "Chinese Text": ""}),
    ]


def test_formulas_are_not_worked_out_and_errors_are_empty(tmp_path):
    path = write(tmp_path / "a.xlsx", [WANTED, ["a", '=CONCATENATE("x","y")'], ["b", "#REF!"]])
    expected = [(n, {"Video Name": v, "English Text": ""}) for n, v in ((2, "a"), (3, "b"))]
    assert read_table(path, WANTED) == expected


def test_merged_cells_count_in_their_first_row(tmp_path):
    path = write(tmp_path / "a.xlsx", [WANTED, ["a", "A man."], ["b", None]])
    book = openpyxl.load_workbook(path)
    book.active.merge_cells("B2:B3")
    book.save(path)
    assert [row["English Text"] for _, row in read_table(path, WANTED)] == ["A man.", ""]


@pytest.mark.parametrize(
    ("sheets", "message"),
    [
        ([[]], "is empty"),
        ([[["Video Nam", "English Text"], ["a", "b"]]],
         "has no column 'Video Name' in its first 20 rows. Did you mean 'Video Nam'?"),
        ([[["a"]] * 20 + [WANTED]], "has no column 'Video Name', 'English Text'"),
        ([[WANTED, ["a", "b"]], [WANTED, ["c", "d"]]], "in several sheets: 'sheet 0', 'sheet 1'"),
        ([[[*WANTED, "English Text"], ["a", "b", "c"]]], "has column 'English Text' twice"),
        ([[[None] * COLUMNS + [*WANTED]]], "is empty"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_told(tmp_path, sheets, message):
    path = write(tmp_path / "a.xlsx", *sheets)
    with pytest.raises(DataError) as caught:
        read_table(path, WANTED)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_damaged_workbooks(tmp_path):
    whole = write(tmp_path / "whole.xlsx", [WANTED, ["a", "b"]]).read_bytes()
    with zipfile.ZipFile(tmp_path / "other.xlsx", "w") as archive:
        archive.writestr("a.txt", "no workbook")
    for name, content, message in (
        ("empty.xlsx", b"", "is not an .xlsx file, or is damaged"),
        ("text.xlsx", b"Video Name,English Text\n", "is not an .xlsx file, or is damaged"),
        ("half.xlsx", whole[: len(whole) // 2], "is not an .xlsx file, or is damaged"),
        ("other.xlsx", (tmp_path / "other.xlsx").read_bytes(), "cannot be read as .xlsx"),
        ("locked.xlsx", bytes.fromhex("d0cf11e0a1b11ae1") + bytes(512), "is encrypted"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError) as caught:
            read_table(tmp_path / name, WANTED)
        assert message in str(caught.value)
        assert name in str(caught.value)
    for path, message in ((tmp_path / "no.xlsx", "there is no file"), (tmp_path, "is not a file")):
        with pytest.raises(DataError, match=message):
            read_table(path, WANTED)


def replace_member(source, target, member, content):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info)) if info.filename != member else None
        new.writestr(member, content)


def test_bombs_are_refused(tmp_path):
    whole = write(tmp_path / "whole.xlsx", [WANTED, ["a", "b"]])
    sheet = "xl/worksheets/sheet1.xml"
    replace_member(whole, tmp_path / "large.xlsx", sheet, bytes(2**25))
    with pytest.raises(DataError, match=r"would grow to 33,5\d\d,\d+ bytes; refused"):
        read_table(tmp_path / "large.xlsx", WANTED)
    nested = [f'<!ENTITY a{i} "' + f"&a{i - 1};" * 10 + '">' for i in range(1, 12)]
    entities = "".join(['<!DOCTYPE x [<!ENTITY a0 "aaaaaaaaaa">', *nested])
    replace_member(whole, tmp_path / "entities.xlsx", sheet, f"{entities}]><x>&a11;</x>")
    with pytest.raises(DataError, match=r"cannot be read as \.xlsx"):
        read_table(tmp_path / "entities.xlsx", WANTED)


def test_a_cell_at_the_end_of_the_world_costs_nothing(tmp_path):
    whole = write(tmp_path / "whole.xlsx", [WANTED, ["a", "b"]])
    with zipfile.ZipFile(whole) as archive:
        xml = archive.read("xl/worksheets/sheet1.xml").decode()
    far = '<row r="999999999"><c r="XFD999999999" t="inlineStr"><is><t>x</t></is></c></row>'
    xml = xml.replace("</sheetData>", f"{far}</sheetData>")
    replace_member(whole, tmp_path / "far.xlsx", "xl/worksheets/sheet1.xml", xml)
    row = {"Video Name": "a", "English Text": "b"}
    assert read_table(tmp_path / "far.xlsx", WANTED) == [(2, row)]
    assert ROWS < 999_999_999
