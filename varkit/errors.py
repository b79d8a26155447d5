"""The errors that varkit raises: what failed, why, and a hint that can be run.

Only the command line prints them (``varkit/cli``). Each error carries its exit code, so every
command ends the same way for the same fault.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

LONGEST = 1000
"""Letters of an error's message that are quoted."""


class VarkitError(Exception):
    """Something a user can act on.

    Args:
        what: one line that says what failed, where, and what is allowed.
        hint: what to do about it, runnable where possible.
    """

    exit_code = 1
    what = ""
    hint: str | None = None  # both are also there if a plugin's subclass forgets this constructor

    def __init__(self, what: str, *, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return self.what if self.hint is None else f"{self.what}\n  hint: {self.hint}"

    @property
    def line(self) -> str:
        """What failed and the hint, for lists of problems."""
        return self.what if self.hint is None else f"{self.what} ({self.hint})"


class RecipeError(VarkitError):
    """A recipe cannot be used; carries all of its problems, not only the first."""

    exit_code = 2

    def __init__(self, problems: Sequence[str], *, hint: str | None = None) -> None:
        super().__init__("\n".join(problems), hint=hint)
        self.problems = tuple(problems)


class PluginError(VarkitError):
    """A plugin could not be loaded, clashes with another, or breaks its interface."""


class DataError(VarkitError):
    """A data set, feature file or manifest is missing, unreadable or wrong."""


class MediaError(DataError):
    """A video or sound file cannot be decoded, or may not be.

    Args:
        what: what is wrong.
        again: another attempt may succeed: the file was changing, or the decoder died.
    """

    def __init__(self, what: str, *, hint: str | None = None, again: bool = False) -> None:
        super().__init__(what, hint=hint)
        self.again = again


class CheckpointError(VarkitError):
    """A checkpoint is truncated, corrupt, or belongs to another recipe."""


class RunError(VarkitError):
    """A run could not be started, continued or finished."""


class WriteError(RunError):
    """A file cannot be written: the disk is full, or the place is not writable."""


class StoppedError(VarkitError):
    """A signal stopped the program; everything done so far is saved."""

    def __init__(self, what: str, *, signal_number: int, hint: str | None = None) -> None:
        super().__init__(what, hint=hint)
        self.exit_code = 128 + signal_number


def named(error: BaseException) -> str:
    """Return the type of an error and what it says on one line, even if it cannot say it.

    >>> named(ValueError("no clips"))
    'ValueError: no clips'
    """
    kind = type(error).__name__
    try:
        said = " ".join((error.what if isinstance(error, VarkitError) else str(error)).split())
    except BaseException:  # whatever a plugin's __str__ does, this must say who failed
        said = "its message cannot be printed"
    if len(said) > LONGEST:
        said = f"{said[:LONGEST]}..."
    return f"{kind}: {said}".rstrip(": ")


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """Return the allowed name most like ``name``, or None where nothing is close.

    Case does not matter.

    >>> nearest("Anomoly_led", ["fixed_frame", "anomaly_led"])
    'anomaly_led'
    """
    names = {candidate.casefold(): candidate for candidate in allowed}
    matches = difflib.get_close_matches(name.casefold(), names, n=1, cutoff=0.6)
    return names[matches[0]] if matches else None


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` or an empty string.

    >>> did_you_mean("tempreature", ["temperature", "count"])
    " Did you mean 'temperature'?"
    """
    match = nearest(name, allowed)
    return f" Did you mean {match!r}?" if match else ""
