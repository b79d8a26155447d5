"""``varkit plugins`` and ``varkit plugin``, and that what they scaffold works at once."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from click.testing import CliRunner

from varkit.cli.plugin import plugin
from varkit.cli.plugins import plugins
from varkit.errors import PluginError
from varkit.plugins import loading as varkit_plugins
from varkit.plugins.kinds import KINDS
from varkit.recipe.load import load_recipe
from varkit.recipe.shipped import shipped_recipes
from varkit.testing import check

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "plugins" / "varkit-every-other"


def run(command, *arguments, code=0):
    result = CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def broken_plugin(tmp_path, monkeypatch):
    """Install, for this test, a plugin that fails."""
    file = tmp_path / "plugged_in.py"
    file.write_text("print('hello'); raise ImportError('no [bold]module[/bold] bar')")
    monkeypatch.syspath_prepend(tmp_path)
    points = [
        *varkit_plugins.entry_points(group="varkit"),
        EntryPoint("plugged", "plugged_in", "varkit"),
    ]
    monkeypatch.setattr(varkit_plugins, "entry_points", lambda group: points)
    return file


def test_the_table_names_every_component():
    shown = run(plugins).stdout
    assert all(entry.name in shown for entry in varkit_plugins.load_plugins().registry)


def test_json_has_every_component_and_every_failure_which_the_table_shows_on_stderr(broken_plugin):
    said = json.loads(run(plugins, "--json").stdout)
    assert {c["kind"] for c in said["components"]} <= set(KINDS)
    (sampler,) = [c for c in said["components"] if c["name"] == "anomaly_led"]
    assert sampler["target"] == "varkit_alan.anomaly_led:AnomalyLed"
    assert sampler["plugin"] == "alan"
    assert set(sampler) == {"kind", "name", "plugin", "version", "summary", "target"}
    assert said["failures"] == [
        {
            "plugin": "plugged",
            "reason": f"ImportError: no [bold]module[/bold] bar at {broken_plugin}:1",
        }
    ]
    shown = run(plugins).stderr
    assert "plugin plugged failed to load" in shown
    assert "no [bold]module[/bold] bar" in shown


def test_a_component_is_shown_with_its_options_and_parts_in_80_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = run(plugins, "two_stream").stdout
    assert max(map(len, shown.splitlines())) <= 80
    lines = [line.split() for line in shown.splitlines()]
    assert ["plugin", "alan", "0.1.0,", "varkit_alan.two_stream:TwoStream"] in lines
    assert ["vectors.cls", "(B,", "E,", "D)"] in lines
    assert any(line[:2] == ["heads", "12"] for line in lines)
    (told,) = json.loads(run(plugins, "cls", "--json").stdout)["components"]
    assert {(part["side"], part["name"]) for part in told["parts"]} == {
        ("video", "vectors.cls"),
        ("query", "vectors.cls"),
        ("query", "weights.cls"),
    }
    kinds = [c["kind"] for c in json.loads(run(plugins, "ce", "--json").stdout)["components"]]
    assert kinds == ["encoder", "alignment"]
    with pytest.raises(PluginError, match="Did you mean 'two_stream'"):
        run(plugins, "tow_stream")


ODD = """
from varkit import hookimpl

class Unprintable:
    def __repr__(self): raise ValueError("hostile")

class P:
    def __init__(self, *, part: object = Unprintable()) -> None: ...

@hookimpl
def register_samplers(register):
    register("odd", P, summary="s")
