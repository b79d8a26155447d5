"""A kind of component is one row and the protocol, check and template that the row names."""

import json
import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest
import reference
from click.testing import CliRunner

from tests.support import captioner
from varkit.cli.plugin import plugin
from varkit.cli.plugins import plugins
from varkit.errors import PluginError
from varkit.plugins import loading
from varkit.plugins.kinds import KINDS
from varkit.recipe.editor import json_schema
from varkit.testing import ConformanceError, check
from varkit.testing.scaffold import scaffold


@pytest.fixture(autouse=True)
def _captioner(monkeypatch):
    """Add a kind that stands in no recipe."""
    monkeypatch.setitem(KINDS, "captioner", captioner.ROW)


@pytest.fixture
def scaffolded(monkeypatch, tmp_path):
    """Scaffold a component of that kind and install it."""
    module = scaffold("captioner", "my_thing", tmp_path)[0]
    monkeypatch.syspath_prepend(module.parent)
    own = SimpleNamespace(name="varkit", version="1.0")
    points = [EntryPoint("mine", module.stem, "varkit")._for(own)]
    monkeypatch.setattr(loading, "entry_points", lambda group: points)
    yield module
    del sys.modules[module.stem]


def output_of(command, *arguments):
    result = CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_row_is_enough_to_register_list_check_and_document_a_kind(scaffolded):
    loaded = loading.load_plugins()
    assert loaded.failures == []
    (component,) = json.loads(output_of(plugins, "--json"))["components"]
    assert (component["kind"], component["name"]) == ("captioner", "my_thing")
    tested = output_of(plugin, "test", scaffolded)
    assert "ok  captions_fit: There is one sentence a video" in tested
    assert "2 of 2 promises kept" in tested
    assert "| `register_captioners(register)` | Register captioners" in reference.hooks()
    page = reference.components(loaded.registry)
    assert "Captioner`: a sentence on what a video shows.\n\n### my_thing\n" in page
    assert ", captioners |" in reference.supplied()
    assert "In a recipe" not in (scaffolded.parent / "README.md").read_text()
    assert not any("captioner" in name for name in json_schema(loaded)["$defs"])


def test_the_kit_finds_faults_in_a_new_kind():
    class Mute:
        language = "none"

    class Wide(Mute):
        def __call__(self, clips):
            return tuple(f"{clips.mask.shape[1]} clips" for _ in range(len(clips)))

    with pytest.raises(
        ConformanceError, match=r"has_all_members: It has all members of \S+Captioner\n.*__call__"
    ):
        check("captioner", Mute)
    with pytest.raises(ConformanceError, match="padding_changes_nothing"):
        check("captioner", Wide)


@pytest.mark.parametrize("use", [check, lambda kind, cls: scaffold(kind, "mine", None)])
def test_a_misspelt_kind_gets_the_nearest(use):
    with pytest.raises(PluginError, match=r"no kind 'smapler'\. Did you mean 'sampler'\? Known: d"):
        use("smapler", object)
