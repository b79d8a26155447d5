"""The documentation says what the program is: nothing missing, nothing that is no more."""

import json
import re
from pathlib import Path

import pytest
import reference

from varkit.plugins import hookspecs
from varkit.plugins.kinds import KINDS
from varkit.recipe.check import SECTIONS
from varkit.recipe.options import options_of
from varkit.recipe.shipped import shipped_recipes
from varkit.testing import check

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(p for p in (ROOT / "docs").rglob("*.md") if not {"generated", "_build"} & {*p.parts}),
]
FOLDERS = (".ci", "docs", "examples", "kernels", "plugins", "recipes", "tests", "varkit")
MADE = {"_build", "generated", "__pycache__"}


def repository():
    """Yield every file of the repository."""
    for path in (*ROOT.iterdir(), *(p for name in FOLDERS for p in (ROOT / name).rglob("*"))):
        if path.is_file() and not MADE & {*path.parts}:
            yield path


@pytest.fixture(scope="module")
def registry():
    return reference.own_plugins().registry


def own_words():
    return "\n".join(path.read_text(encoding="utf-8") for path in PAGES)


def test_every_component_and_option_is_described(registry):
    text = reference.components(registry)
    for entry in registry:
        # A method's encoder and its alignment may share a name.
        section = text.split(f"## {KINDS[entry.kind].plural.capitalize()}\n")[1].split("\n## ")[0]
        block = section.split(f"\n### {entry.name}\n")[1].split("\n### ")[0]
        for option in options_of(entry.load()):
            assert f"| `{option}` |" in block, f"{entry.kind} {entry.name}: {option}"


def test_the_page_of_parts_is_what_the_components_do(registry):
    page = (ROOT / "docs/parts.md").read_text(encoding="utf-8")
    assert page == reference.parts(registry), "python docs/reference.py writes it again"
    assert "| `two_stream` | clips | `vectors.cls` (B, E, D); `vectors.avg` (B, E, D)" in page
    assert "| alignment `xml` | `tokens.object` (B, L, D)" in page


def test_every_section_of_a_recipe_and_its_options_are_described():
    overview, details = reference.sections(), reference.section_options()
    for name, section in SECTIONS.items():
        assert f"| `{name}` |" in overview
        for option in options_of(section.options):
            assert f"| `{option}` |" in details, f"{name}.{option}"


def test_every_hook_is_described():
    hooks, text = vars(hookspecs.manager().hook), reference.hooks()
    names = [name for name in hooks if not name.startswith("_")]
    assert names
    for name in names:
        assert f"`{name}({', '.join(hooks[name].spec.argnames)})`" in text


def test_every_command_is_shown_in_use_and_only_commands_are():
    known = {" ".join(path) for path, _ in reference.verbs()}
    groups = {command.rpartition(" ")[0] for command in known}
    used = set()
    for line in own_words().splitlines():
        for text in re.findall(r"(?:^\$ |`|\.venv/bin/|[:;] )varkit ([a-z][a-z ]*[a-z])", line):
            words = text.split()
            first, both = f"varkit {words[0]}", " ".join(["varkit", *words[:2]])
            command = both if first in groups and (both in known or first not in known) else first
            assert command in known, f"{line!r} uses {command!r}"
            used.add(command)
    assert used == known


def test_every_promise_names_a_test_that_exists():
    page = (ROOT / "docs/promises.md").read_text()
    rows = re.findall(r"^\| (?!promise|---)[^|]+ \| ([^|]+) \|$", page, re.MULTILINE)
    assert len(rows) > 30
    for row in rows:
        proofs = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert proofs, row
        for file, name in proofs:
            assert f"def {name}(" in (ROOT / file).read_text(), name


def test_every_shipped_recipe_is_listed_and_only_those():
    page = (ROOT / "docs/recipes.md").read_text()
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", page, re.MULTILINE)
    listed = re.findall(r"\w+", "\n".join(rows))
    assert sorted(listed) == sorted(shipped_recipes())
    for name in re.findall(r"recipes/(\w+)\.yaml", own_words()):
        assert name in shipped_recipes()


def test_every_component_and_option_of_alan_is_explained_with_the_default_it_has(registry):
    text = (ROOT / "docs/alan.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| `([\w.]+)` \| `([^`]+)` \|", text, re.MULTILINE)
    assert len(rows) > 30
    classes = {name: section.options for name, section in SECTIONS.items()}
    classes |= {entry.name: entry.load() for entry in registry}
    for name, default in rows:
        owner, _, option = name.rpartition(".")
        assert options_of(classes[owner])[option].plain_default() == json.loads(default), name
    names = {entry.name for entry in registry if entry.plugin == "alan"}
    assert names <= set(re.findall(r"`(\w+)`", text))


def test_the_architecture_shows_every_room():
    text = (ROOT / "docs/architecture.md").read_text()
    rooms = re.search(r"```text\n(varkit/.*?)```", text, re.DOTALL)[1]
    shown = set(re.findall(r"[\w.]+(?:\.py|/)", rooms))
    for path in (ROOT / "varkit").iterdir():
        if path.name.startswith("_") or path.suffix not in ("", ".py"):
            continue
        assert path.name + ("/" if path.is_dir() else "") in shown, path.name
    for name in shown:
        places = (ROOT, ROOT / "varkit", ROOT / "plugins", ROOT / "kernels")
        assert any((place / name).exists() for place in places), name


def test_every_make_target_in_use_exists():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())
    used = set(re.findall(r"(?:^\$ |`)make (\w+)", own_words(), re.MULTILINE))
    assert {"demo", "test"} <= used <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_every_relative_link_leads_somewhere():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_plugin_of_the_readme_passes_the_kit():
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    assert len(code.splitlines()) <= 25
    module = {}
    exec(code, module)
    assert check("sampler", module["LastClips"])


def test_every_dependency_has_a_tested_version():
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    pinned = {name.lower().replace("_", "-") for name in pinned}
    project = (ROOT / "pyproject.toml").read_text()
    wanted = set(re.findall(r'"([A-Za-z][\w.-]*)>=', project))
    wanted |= set(re.findall(r"--no-deps ([\w-]+)", (ROOT / "Makefile").read_text()))
    assert len(wanted) > 15
    assert {name.lower() for name in wanted} <= pinned


def test_the_repository_speaks_of_no_machine_and_leaves_nothing_to_do():
    forbidden = re.compile(
        r"(?<![\w.$}\"])/(?:work|root|home)/"  # a folder of somebody's machine
        r"|(?:extra-)?index[-_]url\b"
        r"|\b(?:TO" + "DO|FIX" + r"ME)\b"
    )
    for path in repository():
        if path == Path(__file__):
            continue
        text = path.read_bytes().decode("utf-8", errors="replace")
        found = forbidden.search(text)
        assert not found, f"{path.relative_to(ROOT)}: {found[0]}"