"""


def test_a_component_that_cannot_be_read_says_so(tmp_path, monkeypatch):
    (tmp_path / "plugged_odd.py").write_text(ODD)
    monkeypatch.syspath_prepend(tmp_path)
    points = [EntryPoint("odd", "plugged_odd", "varkit")]
    monkeypatch.setattr(varkit_plugins, "entry_points", lambda group: points)
    (told,) = json.loads(run(plugins, "odd", "--json").stdout)["components"]
    assert told["fault"].startswith("sampler 'odd' of plugin odd unknown: ")


# ---------------------------------------------------------------- plugin test


def test_a_registered_component_is_tested_by_its_name_and_kind():
    shown = run(plugin, "test", "fixed_frame").stdout
    assert "ok  picks_are_real_clips: Every pick is a real clip, never padding" in shown
    run(plugin, "test", "fixed_frame", "--kind", "sampler")
    with pytest.raises(PluginError, match="no encoder is named 'fixed_frame'"):
        run(plugin, "test", "fixed_frame", "--kind", "encoder")
    with pytest.raises(PluginError, match="Did you mean 'fixed_frame'"):
        run(plugin, "test", "fixed_frames")


FILE = """
import torch
from varkit import hookimpl

class Front:
    def __init__(self, *, count: int = 4) -> None:
        self.count = count

    def __call__(self, scores, mask, draws, *, training):
        return torch.arange(self.count).repeat(len(mask), 1)

class Draws(Front):
    def __call__(self, scores, mask, draws, *, training):
        last = mask.sum(1, keepdim=True) - 1
        return torch.arange(self.count).minimum(last)

@hookimpl
def register_samplers(register):
    register("front", Front, summary="picks padding")
    register("draws", Draws, summary="is right")
