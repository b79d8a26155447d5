"""The table of components: names, clashes, nearest matches, lazy loading."""

import json

import pytest

from varkit.errors import PluginError
from varkit.plugins.kinds import KINDS
from varkit.plugins.registry import Entry, Registry


def entry(name="every_other", kind="sampler", target="json:JSONDecoder", plugin="mine"):
    return Entry(kind, name, target, plugin, "1.0", "a summary")


def test_the_same_names_may_serve_several_kinds_and_are_sorted():
    registry = Registry()
    for kind in reversed(KINDS):
        for name in ("b", "a"):
            registry.add(entry(name, kind=kind))
    registry.add(entry("c", kind="encoder"))
    assert registry.names("sampler") == ["a", "b"]
    assert registry.names("encoder") == ["a", "b", "c"]
    assert registry.get("encoder", "a").kind == "encoder"
    names = [(k, n) for k in KINDS for n in ("a", "b", *["c"] * (k == "encoder"))]
    assert [(e.kind, e.name) for e in registry] == names
    assert Registry().names("detector") == []


def test_duplicate_names_both_origins():
    registry = Registry()
    registry.add(entry(plugin="first"))
    with pytest.raises(PluginError, match=r"plugin first 1\.0(.|\n)*plugin second 1\.0"):
        registry.add(entry(plugin="second"))
    assert registry.get("sampler", "every_other").plugin == "first"


@pytest.mark.parametrize("name", ["Every", "every-other", "2nd", "", "every other", "a.b"])
def test_names_must_be_snake_case(name):
    with pytest.raises(PluginError, match="snake_case"):
        Registry().add(entry(name))


def test_unknown_kind_is_refused():
    with pytest.raises(
        PluginError, match=r"no kind 'sampling'\. Did you mean 'sampler'\?.*dataset"
    ):
        Registry().add(entry(kind="sampling"))


def test_missing_name_lists_what_there_is_and_the_nearest():
    registry = Registry()
    with pytest.raises(PluginError, match="Available: none"):
        registry.get("sampler", "x")
    registry.add(entry("anomaly_led"))
    registry.add(entry("fixed_frame"))
    with pytest.raises(PluginError) as caught:
        registry.get("sampler", "anomoly_led")
    message = str(caught.value)
    assert "no sampler is named 'anomoly_led'" in message
    assert "Did you mean 'anomaly_led'?" in message
    assert "Available: anomaly_led, fixed_frame" in message


def test_load_imports_a_target_and_passes_a_class():
    assert entry().load() is json.JSONDecoder
    assert entry(target=Registry).load() is Registry


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_module_here:X", "ModuleNotFoundError"),
        ("json:NoSuchClass", "AttributeError"),
        ("json:dumps", "is not a class: function"),
        ("json", "is not a class: module"),
    ],
)
def test_load_says_what_is_wrong_and_whose_it_is(target, reason):
    with pytest.raises(PluginError, match=r"sampler 'every_other' of plugin mine 1\.0") as caught:
        entry(target=target).load()
    assert reason in str(caught.value)
