"""Hostile installed plugins: each is named with its reason and left out, and all else works."""

import json
import os
import signal
import sys
import warnings
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from varkit.cli import main
from varkit.errors import PluginError, VarkitError
from varkit.plugins import loading, probe
from varkit.plugins.isolation import contained
from varkit.plugins.loading import load_plugins

HEAD = "from varkit import hookimpl\nclass P: ...\n"


def registering(call, head=HEAD, hook="samplers"):
    return f"{head}@hookimpl\ndef register_{hook}(register):\n    {call}\n"


GOOD = registering("register('every', P, summary='every clip')")
UNPRINTABLE = "class E(Exception):\n    def __str__(self): raise ValueError('nested')\n"
HOSTILE = {
    "unprintable": (f"{UNPRINTABLE}raise E", "E: its message cannot be printed at "),
    "unprintable_kind": (
        "from varkit.errors import VarkitError\nclass E(VarkitError):\n"
        "    def __init__(self): self.what = None\nraise E",
        "E",
    ),
    "exits": ("import sys; sys.exit(0)", "SystemExit: 0"),
    "interrupts": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "generator": ("raise GeneratorExit", "GeneratorExit"),
    "stops": ("raise StopIteration", "StopIteration"),
    "odd": ("class Odd(BaseException): ...\nraise Odd('x')", "Odd: x"),
    "ends": ("import os; os._exit(0)", "os._exit(0) would end the program"),
    "ends_itself": ("import posix; posix._exit(0)", "ends the process with exit code 0"),
    "ends_late": (f"{GOOD}import atexit, posix; atexit.register(posix._exit, 3)", "exit code 3"),
    "killed": ("import os; os.kill(os.getpid(), 9)", "SIGKILL"),
    "kills_its_group": ("import os; os.killpg(0, 15)", "SIGTERM"),
    "crashes": ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
    "recursion": ("def f(): f()\nf()", "RecursionError"),
    "asks": ("input()", "EOFError"),
    "hidden": (
        registering("register('x', type('Q', (), {}), summary='s')"),
        "cannot import 'plugged_hidden:Q'",
    ),
}
WRONG = {
    "number": (registering("register(5, P, summary='s')"), "sampler name 5 must be snake_case"),
    "capital": (registering("register('Bad', P, summary='s')"), "must be snake_case"),
    "sub_text": (
        registering("register(T('x'), P, summary='s')", f"{HEAD}class T(str): ...\n"),
        "must be snake_case",
    ),
    "no_summary": (registering("register('x', P, summary=None)"), "its summary must be one line"),
    "lines": (registering("register('x', P, summary='a\\nb')"), "its summary must be one line"),
    "escapes": (registering("register('x', P, summary='\\x1b[2J')"), "summary must be one line"),
    "target": (registering("register('x', 5, summary='s')"), "its target must be a class or"),
    "instance": (registering("register('x', P(), summary='s')"), "its target must be a class or"),
    "expression": (registering("register('x', 'os:a b', summary='s')"), "its target must be"),
    "metaclass": (
        registering(
            "register('x', Q, summary='s')",
            "from varkit import hookimpl\nclass M(type):\n    @property\n"
            "    def __module__(cls): raise ValueError('hostile')\n"
            "class Q(metaclass=M): ...\n",
        ),
        "ValueError: hostile",
    ),
    "twice": (
        registering("[register('x', P, summary='s') for _ in '12']"),
        "two samplers are named 'x'",
    ),
    "verb": (registering("register('zz', P, summary='s')", hook="commands"), "'module:name'"),
}


def test_every_hostile_plugin_is_named_with_its_reason_and_the_good_one_works(point, capfd):
    points = [point(name, source, own=False) for name, (source, _) in HOSTILE.items()]
    points.append(point("good", GOOD, own=False))
    points.append(point("prints", f"print('NOISE')\n{GOOD.replace('every', 'other')}", own=False))
    points.append(type(points[0])("malformed", "no module : at all", "varkit"))
    plugins = load_plugins(installed=points, patience=60)
    assert plugins.registry.names("sampler") == ["every", "other"]
    reasons = {failure.plugin: failure.reason for failure in plugins.failures}
    assert reasons.pop("malformed") == "its entry point 'no module : at all' is not a module"
    assert reasons.keys() == HOSTILE.keys()
    for name, (_, reason) in HOSTILE.items():
        assert reason in reasons[name], name
    assert "plugged_good" not in sys.modules, "nothing is imported before it is used"
    assert plugins.get("sampler", "every").load().__name__ == "P"
    said = capfd.readouterr()
    assert "NOISE" in said.err
    assert said.out == ""


def test_an_import_that_hangs_is_given_up(point):
    hanging = point("hangs", "import time; time.sleep(1000)", own=False)
    plugins = load_plugins(installed=[hanging], patience=0.5)
    assert plugins.failures[0].reason == "its import takes longer than 0.5 seconds"


