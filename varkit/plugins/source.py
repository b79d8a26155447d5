"""The source of modules as hashes that comments, docstrings and layout do not change.

A hash is over the syntax tree, without positions and without what a version of Python may leave
out, so every Python that can read a module gives it the same hash. Nothing is imported for it.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, resolve_name

Import = tuple[int, str, str | None]
"""Dots in front, the module, and the name that is taken from it; None = the module itself."""


def source_hashes(modules: Iterable[str], follow: Callable[[str], bool]) -> dict[str, str | None]:
    """Hash modules and what they import, directly or not, wherever in a module.

    The package around a module counts only where something is taken from it itself, so that one
    which registers another component changes nothing for the rest.

    Args:
        modules: dotted names.
        follow: whether an imported module of a name counts.

    Returns:
        Module -> 16 hex digits; None where there is no Python source, as of a compiled module.
    """
    find = cache(_find)
    hashes: dict[str, str | None] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module in hashes:
            continue
        spec = find(module)
        get_source = getattr(spec and spec.loader, "get_source", None)
        text = get_source(module) if get_source else None
        if spec is None or text is None:
            hashes[module] = None
            continue
        hashes[module], imports = _read(text)
        package = module if _is_package(spec) else module.rpartition(".")[0]
        for dots, base, name in imports:
            target = resolve_name("." * dots + base, package) if dots else base
            if follow(target):
                inner = f"{target}.{name}"  # a name that is taken from a package may be a module
                taken = name and _is_package(find(target)) and find(inner)
                waiting.append(inner if taken else target)
    return hashes


def _find(module: str) -> ModuleSpec | None:
    top, *inner = module.split(".")
    spec = None
    with suppress(ValueError):  # a module that was made by hand has no place
        spec = find_spec(top)
    for name in inner:
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = PathFinder.find_spec(f"{spec.name}.{name}", spec.submodule_search_locations)
    return spec


def _is_package(spec: ModuleSpec | None) -> bool:
    return spec is not None and spec.submodule_search_locations is not None


@cache
def _read(text: str) -> tuple[str, tuple[Import, ...]]:
    """Return the hash of a module's source, and its imports."""
    words: list[str] = []
    imports: list[Import] = []
    _spell(ast.parse(text), words, imports)
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16], tuple(imports)


def _spell(node: ast.AST, words: list[str], imports: list[Import]) -> None:
    """Spell a syntax tree out, without docstrings and what errors say; gather its imports."""
    words.append(type(node).__name__)
    if isinstance(node, ast.Import):
        imports += ((0, alias.name, None) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        imports += ((node.level, node.module or "", alias.name) for alias in node.names)
    elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        node = ast.Raise(node.exc.func, node.cause)
    for field in node._fields:
        value = getattr(node, field, None)
        items = [value]
        if isinstance(value, list):
            items = [item for item in value if not _is_docstring(item)]
        if value is None or not items or field == "kind":  # kind: the u of u"text"
            continue
        words.append(field)
        for item in items:
            if isinstance(item, ast.AST):
                _spell(item, words, imports)
            else:
                words.append(ascii(item))  # repr() depends on the Unicode of a version
    words.append(")")


def _is_docstring(node: object) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
