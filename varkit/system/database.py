"""SQLite files that varkit writes: readers see a consistent state while a writer works."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from varkit.errors import DataError, WriteError
from varkit.system.files import write_error
from varkit.system.inputs import check_user_file, reading

PATIENCE = 60.0
"""Seconds to wait for another process's transaction."""

Row = tuple[Any, ...]
Run = Callable[..., list[Row]]
"""Runs a statement with its values and returns the rows."""


class Database:
    """An open SQLite file; a context manager.

    Commits are on disk when they return. Deleted content is overwritten with zeros.

    Args:
        path: the file.
        tables: the statements that create its tables.
        version: of the tables.
        writing: create it where it is missing, and allow changes.
        hint: what to do if it is damaged.

    Raises:
        DataError: it is missing, damaged, or of another version.
        WriteError: it cannot be created.
    """

    def __init__(
        self, path: Path, tables: str, version: int, *, writing: bool, hint: str | None = None
    ) -> None:
        self.path, self._hint = path, hint
        if not writing or path.exists():
            with reading(path):
                check_user_file(path)
        with self._errors():
            self._open(tables, version, writing)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    def rows(self, statement: str, *values: Any) -> list[Row]:
        """Return the rows of a query."""
        with self._errors():
            return self._connection.execute(statement, values).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[Run]:
        """Run several queries on one state, whatever a writer does meanwhile."""
        with self._errors(), self._within("BEGIN", "ROLLBACK") as run:
            yield run

    @contextmanager
    def change(self) -> Iterator[Run]:
        """Run statements in one transaction, which no other writer enters meanwhile."""
        with self._errors(), self._within("BEGIN IMMEDIATE", "COMMIT") as run:
            yield run

    def forget(self) -> bool:
        """Write the log into the file and empty it, so that nothing deleted stays on disk.

        Waits for those who read an older state. Return whether it is done: they may take too long.
        """
        with self._errors():
            return not self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]

    @contextmanager
    def _within(self, begin: str, end: str) -> Iterator[Run]:
        def run(statement: str, *values: Any) -> list[Row]:
            return self._connection.execute(statement, values).fetchall()

        self._connection.execute(begin)
        try:
            yield run
        except BaseException:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute(end)

    def _open(self, tables: str, version: int, writing: bool) -> None:
        if writing:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise write_error(error, self.path, 0) from error
        self._connection = _connect(self.path, "rwc" if writing else "ro")
        self._connection.execute("PRAGMA trusted_schema = OFF")
        if writing:
            self._connection.execute("PRAGMA secure_delete = ON")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            with self._within("BEGIN IMMEDIATE", "COMMIT") as run:
                if not run("PRAGMA user_version")[0][0]:
                    for statement in tables.split(";\n"):
                        run(statement)
                    run(f"PRAGMA user_version = {version}")
        actual = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if actual != version:
            self._connection.close()
            raise DataError(
                f"{self.path} is of version {actual}; this varkit reads version {version}",
                hint=self._hint,
            )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn errors of SQLite into errors that name the file."""
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # a mistake of the program, not a fault of the file
        except sqlite3.Error as error:
            if any(word in str(error) for word in ("full", "readonly", "unable to open", "I/O")):
                raise WriteError(f"cannot write {self.path}: {error}") from error
            if "locked" in str(error):
                hint = "another process is writing; try again when it is done"
                raise WriteError(f"{self.path} is locked", hint=hint) from error
            raise DataError(f"{self.path} is damaged: {error}", hint=self._hint) from error


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    place = path.resolve().as_uri()

    def connect(uri: str) -> sqlite3.Connection:
        return sqlite3.connect(uri, timeout=PATIENCE, isolation_level=None, uri=True)

    connection = connect(f"{place}?mode={mode}")
    if mode != "ro":
        return connection
    try:
        connection.execute("PRAGMA user_version")
    except sqlite3.OperationalError:  # on a medium where nobody can write, readers cannot lock
        connection.close()
        return connect(f"{place}?immutable=1")
    return connection