def test_help_and_the_list_of_plugins_name_what_is_left_out(point, monkeypatch):
    points = [point("bad", HOSTILE["exits"][0], own=False), point("own", GOOD)]
    monkeypatch.setattr(loading, "entry_points", lambda group: points)
    help_text = CliRunner().invoke(main, ["--help"])
    assert help_text.exit_code == 0
    assert "bad  SystemExit: 0" in help_text.stdout
    listed = json.loads(CliRunner().invoke(main, ["plugins", "--json"]).stdout)
    assert [failure["plugin"] for failure in listed["failures"]] == ["bad"]
    assert [component["name"] for component in listed["components"]] == ["every"]


@pytest.mark.parametrize("fault", WRONG)
def test_what_a_plugin_registers_is_validated_before_anything_reads_it(point, fault):
    source, reason = WRONG[fault]
    plugins = load_plugins(installed=[point(fault, source), point("good", GOOD)])
    assert plugins.registry.names("sampler") == ["every"]
    (failure,) = plugins.failures
    assert failure.plugin == fault
    assert reason in failure.reason


def test_an_answer_is_kept_until_the_plugin_changes(point, tmp_path):
    asked = tmp_path / "data" / "asked"
    asked.parent.mkdir()
    count = f"open({str(asked)!r}, 'a').write('x')\n"
    strange = point("good", count + GOOD, own=False)

    def names():
        probe._asked.cache_clear()  # as in another process
        return load_plugins(installed=[strange], patience=60).registry.names("sampler")

    assert names() == names() == names() == ["every"]
    assert asked.read_text() == "x"
    point("good", count + GOOD.replace("every", "other"))
    assert names() == names() == ["other"]
    assert asked.read_text() == "xx"


@pytest.mark.parametrize("damage", [lambda kept: kept.write_text("{"), lambda kept: kept.mkdir()])
def test_a_cache_that_cannot_be_read_or_written_is_done_without(point, damage):
    strange = point("good", GOOD, own=False)
    request = json.dumps({"name": strange.name, "value": strange.value})
    kept = probe._cache_file(request)
    kept.parent.mkdir(parents=True)
    damage(kept)
    probe._asked.cache_clear()
    assert load_plugins(installed=[strange], patience=60).registry.names("sampler") == ["every"]


def test_a_distribution_with_damaged_files_breaks_no_other(tmp_path, monkeypatch):
    info = tmp_path / "odd-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_bytes(b"\xff\xfe[varkit\nno section = \n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "datasets" in {point.name for point in loading.entry_points("varkit")}


# ---------------------------------------------------------------- in this process


def test_what_a_plugin_changes_of_the_program_is_put_back(tmp_path):
    before = Path.cwd(), list(sys.argv), list(sys.path), sys.getrecursionlimit(), os._exit
    filters, handler = list(warnings.filters), signal.getsignal(signal.SIGINT)
    with contained():
        os.chdir(tmp_path)
        sys.argv.clear()
        sys.path[:] = ["added"]
        sys.setrecursionlimit(500)
        warnings.simplefilter("error")
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        sys.stdout.close()
    now = Path.cwd(), list(sys.argv), sys.path[:-1], sys.getrecursionlimit(), os._exit
    assert now == before
    assert sys.path.pop() == "added", "a plugin may import from there later"
    assert list(warnings.filters) == filters
    assert signal.getsignal(signal.SIGINT) is handler
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
    sys.stdout.write("it is open")


@pytest.mark.parametrize("error", [SystemExit(0), GeneratorExit(), StopIteration(), Exception("x")])
def test_whatever_is_raised_becomes_an_error_that_says_whose_it_is(error):
    with (
        pytest.raises(
            PluginError, match=rf"^mine: {type(error).__name__}.*test_strangers\.py:\d+$"
        ),
        contained("mine: ", __name__),
    ):
        raise error


@pytest.mark.parametrize("error", [VarkitError("said"), KeyboardInterrupt()])
def test_an_error_for_the_user_passes_as_it_is(error):
    with pytest.raises(type(error)) as caught, contained("mine: "):
        raise error
    assert caught.value is error


def test_prints_go_to_stderr_from_python_and_below(capfd):
    with contained():
        print("printed")  # noqa: T201
        os.write(1, b"written\n")
        sys.stdout.buffer.write(b"bytes\n")
        sys.stdout.flush()
    sys.stdout.write("after\n")
    said = capfd.readouterr()
    assert said.out == "after\n"
    assert all(text in said.err for text in ("printed", "written", "bytes"))


def test_a_process_that_a_plugin_forks_may_end_itself():
    with contained():
        child = os.fork()
        if child == 0:
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


FILES = {
    "interrupts": ("x = 1\nraise KeyboardInterrupt", "KeyboardInterrupt at "),
    "ends": ("import os\nos._exit(0)", "os._exit(0) would end the program at "),
    "unprintable": (f"{UNPRINTABLE}raise E", "E: its message cannot be printed at "),
    "number": (registering("register(5, P, summary='s')"), "sampler name 5"),
}


@pytest.mark.parametrize("fault", FILES)
def test_a_file_that_fails_is_an_error_that_names_it(tmp_path, fault):
    source, reason = FILES[fault]
    (tmp_path / "mine.py").write_text(source)
    with pytest.raises(PluginError, match=r"plugin file \S+mine\.py failed to load") as caught:
        load_plugins([tmp_path / "mine.py"], installed=())
    assert reason in caught.value.what
