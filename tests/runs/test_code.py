"""A run knows its code: what counts as its code, and what happens where that has changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.calls import call, failed, hint, passed
from tests.support.tiny_runs import PARTS, make_data, only_run, read, run
from varkit.plugins.source import source_hashes
from varkit.recipe.load import load_recipe
from varkit.runs.code import NOT_RECORDED, ROOTS, both, code_of, differing, named

HOME = """\
from varkit import hookimpl


@hookimpl
def register_samplers(register):
    register("ends", "own_pack.ends:{name}", summary="one end")
"""
ENDS = """\
from own_helper import nothing
from varkit.blocks.unit import unit
from varkit.errors import VarkitError
from own_pack import widths


class First: ...


class Last: ...
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    recipe = make_data(tmp_path_factory.mktemp("finished") / "data")
    passed(run(recipe, "train.epochs=1"))
    return only_run(recipe)


@pytest.fixture
def cut(finished, tmp_path) -> tuple[Path, Path]:
    """Return a run that was killed before it was measured, and a plugin file that it names."""
    copy, parts = shutil.copytree(finished, tmp_path / "cut"), tmp_path / "parts.py"
    for name in ("results.json", "seed-0/results.json"):
        (copy / name).unlink()
    parts.write_text(PARTS)
    recipe = (copy / "recipe.yaml").read_text()
    old = str(finished.parents[2] / "data/parts.py")
    assert old in recipe
    (copy / "recipe.yaml").write_text(recipe.replace(old, str(parts)))
    return copy, parts


def facts(run: Path) -> dict:
    return read(run / "run.json")


def test_the_code_of_a_run_is_where_its_components_come_from_and_what_they_import(finished):
    code = facts(finished)["code"]
    modules = {name for name in code if " " not in name}
    assert {"varkit_alan.two_stream", "varkit.blocks.transformer", "varkit_kernels"} <= modules
    assert {"varkit_datasets.folder", "varkit.training.loop", "parts.py"} <= modules
    assert code["sampler anomaly_led"] == "varkit_alan.anomaly_led:AnomalyLed"
    packages = {"varkit_alan.vpmpm", "varkit_alan", "varkit_baselines.ce", "varkit_kernels.bench"}
    assert not packages & modules
    for room in ("errors", "recipe", "evaluate", "runs", "data.inspect"):
        assert not any(name.startswith(f"varkit.{room}") for name in modules)
    assert all(len(code[name]) == 16 for name in modules)
    assert None not in source_hashes(ROOTS, lambda _: False).values()


def test_a_package_of_ones_own_counts_with_the_class_that_a_name_means(tmp_path, monkeypatch):
    """An imported helper of another name does not count, and neither does what only registers."""
    monkeypatch.syspath_prepend(tmp_path)
    pack = tmp_path / "own_pack"
    pack.mkdir()
    for name, text in {"__init__": "", "ends": ENDS, "widths": "W = 1"}.items():
        (pack / f"{name}.py").write_text(text)
    (tmp_path / "own_helper.py").write_text("nothing = None")
    recipe = make_data(tmp_path / "data")
    recipe.write_text(recipe.read_text().replace("[parts.py]", "[parts.py, more.py]"))

    def code(name):
        (recipe.parent / "more.py").write_text(HOME.format(name=name))
        return code_of(*load_recipe(recipe, ["samplers.fixed={use: ends}"]))

    first, last = code("First"), code("Last")
    assert first["sampler ends"] == "own_pack.ends:First"
    assert differing(first, last) == ("more.py", "sampler ends")
    own = {name for name in first if name.startswith("own_")}
    assert own == {"own_pack.ends", "own_pack.widths"}
    assert "varkit.blocks.unit" in first
    (pack / "__init__.py").write_text("another = 'component'")
    assert code("Last") == last
    (pack / "widths.py").write_text("W = 2")
    assert differing(last, code("Last")) == ("own_pack.widths",)
    (pack / "widths.py").rename(pack / "widths.pyc")
    assert code("Last")["own_pack.widths"] == "version file"


def test_two_plugin_files_of_one_name_both_count(tmp_path):
    recipe = make_data(tmp_path / "data")
    (tmp_path / "parts.py").write_text("X = 1")
    recipe.write_text(recipe.read_text().replace("[parts.py]", "[parts.py, ../parts.py]"))
    before = code_of(*load_recipe(recipe))
    (tmp_path / "parts.py").write_text("X = 2")
    assert differing(before, code_of(*load_recipe(recipe))) == ("parts.py",)


def test_differences_and_mixtures_of_code():
    before, now = {"a": "1", "b": "1", "gone": "1"}, {"a": "1", "b": "2", "new": "1"}
    assert differing(before, before) == ()
    assert differing(before, now) == ("b", "gone", "new")
    assert differing(None, now) == (NOT_RECORDED,)
    mixed = both(before, now)
    assert mixed == {"a": "1", "b": "1, then 2", "gone": "1", "new": "1"}
    assert both(mixed, now) == mixed
    assert both(now, now) == now
    assert differing(both(None, now), now) == ("a", "b", "new")
    assert named(tuple("abcdef")) == "a, b, c, d and 2 more"


def test_words_in_a_plugin_file_change_nothing_and_code_is_refused(cut, finished, tmp_path):
    run, parts = cut
    parts.write_text(f"# A comment.\n{PARTS}")
    passed(call("eval", run))
    parts.write_text(PARTS.replace("+ 1000", "+ 999"))
    for command in (
        ("resume", run),
        ("eval", run),
        ("eval", run, "eval.seed=1", "--out", tmp_path / "m"),
        ("embeddings", "export", run, tmp_path / "e.npz"),
    ):
        result = call(*command)
        assert failed(result).endswith(f"{run} was made by other code: parts.py")
        assert "varkit run" in hint(result)
        assert "--accept-code" in hint(result)
    assert facts(run) == facts(finished)


def test_a_run_of_other_code_goes_on_where_that_is_accepted_and_says_so(cut, finished, tmp_path):
    run, parts = cut
    parts.write_text(PARTS.replace("+ 1000", "+ 999"))
    old = facts(run)["code"]
    for command in (
        ("eval", run),
        ("eval", run, "eval.seed=1", "--out", tmp_path / "m"),
        ("embeddings", "export", run, tmp_path / "e.npz"),
    ):
        passed(call(*command, "--accept-code"))
    assert facts(run)["code"] == old
    for _ in range(2):
        passed(call("resume", run, "--accept-code"))
        for made in (run, tmp_path / "m"):
            code = facts(made)["code"]
            assert differing(old, code) == ("parts.py",)
            assert code["parts.py"].startswith(f"{old['parts.py']}, then ")
    assert read(run / "results.json") == read(finished / "results.json")
    assert "was made by other code: parts.py" in failed(call("eval", run))


def test_a_run_that_did_not_record_its_code_is_one_of_other_code(cut):
    run, _ = cut
    known = facts(run)
    (run / "run.json").write_text(json.dumps({k: v for k, v in known.items() if k != "code"}))
    assert failed(call("resume", run)).endswith(f"was made by other code: {NOT_RECORDED}")
    passed(call("resume", run, "--accept-code"))
    now = facts(run)["code"]
    assert now == {name: f"{NOT_RECORDED}, then {code}" for name, code in known["code"].items()}
