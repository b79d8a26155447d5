"""Verbs that plugins add: listed without being imported, and no plugin can break another verb."""

import json
import sys

import click
import pytest
from click.testing import CliRunner

from varkit.cli import VERBS, main
from varkit.errors import PluginError
from varkit.plugins import loading as varkit_plugins
from varkit.plugins.loading import load_plugins
from varkit.plugins.registry import Command

HOOK = """
from varkit import hookimpl

@hookimpl
def register_commands(register):
    register({name!r}, {target!r}, summary={summary!r})
"""
VERB = """
import click

@click.command()
@click.argument("word")
def greet(word):
    click.echo(f"hello {word}")

nothing = 3
"""


def varkit(*arguments):
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def install(point, monkeypatch):
    """Write modules; those of keyword arguments become the installed plugins."""
    point("target", VERB)

    def write(**sources):
        points = [point(*source) for source in sources.items()]
        monkeypatch.setattr(varkit_plugins, "entry_points", lambda group: points)

    return write


def hook(name="greet", target="plugged_target:greet", summary="Say hello."):
    return HOOK.format(name=name, target=target, summary=summary)


def test_a_verb_is_listed_without_being_imported_and_runs_and_a_near_miss_is_pointed_out(install):
    install(mine=hook())
    assert varkit("ls", "--help").exit_code == 0
    assert "plugged_mine" not in sys.modules, "verbs of varkit load no plugin"
    result = varkit("--help")
    assert ["greet", "Say", "hello."] in [line.split() for line in result.stdout.splitlines()]
    assert "plugged_target" not in sys.modules
    assert main.list_commands(click.Context(main)) == [*VERBS, "greet"]
    assert varkit("greet", "you").stdout == "hello you\n"
    assert "Usage: main greet [OPTIONS] WORD" in varkit("greet", "--help").stdout
    result = varkit("gret", "you")
    assert result.exit_code == 2
    assert "no verb 'gret'. Did you mean 'greet'?" in result.stderr
    assert "doctor, greet." in result.stderr


def test_the_list_of_plugins_has_verbs(install):
    install(mine=hook())
    (command,) = json.loads(varkit("plugins", "--json").stdout)["commands"]
    greet = {"name": "greet", "target": "plugged_target:greet", "summary": "Say hello."}
    assert command == {**greet, "plugin": "mine", "version": "1.0"}
    lines = [line.split() for line in varkit("plugins").stdout.splitlines()]
    assert ["verb", "greet", "mine", "1.0", "Say", "hello."] in lines


def test_a_plugin_that_fails_breaks_no_verb(install):
    install(bad="print('noise'); raise RuntimeError('boom')", mine=hook())
    result = varkit("--help")
    assert result.exit_code == 0
    assert "Say hello." in result.stdout
    assert "noise" not in result.stdout
    assert varkit("greet", "you").stdout == "hello you\n"
    assert varkit("ls").exit_code == 0
    unknown = varkit("its_verb")
    assert unknown.exit_code == 2
    assert "Plugins that failed to load: bad (RuntimeError: boom at " in unknown.stderr
    assert "plugin bad failed to load" in varkit("plugins").stderr


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_module_here:x", "ModuleNotFoundError"),
        ("plugged_target:absent", "AttributeError"),
        ("plugged_target", "is not a click command: module"),
        ("plugged_target:nothing", "is not a click command: int"),
    ],
)
def test_a_target_that_is_wrong_is_said_where_it_is_called(install, target, reason):
    install(mine=hook(target=target))
    assert "Say hello." in varkit("--help").stdout
    result = varkit("greet", "you")
    assert result.exit_code == 1
    assert "verb 'greet' of plugin mine 1.0" in result.stderr
    assert reason in result.stderr
    assert "Traceback" not in result.stderr


def test_two_plugins_with_a_verb_of_one_name_are_left_out(install):
    install(first=hook(), second=hook(target="plugged_target:nothing"), third=hook("wave"))
    assert varkit("wave", "you").stdout == "hello you\n"
    said = (
        "two verbs are named 'greet': plugged_target:greet (plugin first 1.0) "
        "and plugged_target:nothing (plugin second 1.0)"
    )
    result = varkit("greet", "you")
    assert result.exit_code == 2
    assert said in result.stderr
    failures = json.loads(varkit("plugins", "--json").stdout)["failures"]
    assert failures == [{"plugin": name, "reason": said} for name in ("first", "second")]


def test_a_verb_of_varkit_cannot_be_replaced(install):
    install(mine=hook("ls"))
    assert "hello" not in varkit("ls").stdout
    assert "Say hello." not in varkit("--help").stdout
    assert main.list_commands(click.Context(main)) == list(VERBS)
    assert "plugin mine 1.0: verb 'ls' is varkit's own" in varkit("plugins").stderr


def test_a_verb_below_data_stands_beside_those_of_varkit(install):
    install(mine=hook("data greet"), other=hook("data verify"))
    assert varkit("data", "greet", "you").stdout == "hello you\n"
    listed = [line.split()[:1] for line in varkit("data", "--help").stdout.splitlines()]
    assert ["greet"] in listed
    assert ["verify"] in listed
    assert "Say hello." not in varkit("--help").stdout
    assert "hello" not in varkit("data", "verify", "--help").stdout
    assert "plugin other 1.0: verb 'data verify' is varkit's own" in varkit("plugins").stderr


@pytest.mark.parametrize("name", ["Greet", "greet_them", "", "two words", "data ", "-v", "2nd"])
def test_names_are_small_letters(install, name):
    install(mine=hook(name))
    loaded = load_plugins()
    assert loaded.commands == []
    assert "lower-case letters, digits and hyphens, as in 'bench'" in loaded.failures[0].reason


def test_a_plugin_that_fails_half_way_adds_no_verb(install):
    install(mine=hook() + "\n@hookimpl\ndef register_samplers(register):\n    1 / 0\n")
    assert load_plugins().commands == []


def test_a_command_loads_itself_or_says_whose_it_is(install):
    install(mine=hook())
    loaded = load_plugins()
    assert loaded.command("greet").load().name == "greet"
    assert loaded.command("absent") is None
    with pytest.raises(PluginError, match="not a click command"):
        Command("x", "json:dumps", "mine", "1", "x").load()
