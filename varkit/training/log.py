"""The log of a training: one JSON object per line, truncated to a checkpoint on resume."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from varkit.errors import VarkitError
from varkit.system.files import write_error
from varkit.system.inputs import check_user_file

Record = Mapping[str, Any]
Listener = Callable[[Record], None]


class MetricsLog:
    """Appends records to ``metrics.jsonl`` and passes them to a listener.

    Args:
        path: the file; None on ranks other than 0, which do not write.
        length: bytes to keep of an older file, as recorded in the checkpoint. If the file is
            shorter, its complete lines are kept.
        listener: called with every record; a progress bar, for example.
        events: folder for TensorBoard events; None = write none.

    Raises:
        VarkitError: TensorBoard is needed but not installed.
        WriteError: the file cannot be written.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        length: int = 0,
        listener: Listener | None = None,
        events: Path | None = None,
    ) -> None:
        self._path = path
        self._listener = listener
        self._writer = _tensorboard(events) if events is not None and path is not None else None
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
                check_user_file(path)
                with path.open("rb+") as file:
                    kept = file.read(length)
                    file.truncate(kept.rfind(b"\n") + 1)
            except OSError as error:
                raise write_error(error, path, 0) from error

    def sync(self) -> int:
        """Flush the file to disk and return its length, for a checkpoint.

        Raises:
            WriteError: the disk is full.
        """
        if self._path is None:
            return 0
        try:
            with self._path.open("rb") as file:
                os.fsync(file.fileno())
                return os.fstat(file.fileno()).st_size
        except OSError as error:
            raise write_error(error, self._path, 0) from error

    def write(self, record: Record) -> None:
        """Append one record.

        Raises:
            WriteError: the disk is full or not writable.
        """
        if self._path is not None:
            line = json.dumps(record) + "\n"
            try:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(line)
            except OSError as error:
                raise write_error(error, self._path, len(line)) from error
        if self._writer is not None:
            for name, value in _scalars(record):
                self._writer.add_scalar(name, value, record.get("step", record.get("epoch", 0)))
        if self._listener is not None:
            self._listener(record)


def _scalars(record: Record, prefix: str = "") -> list[tuple[str, float]]:
    kind = str(record.get("kind", ""))
    scalars: list[tuple[str, float]] = []
    for name, value in record.items():
        path = "/".join(part for part in (prefix, kind, name) if part)
        if isinstance(value, Mapping):
            scalars += _scalars(value, path)
        elif isinstance(value, float):
            scalars.append((path, value))
    return scalars


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise VarkitError(
            f"train.tensorboard is set, but TensorBoard cannot be imported: {error}",
            hint="pip install 'varkit[tensorboard]', or set train.tensorboard=false",
        ) from error
    return SummaryWriter(str(folder))
