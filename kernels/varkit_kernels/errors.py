"""What can go wrong before an operator runs."""

from __future__ import annotations


class InputError(ValueError):
    """Tensors or options that do not fit together."""


class BackendError(RuntimeError):
    """The backend that was asked for cannot run here; the message says why."""
