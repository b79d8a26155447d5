"""Creates a plugin package with one working component and its test."""

from __future__ import annotations

import importlib.util
import keyword
import re
from importlib.resources import files
from pathlib import Path

from varkit.errors import PluginError
from varkit.plugins.kinds import kind_named
from varkit.system.files import write_text

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{package}"
version = "0.1.0"
description = "{name}: {article} {kind} for varkit."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["varkit"]

[project.entry-points.varkit]
{name} = "{module}"

[tool.hatch.build.targets.wheel]
only-include = ["{module}.py"]

[tool.pytest.ini_options]
pythonpath = ["."]
"""

README = """\
# {package}

{name}: {article} {kind} for varkit.{use}

```console
$ pip install -e .
$ varkit plugins
$ varkit plugin test {name}
$ pytest
```
"""

TEST = """\
\"\"\"{name} keeps what varkit's interface of {article} {kind} promises.\"\"\"

from varkit.testing import check
from {module} import {class_name}


def test_{name}_keeps_its_promises():
    check("{kind}", {class_name})
"""


def scaffold(kind: str, name: str, folder: Path) -> list[Path]:
    """Write a plugin package ``varkit-NAME`` that installs and passes its own test.

    Args:
        kind: of the component.
        name: of the component, snake_case.
        folder: where the package's folder goes.

    Returns:
        The files written, the component's module first.

    Raises:
        PluginError: there is no such kind, the name cannot be used, or the folder exists already.
    """
    row = kind_named(kind)
    check_name(name)
    sections = " or ".join(f"`{slot.section}`" for slot in row.slots)
    words = {
        "kind": kind,
        "name": name,
        "module": f"varkit_{name}",
        "package": f"varkit-{name.replace('_', '-')}",
        "class_name": "".join(word.capitalize() for word in name.split("_")),
        "article": "an" if kind[0] in "aeiou" else "a",
        "use": f" In a recipe, under {sections}: `use: {name}`." if sections else "",
    }
    root = folder / words["package"]
    if root.exists():
        raise PluginError(
            f"{root} exists already; nothing was written",
            hint="choose another name or another --dir",
        )
    template = (files("varkit.testing") / "templates" / row.template).read_text(encoding="utf-8")
    module = template.replace("my_part", name).replace("MyPart", words["class_name"])
    texts = {
        f"{words['module']}.py": module,
        "pyproject.toml": PYPROJECT.format_map(words),
        "README.md": README.format_map(words),
        f"tests/test_{name}.py": TEST.format_map(words),
    }
    for path, text in texts.items():
        write_text(root / path, text)
    return [root / path for path in texts]


def check_name(name: str) -> None:
    """Check that a component and its module can have this name.

    Raises:
        PluginError: it is not snake_case, a keyword of Python, or taken by a package.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
        proposal = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_0123456789")
        hint = f"call it {proposal}" if proposal and not keyword.iskeyword(proposal) else None
        raise PluginError(
            f"a component cannot be named {name!r}: small letters, digits and _, as in every_other",
            hint=hint,
        )
    if importlib.util.find_spec(f"varkit_{name}") is not None:
        raise PluginError(
            f"a module varkit_{name} is installed already", hint="choose another name"
        )
