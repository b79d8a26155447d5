"""docs/methods.md shows the real code and names every method."""

import re
from pathlib import Path

import pytest

from varkit.plugins.loading import load_plugins
from varkit.recipe.shipped import shipped_recipes

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/methods.md").read_text(encoding="utf-8")
SOURCES = [
    ROOT / "plugins/varkit_baselines/xml.py",
    ROOT / "plugins/varkit_baselines/sampled_negative.py",
    ROOT / "plugins/varkit_baselines/__init__.py",
    ROOT / "recipes/xml_ucf.yaml",
]
PIECES = [
    piece
    for block in re.findall(r"```(?:python|yaml)\n(.*?)```", PAGE, re.DOTALL)
    for piece in re.split(r"^ *\.\.\.\n", block, flags=re.MULTILINE)
]


def lines(text):
    return [line for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("number", range(len(PIECES)))
def test_every_excerpt_is_in_the_source(number):
    piece = "\n".join(lines(PIECES[number]))
    assert any(piece in "\n".join(lines(path.read_text())) for path in SOURCES), piece


def test_there_are_excerpts():
    assert len(PIECES) >= 8


def test_every_method_is_in_the_table_with_files_and_recipes_that_exist():
    rows = re.findall(r"^\| (?!method|---)(.*?) \|\n", PAGE, re.MULTILINE)
    files = {name for row in rows for name in re.findall(r"`(varkit_\w+/[\w.]*)`", row)}
    recipes = {name for row in rows for name in re.findall(r"`(\w+_(?:ucf|xd))`", row)}
    assert all((ROOT / "plugins" / name).exists() for name in files)
    assert recipes <= set(shipped_recipes())
    parts = {"words", "sounds"}  # of all methods' query side
    for entry in load_plugins().registry:
        if entry.plugin == "baselines" and entry.kind != "objective" and entry.name not in parts:
            module = type_path(entry)
            assert module in files, f"{entry.kind} {entry.name}: {module}"
        elif entry.plugin == "baselines" and entry.kind == "objective":
            assert f"`{entry.name}`" in PAGE


def type_path(entry):
    return f"{entry.load().__module__.replace('.', '/')}.py"
