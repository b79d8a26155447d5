"""Hashes of modules' source that comments, docstrings and layout do not change.

A hash covers the syntax tree, without positions and without fields that only some versions of
Python have. So every version that can parse a module gives the same hash. Nothing is imported.
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
"""Leading dots, the module, and the name imported from it; None = the module itself."""


def source_hashes(modules: Iterable[str], follow: Callable[[str], bool]) -> dict[str, str | None]:
    """Hash modules and everything that they import, directly or indirectly, in any function.

    A package's ``__init__`` counts only if something is imported from it directly, so that
    registering one more component there does not change the hashes of the rest.

    Args:
        modules: dotted names.
        follow: whether to hash an imported module, by its name.

    Returns:
        Module -> 16 hex digits; None if it has no Python source, such as a compiled module.
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
                inner = f"{target}.{name}"  # a name imported from a package may be a module
                taken = name and _is_package(find(target)) and find(inner)
                waiting.append(inner if taken else target)
    return hashes


def _find(module: str) -> ModuleSpec | None:
    top, *inner = module.split(".")
    spec = None
    with suppress(ValueError):  # a module created at run time has no spec
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
    """Append a syntax tree, without docstrings and error messages, to words; gather imports."""
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
                words.append(ascii(item))  # repr() depends on the version's Unicode tables
    words.append(")")


def _is_docstring(node: object) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