"""


def test_all_components_of_a_file_are_tested(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(FILE, encoding="utf-8")
    shown = run(plugin, "test", file, code=1).stdout
    for said in (
        "sampler front",
        "sampler draws",
        "BROKEN  picks_are_real_clips",
        "video 1 has clips 0 to 0, but [1, 2, 3] were picked",
        "9 of 9 promises kept",
    ):
        assert said in shown


def test_a_name_that_is_taken_is_told_unless_the_file_is_the_installed_plugin(
    tmp_path, monkeypatch
):
    file = tmp_path / "plugged_file.py"
    file.write_text(FILE.replace('"draws", Draws', '"fixed_frame", Draws'), encoding="utf-8")
    shown = run(plugin, "test", file, code=1).stdout
    assert "BROKEN  name_is_free" in shown
    assert "two samplers are named 'fixed_frame'" in shown
    file.write_text(FILE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    points = [EntryPoint("mine", "plugged_file", "varkit")]
    monkeypatch.setattr(varkit_plugins, "entry_points", lambda group: points)
    assert "name_is_free" not in run(plugin, "test", file, code=1).stdout


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise RuntimeError('boom')", r"mine\.py failed to load: RuntimeError: boom"),
        ("x = 1", "registers no component"),
    ],
)
def test_a_file_that_raises_or_has_no_component_is_a_clear_error(tmp_path, source, said):
    file = tmp_path / "mine.py"
    file.write_text(source, encoding="utf-8")
    with pytest.raises(PluginError, match=said):
        run(plugin, "test", file)


def test_what_cannot_be_checked_has_not_passed(tmp_path):
    file = tmp_path / "mine.py"
    lacking = "\n    missing = staticmethod(lambda **options: ['weights: download them'])\n"
    source = FILE.replace("class Draws(Front):", f"class Draws(Front):{lacking}")
    file.write_text(source.replace('"front", Front', '"front", "json:Nothing"'), encoding="utf-8")
    shown = run(plugin, "test", file, code=1).stdout
    assert "cannot be checked here: weights: download them" in shown
    assert "cannot import 'json:Nothing'" in shown


def test_a_name_of_two_kinds_asks_for_the_kind(tmp_path, monkeypatch):
    source = FILE + (
        "\n@hookimpl\ndef register_objectives(register):\n"
        "    register('front', Front, summary='no objective at all')\n"
    )
    (tmp_path / "plugged_both.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    points = [EntryPoint("twice", "plugged_both", "varkit")]
    monkeypatch.setattr(varkit_plugins, "entry_points", lambda group: points)
    with pytest.raises(PluginError, match=r"sampler, objective(.|\n)*--kind sampler"):
        run(plugin, "test", "front")
    assert "sampler front" in run(plugin, "test", "front", "--kind", "sampler", code=1).stdout


# ---------------------------------------------------------------- plugin new


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_of_every_kind_passes_at_once(kind, tmp_path):
    run(plugin, "new", kind, "two_words", "--dir", tmp_path)
    package = tmp_path / "varkit-two-words"
    module = package / "varkit_two_words.py"
    rest = {package / name for name in ("pyproject.toml", "README.md", "tests/test_two_words.py")}
    written = {path for path in package.rglob("*") if path.is_file()}
    assert written == {module, *rest}
    for path in written:
        forbidden = "my_part|MyPart" if path == module else "my_part|MyPart|{"
        assert not re.search(forbidden, path.read_text(encoding="utf-8"))
    assert "two_words" in run(plugin, "test", module).stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["brand_new", "every_other"])
def test_a_plugin_installs_is_listed_and_passes_its_own_test(name, tmp_path):
    package, site = tmp_path / f"varkit-{name.replace('_', '-')}", tmp_path / "site"
    if name == "every_other":
        shutil.copytree(TUTORIAL, package)
    else:
        run(plugin, "new", "sampler", name, "--dir", tmp_path)
    flags = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check", "-q"]
    install = [sys.executable, "-m", "pip", "install", *flags, "--target", site, package]
    subprocess.run(install, check=True)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    own = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    subprocess.run(own, check=True, cwd=package, env=environment)
    listed = subprocess.check_output(
        [sys.executable, "-m", "varkit", "plugins", "--json"], env=environment
    )
    names = {c["name"]: c["plugin"] for c in json.loads(listed)["components"]}
    assert names[name] == name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("EveryOther", "hint: call it every_other"),
        ("every-other", "hint: call it every_other"),
        ("2nd", "hint: call it nd"),
        ("../evil", "hint: call it evil"),
        ("naïve", "hint: call it na_ve"),
        ("fixed_frame", "has sampler 'fixed_frame' already"),
        *((name, None) for name in ("class", "", "_", "a__b", "alan")),
    ],
)
def test_bad_and_taken_names_and_words_of_python_are_refused(name, said, tmp_path):
    with pytest.raises(PluginError, match=said):
        run(plugin, "new", "sampler", name, "--dir", tmp_path)
    assert not any(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path):
    run(plugin, "new", "sampler", "mine", "--dir", tmp_path)
    module = tmp_path / "varkit-mine" / "varkit_mine.py"
    module.write_text("precious", encoding="utf-8")
    with pytest.raises(PluginError, match="exists already"):
        run(plugin, "new", "encoder", "mine", "--dir", tmp_path)
    assert module.read_text(encoding="utf-8") == "precious"


# ---------------------------------------------------------------- the tutorial's plugin


def test_the_tutorial_plugin_is_short_and_passes():
    module = TUTORIAL / "varkit_every_other.py"
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 25
    loaded = varkit_plugins.load_plugins([module])
    assert check("sampler", loaded.get("sampler", "every_other").load(), {"count": 4})
    run(plugin, "test", module)


def test_a_copied_recipe_uses_the_tutorial_plugin_as_a_file(tmp_path):
    shutil.copy(TUTORIAL / "varkit_every_other.py", tmp_path)
    shipped = shipped_recipes()["alan_ucf"].read_text(encoding="utf-8")
    copied = shipped.replace("use: fixed_frame", "use: every_other")
    assert copied != shipped
    recipe_file = tmp_path / "mine.yaml"
    recipe_file.write_text(f"plugins: [./varkit_every_other.py]\n{copied}", encoding="utf-8")
    recipe, loaded = load_recipe(recipe_file)
    assert recipe.samplers["fixed"].use == "every_other"
    assert loaded.get("sampler", "every_other").version == "file"
