"""Check a component by kind and class, built as a recipe would build it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from varkit.errors import PluginError, VarkitError
from varkit.interfaces import SUPPLIED
from varkit.registry import Kind
from varkit.schema import construct
from varkit.testing.alignments import check_alignment
from varkit.testing.checks import ConformanceError, Result
from varkit.testing.datasets import check_dataset
from varkit.testing.detectors import check_detector
from varkit.testing.encoders import check_encoder
from varkit.testing.objectives import check_objective
from varkit.testing.pretexts import check_pretext
from varkit.testing.probes import seeded
from varkit.testing.samplers import check_sampler
from varkit.testing.stand_ins import (
    DIM,
    EXPERTS,
    SOUND_WIDTHS,
    WIDTHS,
    Drawn,
    Linear,
    Spread,
    Words,
)


class MissingError(PluginError):
    """A component cannot be checked on this machine, because of what it lacks."""


def check(
    kind: Kind, component: type[Any], options: Mapping[str, Any] | None = None
) -> tuple[Result, ...]:
    """Build a component from options and check everything that its kind promises.

    Like the build of a recipe, the kit supplies positional constructor arguments by name: small
    sizes and plain stand-ins. A component that needs more, such as files or a query encoder of its
    own, offers a static method ``example(folder: Path) -> dict[str, Any]``: constructor arguments
    by name, options or supplied ones, with which a small instance can be built anywhere;
    ``folder`` is empty, for files that it may write.

    Args:
        kind: of the component.
        component: its class.
        options: its recipe options; by default those of ``example``, else its defaults.

    Raises:
        ConformanceError: it breaks a promise; the error lists all that it breaks.
        MissingError: its ``missing`` says that this machine cannot run it.
    """
    subject = f"{kind} {component.__name__}"
    with tempfile.TemporaryDirectory(prefix="varkit-check-") as folder, seeded(0):
        try:
            given = dict(component.example(Path(folder))) if hasattr(component, "example") else {}
        except Exception as error:
            raise _unbuilt(subject, error) from error
        given |= options or {}
        chosen = {name: value for name, value in given.items() if name not in SUPPLIED}
        if hasattr(component, "missing"):
            try:
                lacking = component.missing(**chosen)
            except Exception as error:
                raise _unbuilt(subject, error) from error
            if lacking:
                raise MissingError(f"{subject} cannot run here: {'; '.join(lacking)}")
        supplied = _stand_ins() | {n: value for n, value in given.items() if n in SUPPLIED}
        return _check_built(kind, component, chosen, supplied, subject)


def _check_built(
    kind: Kind,
    component: type[Any],
    options: Mapping[str, Any],
    supplied: dict[str, Any],
    subject: str,
) -> tuple[Result, ...]:
    try:
        built = _build(kind, component, options, supplied)
        fresh = _build(kind, component, options, supplied)
    except Exception as error:
        raise _unbuilt(subject, error) from error
    given: dict[str, Any] = {"subject": subject}
    sizes = {name: supplied[name] for name in ("dim", "experts")}
    match kind:
        case "sampler":
            return check_sampler(built, **given)
        case "objective":
            return check_objective(built, **given)
        case "dataset":
            return check_dataset(built, fresh=fresh, **given)
        case "detector":
            return check_detector(built, supplied["width"], fresh=fresh, **given)
        case "alignment":
            return check_alignment(built, fresh=fresh, **sizes, **given)
        case "encoder":
            return check_encoder(built, fresh=fresh, widths=supplied["widths"], **sizes, **given)
        case "pretext":
            encoder = supplied["query_encoder"]
            return check_pretext(built, fresh=fresh, query_encoder=encoder, **sizes, **given)


def _build(
    kind: Kind, component: type[Any], options: Mapping[str, Any], supplied: dict[str, Any]
) -> Any:
    try:
        return construct(component, options, supplied)
    except VarkitError as error:
        if kind != "encoder" or supplied["widths"] == SOUND_WIDTHS:
            raise
        # It may be an encoder of sounds, which refuses the streams of a video.
        try:
            built = construct(component, options, supplied | {"widths": SOUND_WIDTHS})
        except VarkitError:
            raise error from None
        supplied["widths"] = SOUND_WIDTHS
        return built


def _stand_ins() -> dict[str, Any]:
    return {
        "dim": DIM,
        "experts": EXPERTS,
        "widths": WIDTHS,
        "width": sum(WIDTHS.values()),
        "samplers": {"fixed": Spread(), "anomaly": Drawn()},
        "detector": Linear,
        "query_encoder": Words(DIM, EXPERTS),
    }


def _unbuilt(subject: str, error: Exception) -> ConformanceError:
    said = str(error) if isinstance(error, VarkitError) else f"{type(error).__name__}: {error}"
    promise = "It can be built from its example, or from its defaults where it has none"
    return ConformanceError(subject, [Result("can_be_built", promise, said)])
