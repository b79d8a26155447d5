"""Who may import whom, and what the cheap entrances must not import."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLUGINS = sorted(p.name for p in (ROOT / "plugins").iterdir() if (p / "__init__.py").is_file())
ROOMS = (
    *("errors", "system", "interfaces", "plugins", "recipe", "blocks", "model", "data"),
    *("media", "evaluation", "training", "runs", "search", "testing", "cli"),
)
"""From ground to top: each imports only rooms before it."""
BUILT_ON = {"varkit_simulator": {"varkit_datasets"}}
"""Plugins that another plugin may import: the simulator writes what the benchmarks read."""
HEAVY = ("torch", "transformers", "pydantic", "rich", "matplotlib", "spacy", "av")


def modules(file: Path) -> set[str]:
    """Return the modules that a file imports, wherever in the file, as dotted names."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imports(package: Path) -> dict[Path, set[str]]:
    """Return the top-level names that each file of a package imports."""
    return {
        file: {name.partition(".")[0] for name in modules(file)} for file in package.rglob("*.py")
    }


def trespassers(package: Path, forbidden: set[str]) -> dict[str, set[str]]:
    return {
        str(file.relative_to(ROOT)): names & forbidden
        for file, names in imports(package).items()
        if names & forbidden
    }


def test_the_core_imports_no_plugin_and_no_kernel():
    assert len(imports(ROOT / "varkit")) > 20
    assert {"varkit_alan", "varkit_baselines", "varkit_datasets"} <= set(PLUGINS)
    assert trespassers(ROOT / "varkit", {*PLUGINS, "varkit_kernels"}) == {}


def test_each_room_imports_only_rooms_before_it():
    core = ROOT / "varkit"
    entries = {p.stem for p in core.iterdir() if not p.name.startswith(("_", "py.typed"))}
    assert entries == set(ROOMS)
    arrows = {
        (file.relative_to(core).parts[0].removesuffix(".py"), name.split(".")[1])
        for file in core.rglob("*.py")
        if file.parent != core or file.name == "errors.py"
        for name in modules(file)
        if name.startswith("varkit.") and name.split(".")[1] in ROOMS
    }
    assert len(arrows) > 40
    upward = {(room, name) for room, name in arrows if ROOMS.index(name) > ROOMS.index(room)}
    assert upward == set()


def test_no_test_module_imports_a_test_module():
    imported = {
        (str(file.relative_to(ROOT)), name)
        for file in (ROOT / "tests").rglob("*.py")
        for name in modules(file)
        if name.startswith("tests.")
    }
    assert len(imported) > 20
    assert {(file, name) for file, name in imported if ".test_" in name} == set()


OPENERS = {
    *("open", "read_text", "read_bytes", "ZipFile", "safe_open", "from_pretrained"),
    *("np.load", "np.fromfile", "np.loadtxt", "np.memmap", "load_workbook", "read_table"),
}
GUARDS = {"open_user_file", "check_user_file"}
OWN_FILES = {
    "varkit/cli/ls.py:_summary",  # shipped recipes
    "varkit/media/catalogue.py:_lives",  # a lock of its own
    "varkit/system/bounds.py:bound_memory",  # /proc
    "varkit/system/files.py:replacing",
    "varkit/system/files.py:sync_folder",
    "varkit/system/inputs.py:open_user_file",
    "varkit/system/machine.py:_read",  # /proc and /sys
    "varkit/system/unpickle.py:_load",  # a file that is open already
    "varkit/testing/scaffold.py:scaffold",  # shipped templates
    "varkit/training/log.py:sync",
    "plugins/varkit_bench/machine.py:_search",  # /proc
    "plugins/varkit_extractors/i3d.py:kinetics_400",  # names that ship with it
    "plugins/varkit_studies/exhibits/running_time.py:_machine",  # /proc
}
"""Functions that read without a guard what no user names."""


def opens(call: ast.Call) -> bool:
    """Whether a call opens a file to read it, by its name alone."""
    match call.func, call.args:
        case ast.Attribute(ast.Name("os"), "open"), _:
            return True
        case ast.Attribute(_, "open"), [mode, *_]:  # a data set opens a video by its name
            return isinstance(mode, ast.Constant) and str(mode.value).startswith("r")
        case ast.Attribute(ast.Name("np"), name), _:
            return f"np.{name}" in OPENERS
        case ast.Attribute(_, name), _:
            return name in OPENERS
        case ast.Name(name), _:
            return name in OPENERS - {"read_text", "read_table"}  # functions of our own
    return False


def test_users_files_are_opened_under_one_guard():
    readers, unguarded = set(), set()
    for file in (f for place in ("varkit", "plugins") for f in (ROOT / place).rglob("*.py")):
        for function in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
            if any(map(opens, calls)):
                place = f"{file.relative_to(ROOT)}:{function.name}"
                readers.add(place)
                if not GUARDS & {getattr(call.func, "id", "") for call in calls}:
                    unguarded.add(place)
    assert len(readers) > len(OWN_FILES) + 5
    assert unguarded == OWN_FILES


def test_nothing_unpickles():
    unsafe = re.compile(
        r"^\s*(import|from) (pickle|marshal|shelve|dill|joblib)\b|torch\.load\(|allow_pickle=True"
        r"|yaml\.(unsafe_|full_)load|weights_only",
        re.MULTILINE,
    )
    files = (f for place in ("varkit", "plugins", "kernels") for f in (ROOT / place).rglob("*.py"))
    unpickling = [file for file in files if unsafe.search(file.read_text(encoding="utf-8"))]
    # The restricted reader of other people's weights, which calls nothing that a file names.
    assert [file.relative_to(ROOT).as_posix() for file in unpickling] == [
        "varkit/system/unpickle.py"
    ]


def test_everything_is_printed_where_it_is_escaped():
    """``terminal`` prints tables of escaped cells, with rich's styles."""
    printing = re.compile(r"(^|[^\w.])print\(|click\.s?echo\(|sys\.std(out|err)\.write")
    files = (f for place in ("varkit", "plugins") for f in (ROOT / place).rglob("*.py"))
    found = {file.stem for file in files if printing.search(file.read_text(encoding="utf-8"))}
    assert found == {"output", "terminal"}


@pytest.mark.parametrize("plugin", PLUGINS)
def test_plugins_import_only_the_plugins_that_they_are_built_on(plugin):
    others = set(PLUGINS) - {plugin} - BUILT_ON.get(plugin, set())
    assert trespassers(ROOT / "plugins" / plugin, others) == {}


def test_the_kernels_import_torch_and_triton_alone():
    allowed = {*sys.stdlib_module_names, "torch", "triton", "varkit_kernels"}
    found = imports(ROOT / "kernels" / "varkit_kernels")
    assert len(found) > 20
    assert {file.name: names - allowed for file, names in found.items() if names - allowed} == {}


@pytest.mark.parametrize(
    "code",
    [
        "import varkit",
        "import varkit.plugins.loading; varkit.plugins.loading.load_plugins()",
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
