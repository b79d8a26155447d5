"""Checks a component by its kind and class, built as in a recipe."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from varkit.errors import PluginError, VarkitError
from varkit.interfaces.checks import absent_members
from varkit.plugins.isolation import contained
from varkit.plugins.kinds import Kind, kind_named
from varkit.recipe.options import check_options, construct
from varkit.testing.checks import ConformanceError, Result
from varkit.testing.probes import seeded
from varkit.testing.stand_ins import (
    CHANNEL,
    DIM,
    EXPERTS,
    SOUND_WIDTHS,
    STREAMS,
    WIDTHS,
    Cosine,
    Drawn,
    Linear,
    Means,
    Spread,
    Words,
    truth,
)


class MissingError(PluginError):
    """A component cannot be checked, because this machine lacks something that it needs."""


def check(
    kind: str, component: type[Any], options: Mapping[str, Any] | None = None
) -> tuple[Result, ...]:
    """Build a component from options and check everything that its kind promises.

    As in the build of a recipe, positional constructor arguments are supplied by name: small sizes
    and simple stand-ins. If a component needs more, such as files or its own query encoder, it has
    a static method ``example(folder: Path) -> dict[str, Any]``. It returns constructor arguments by
    name, options or supplied ones, from which a small instance can be built anywhere. ``folder`` is
    an empty folder in which it may write files.

    Args:
        kind: of the component, one of :data:`varkit.plugins.kinds.KINDS`.
        component: its class.
        options: its recipe options; they override those of ``example``.

    Raises:
        ConformanceError: it breaks a promise; the error lists all broken ones.
        MissingError: its ``missing`` says that this machine cannot run it.
        PluginError: there is no such kind.
    """
    row = kind_named(kind)
    with example(kind, component, options) as (built, fresh, supplied):
        known = {**supplied, "fresh": fresh, "subject": f"{kind} {component.__name__}"}
        return _checked(row, built, known)


@contextmanager
def example(
    kind: str, component: type[Any], options: Mapping[str, Any] | None = None
) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
    """Build a component as :func:`check` does.

    Args:
        kind: as for :func:`check`.
        component: as for :func:`check`.
        options: as for :func:`check`.

    Yields:
        The component, another instance with the same options, and what the build supplied.

    Raises:
        ConformanceError: it cannot be built, or lacks members of its interface.
        MissingError: its ``missing`` says that this machine cannot run it.
    """
    row = kind_named(kind)
    subject = f"{kind} {component.__name__}"
    with tempfile.TemporaryDirectory(prefix="varkit-check-") as folder, seeded(0):
        try:
            with contained(module=component.__module__):
                made = component.example(Path(folder)) if hasattr(component, "example") else {}
                given = {**made, **(options or {})}
                chosen = {name: value for name, value in given.items() if name not in row.supplied}
                complete, problems = check_options(component, chosen)
                if problems:
                    lines = (f"option {'.'.join(map(str, path))} {what}" for path, what in problems)
                    raise PluginError("; ".join(lines))
                lacking = component.missing(**complete) if hasattr(component, "missing") else []
                if lacking:
                    raise MissingError(f"{subject} cannot be checked here: {'; '.join(lacking)}")
                supplied = _stand_ins() | {"folder": Path(folder)}
                supplied |= {name: given[name] for name in row.supplied if name in given}
                build = _builder(row, component, complete, supplied)
                built = build()
                if "kept" in row.supplied:  # an index supplies what an earlier instance kept
                    supplied["kept"] = dict(built.kept)
                fresh = build()
                absent = absent_members(built, resolve_name(row.protocol))
        except MissingError:
            raise
        except VarkitError as error:
            promise = "It can be built from its example, or from its defaults if it has none"
            failed = Result("can_be_built", promise, str(error))
            raise ConformanceError(subject, [failed]) from error
        if absent:
            promise = f"It has all members of {row.protocol.replace(':', '.')}"
            failed = Result("has_all_members", promise, f"no {' and no '.join(absent)}")
            raise ConformanceError(subject, [failed])
        yield built, fresh, supplied


def _checked(kind: Kind, built: Any, known: Mapping[str, Any]) -> tuple[Result, ...]:
    """Run the kind's check with its keyword arguments."""
    run = resolve_name(kind.check)
    _, *keywords = inspect.signature(run).parameters
    results: tuple[Result, ...] = run(built, **{name: known[name] for name in keywords})
    return results


def _builder(
    kind: Kind, component: type[Any], options: Mapping[str, Any], supplied: dict[str, Any]
) -> Callable[[], Any]:
    """Return a function that builds the component; may set ``supplied["widths"]`` to a sound's."""

    def build() -> Any:
        return construct(component, options, {name: supplied[name] for name in kind.supplied})

    if "widths" in kind.supplied and supplied["widths"] is WIDTHS:
        try:
            build()
        except VarkitError as error:
            # It may be an encoder of sounds, which rejects the streams of a video.
            supplied["widths"] = SOUND_WIDTHS
            try:
                build()
            except VarkitError:
                raise error from None
    return build


def _stand_ins() -> dict[str, Any]:
    return {
        "dim": DIM,
        "experts": EXPERTS,
        "widths": WIDTHS,
        "width": sum(WIDTHS.values()),
        "samplers": {"fixed": Spread(), "anomaly": Drawn()},
        "detector": Linear,
        "video_encoder": Means(DIM, EXPERTS, WIDTHS),
        "query_encoder": Words(DIM, EXPERTS),
        "alignments": {"avg": Cosine()},
        "truth": truth,
        "streams": STREAMS,
        "kept": {},
        "channel": CHANNEL,
    }
