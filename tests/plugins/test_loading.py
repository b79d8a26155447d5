"""Plugins from entry points and files: what loads, what fails, and what a failure leaves alone."""

import pytest

from varkit.errors import PluginError
from varkit.plugins.loading import load_plugins

GOOD = """
from varkit import hookimpl

class Every:
    pass

@hookimpl
def register_samplers(register):
    register("{name}", Every, summary="every clip")
"""

HOOK = "from varkit import hookimpl\n@hookimpl\ndef register_"
FAULTS = {
    "raises": ("raise RuntimeError('boom')", "RuntimeError: boom"),
    "exits": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "syntax": ("def x(:", "SyntaxError"),
    "imports": ("import no_such_module_here", "No module named 'no_such_module_here'"),
    "misspelt": (HOOK + "sampler(register): pass", "register_sampler"),
    "signature": (HOOK + "samplers(registry): pass", "registry"),
    "hook_raises": (HOOK + "samplers(register): 1 / 0", "ZeroDivisionError"),
    "summary": (HOOK + "samplers(register): register('x', int)", "summary"),
}


def test_the_installed_plugins_come_through_entry_points_and_load():
    plugins = load_plugins()
    assert plugins.failures == []
    assert {"alan", "baselines", "datasets"} <= {entry.plugin for entry in plugins.registry}
    assert plugins.get("sampler", "anomaly_led").version != "unknown"


def written(file, source):
    file.parent.mkdir(exist_ok=True)
    file.write_text(source, encoding="utf-8")
    return file


@pytest.mark.parametrize("fault", FAULTS)
def test_a_plugin_that_fails_is_reported_and_the_others_work(point, fault):
    source, reason = FAULTS[fault]
    good = point("good", GOOD.format(name="every"))
    plugins = load_plugins(installed=[point("bad", source), good])
    assert plugins.registry.names("sampler") == ["every"]
    (failure,) = plugins.failures
    assert failure.plugin == "bad"
    assert reason in failure.reason


def test_a_missing_name_also_names_the_plugins_that_failed(point):
    plugins = load_plugins(installed=[point("bad", "raise RuntimeError('boom')")])
    with pytest.raises(PluginError, match=r"failed to load: bad \(RuntimeError: boom at"):
        plugins.get("sampler", "anomaly_led")


def test_a_plugin_that_fails_half_way_registers_nothing(point):
    late = "\n@hookimpl\ndef register_encoders(register):\n    raise RuntimeError('late')\n"
    source = GOOD.format(name="every") + late
    plugins = load_plugins(installed=[point("bad", source)])
    assert list(plugins.registry) == []
    assert plugins.failures[0].reason.startswith("RuntimeError: late at ")


def test_two_plugins_with_one_name_are_both_left_out(point):
    points = [point(name, GOOD.format(name="every"), own=False) for name in ("first", "second")]
    plugins = load_plugins(installed=points)
    assert list(plugins.registry) == []
    for failure in plugins.failures:
        assert "two samplers are named 'every'" in failure.reason
        assert all(f"plugin {name} 1.0" in failure.reason for name in ("first", "second"))


def test_a_name_of_varkits_own_stays_with_varkit(point):
    own, other = (point(n, GOOD.format(name="every"), own=n == "own") for n in ("own", "a_first"))
    plugins = load_plugins(installed=[other, own])
    assert plugins.get("sampler", "every").plugin == "own"
    assert [failure.plugin for failure in plugins.failures] == ["a_first"]


def test_a_file_cannot_shadow_a_built_in(tmp_path):
    file = written(tmp_path / "mine.py", GOOD.format(name="anomaly_led"))
    with pytest.raises(PluginError, match=r"varkit_alan(.|\n)*plugin alan(.|\n)*mine\.py"):
        load_plugins([file])


def test_a_file_registers_beside_what_is_installed(tmp_path):
    file = written(tmp_path / "with a space" / "my sampler.py", GOOD.format(name="every"))
    plugins = load_plugins([file])
    found = plugins.get("sampler", "every")
    assert (found.plugin, found.version) == (str(file), "file")
    assert found.load().__name__ == "Every"
    assert "anomaly_led" in plugins.registry.names("sampler")


def test_two_files_of_one_name_do_not_collide(tmp_path):
    names = ["one", "two"]
    files = [written(tmp_path / name / "plugin.py", GOOD.format(name=name)) for name in names]
    plugins = load_plugins(files, installed=())
    assert plugins.registry.names("sampler") == names
    classes = {plugins.get("sampler", name).load() for name in names}
    assert len(classes) == 2


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_somebody_asked_for_must_load(tmp_path, fault):
    source, reason = FAULTS[fault]
    file = written(tmp_path / "bad.py", source)
    with pytest.raises(PluginError, match=r"bad\.py failed to load") as caught:
        load_plugins([file], installed=())
    assert reason in str(caught.value)


def test_a_file_that_is_not_there_or_no_python_is_named(tmp_path):
    with pytest.raises(PluginError, match=r"no plugin file .*absent\.py"):
        load_plugins([tmp_path / "absent.py"], installed=())
    file = written(tmp_path / "plugin.txt", "x = 1")
    with pytest.raises(PluginError, match="not a Python file"):
        load_plugins([file], installed=())


def test_a_file_that_imports_a_module_that_varkit_lacks_is_told_where_names_are(tmp_path):
    file = tmp_path / "old.py"
    file.write_text("from varkit.shapes import Count\n")
    with pytest.raises(PluginError, match=r"No module named 'varkit\.shapes' at ") as error:
        load_plugins([file])
    assert error.value.hint == "import what a plugin needs of varkit from varkit.interfaces"
