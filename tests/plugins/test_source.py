"""Hashes of source: what changes them, what does not, and how far imports are followed."""

import importlib
import itertools
import py_compile

import pytest

from varkit.plugins.source import source_hashes

SOURCE = '''
"""A module."""

from __future__ import annotations


class Encoder:
    """Encodes."""

    rate: float = 0.5
    """How fast."""

    def __call__(self, x, *, flip=None, **rest):
        """Return it."""
        if x is None:
            raise ValueError(f"{x} is nothing", x) from None
        return {"scaled": -x * 2 + self.rate, **rest}
'''
NAMES = (f"hashed_{number}" for number in itertools.count())


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a package of a new name, file by file; return its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(**files):
        name = next(NAMES)
        for file, text in {"__init__": "", **files}.items():
            path = tmp_path / name / f"{file.replace('__in__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("PACKAGE", name), encoding="utf-8")
        importlib.invalidate_caches()
        return name

    return write


def hash_of(write, text):
    package = write(module=text)
    return source_hashes([f"{package}.module"], lambda _: False)[f"{package}.module"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A module."""', '"""Another word."""\n# and a comment'),
        ('"""Encodes."""', ""),
        ('    """How fast."""\n', ""),
        ('"""Return it."""', "r'''Give it\n        back.'''"),
        ("class Encoder:", "\n\n\nclass Encoder:  # encodes"),
        ("flip=None, **rest):", "flip=(None),\n        **rest,\n    ):"),
        ('"scaled": -x * 2', "'sca' u'led': ((-x) * 2)"),
        ('ValueError(f"{x} is nothing", x)', 'ValueError("x must be something")'),
    ],
)
def test_words_and_layout_do_not_count(write, old, new):
    assert old in SOURCE
    assert hash_of(write, SOURCE.replace(old, new)) == hash_of(write, SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.5", "0.25"),
        ("* 2", "* 2.0"),
        ("* 2", "* True"),
        ("-x * 2", "-(x * 2)"),
        ('"scaled"', '"Scaled"'),
        ("flip=None", "flip=False"),
        ("*, flip=None", "flip=None"),
        ("is None", "is not None"),
        ("ValueError", "TypeError"),
        ("**rest}", '"rest": rest}'),
        ("from __future__ import annotations", "import annotations"),
        ("Encoder:", "Encoder(dict):"),
        ("        if x", "        x = x\n        if x"),
    ],
)
def test_code_counts(write, old, new):
    assert old in SOURCE
    assert hash_of(write, SOURCE.replace(old, new)) != hash_of(write, SOURCE)


def test_a_module_of_words_alone_is_an_empty_one(write):
    assert hash_of(write, '"""Nothing."""\n') == hash_of(write, "") != hash_of(write, "None")


def test_imports_are_followed_wherever_they_stand_as_far_as_they_count(write):
    package = write(
        __init__="from PACKAGE.of_package import WIDTH",
        root="import PACKAGE.whole, torch\nfrom . import near\nfrom .near import of_near\n"
        "def later():\n    from .inner import deep\n    from PACKAGE import taken",
        whole="from PACKAGE import WIDTH",
        taken="from .circle import x",
        circle="from .taken import y",
        near="of_near = 1",
        of_package="WIDTH = 1",
        inner__in____init__="import PACKAGE.not_reached",
        inner__in__deep="from ..blocked import z",
        blocked="import PACKAGE.not_reached",
        not_reached="",
    )

    def follow(module):
        return module.startswith(package) and not module.endswith("blocked")

    found = source_hashes([f"{package}.root"], follow)
    names = ("root", "whole", "taken", "circle", "near", "inner.deep", "of_package")
    assert set(found) == {package, *(f"{package}.{name}" for name in names)}
    assert None not in found.values()
    alone = source_hashes([f"{package}.taken"], follow)
    assert alone.items() <= found.items()
    assert set(alone) == {f"{package}.taken", f"{package}.circle"}


def test_what_has_no_source_is_said_to_have_none(write, tmp_path):
    package = write(root="from . import compiled\nfrom .compiled import f", compiled="f = 1")
    source = tmp_path / package / "compiled.py"
    py_compile.compile(str(source), cfile=str(source.with_suffix(".pyc")))
    source.unlink()
    importlib.invalidate_caches()
    found = source_hashes([f"{package}.root", "no_such_module.at_all"], lambda _: True)
    without = {f"{package}.compiled", "no_such_module.at_all"}
    assert {module for module, known in found.items() if known is None} == without
    assert set(found) == {f"{package}.root", *without}
