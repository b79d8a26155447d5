"""The log of a training: one JSON object per line, truncated to a checkpoint on resume."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from varkit.errors import RunError, VarkitError
from varkit.system.files import write_error
from varkit.system.inputs import check_user_file, read_user_file, reading
from varkit.system.records import checked

Record = Mapping[str, Any]


class Step(TypedDict):
    """What is read back of an optimiser step."""

    epoch: int
    step: int
    losses: dict[str, float]
    seconds: float


class Validation(TypedDict):
    """What is read back of an evaluation on the selection part."""

    epoch: int
    part: str
    SumR: float


class _Line(TypedDict):
    kind: str


KINDS: Mapping[str, type] = {"step": Step, "validation": Validation}
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
        self._writer = (
            check_tensorboard()(str(events)) if events is not None and path is not None else None
        )
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


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read ``metrics.jsonl``; an incomplete last line is still being written.

    Raises:
        RunError: it cannot be read, or a line is damaged.
    """
    if not path.exists():
        return []
    with reading(path, RunError):
        lines = read_user_file(path).decode().split("\n")[:-1]
    records = []
    for number, line in enumerate(lines, start=1):
        where, hint = f"{path}, line {number},", "delete that line"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RunError(f"{where} is damaged: {error}", hint=hint) from error
        checked(record, _Line, where, hint=hint)
        if record["kind"] in KINDS:
            checked(record, KINDS[record["kind"]], where, hint=hint)
        records.append(record)
    return records


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


def check_tensorboard() -> Any:
    """Return TensorBoard's writer.

    Raises:
        VarkitError: it is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise VarkitError(
            f"train.tensorboard is set, but TensorBoard cannot be imported: {error}",
            hint="pip install 'varkit[tensorboard]', or set train.tensorboard=false",
        ) from error
    return SummaryWriter
