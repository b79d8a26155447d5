"""Who may import whom, and what the cheap entrances must not import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLUGINS = sorted(p.name for p in (ROOT / "plugins").iterdir() if (p / "__init__.py").is_file())
HEAVY = ("torch", "transformers", "pydantic", "rich", "matplotlib", "spacy")


def imports(package: Path) -> dict[Path, set[str]]:
    """Return the top-level names that each file of a package imports, wherever in the file."""
    found = {}
    for file in package.rglob("*.py"):
        names = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add((node.module or "").partition(".")[0])
        found[file] = names
    return found


def trespassers(package: Path, forbidden: set[str]) -> dict[str, set[str]]:
    return {
        str(file.relative_to(ROOT)): names & forbidden
        for file, names in imports(package).items()
        if names & forbidden
    }


def test_the_walls_are_looked_at():
    assert len(imports(ROOT / "varkit")) > 20
    assert {"varkit_alan", "varkit_baselines", "varkit_benchmarks"} <= set(PLUGINS)


def test_the_core_imports_no_plugin_and_no_kernel():
    assert trespassers(ROOT / "varkit", {*PLUGINS, "varkit_kernels"}) == {}


@pytest.mark.parametrize("plugin", PLUGINS)
def test_plugins_do_not_import_one_another(plugin):
    assert trespassers(ROOT / "plugins" / plugin, set(PLUGINS) - {plugin}) == {}


def test_the_kernels_import_torch_and_triton_alone():
    allowed = {*sys.stdlib_module_names, "torch", "triton", "varkit_kernels"}
    found = imports(ROOT / "kernels" / "varkit_kernels")
    assert len(found) > 20
    assert {file.name: names - allowed for file, names in found.items() if names - allowed} == {}


@pytest.mark.parametrize(
    "code",
    [
        "import varkit",
        "import varkit.plugins; varkit.plugins.load_plugins()",
        "import sys; sys.argv = ['varkit', '--help']; from varkit.cli import main; main()",
    ],
    ids=["import", "plugins", "help"],
)
def test_the_cheap_entrances_import_nothing_heavy(code):
    script = f"""
import atexit, sys
@atexit.register
def say():
    print("HEAVY", sorted(set({HEAVY!r}) & set(sys.modules)))
{code}
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "HEAVY []"
