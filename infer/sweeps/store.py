"""Results of a sweep on disk: one SQLite file, one transaction for each cell, written by the driver alone.

SQLite's rollback journal makes transactions atomic even if the process is killed, also on network file systems, where
its write-ahead log does not work; numbers are stored exactly (eight bytes).
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from infer.errors import InputError
from infer.files.atomic import check_writable
from infer.sweeps.cell import NUMBERS, Outcome
from infer.wording import shown

__all__ = ["Store"]

APPLICATION_ID = 0x72657665  # "reve", in the header of the file
FORMAT = 2  # 2: sizes, methods and starts
# increased when the numbers of a seed change, so that a table does not mix cells of two versions. 2: runs with
# fewer than 16 chains; 3: sites of all spins, and predictions for persistent ones; 4: sites of each chain
STREAMS = 4
ORIGIN = ("version", "streams")  # versions of the program that a store records beside the config
_SECONDS_TO_WAIT = 60.0


class Store:
    """An open store; a context manager that closes it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, config: dict[str, Any]) -> None:
        self.path = path
        self.config = config
        self._connection = connection

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open a store that exists.

        Raises
        ------
        ValueError
            If the file does not exist or is not a store of this version.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(f"{path}: there is no such store; `reverie sweep` writes one")
        connection = _connect(path)
        try:
            with _errors(path):
                identity = connection.execute("PRAGMA application_id").fetchone()[0]
                found = dict(connection.execute("SELECT name, value FROM about")) if identity == APPLICATION_ID else {}
            if found.get("format") != str(FORMAT):
                raise InputError(f"{path} is not a sweep store (of this version); choose another name")
            return cls(path, connection, json.loads(found["config"]))
        except BaseException:
            connection.close()
            raise

    @classmethod
    def open_for(cls, path: str | os.PathLike[str], config: dict[str, Any]) -> Self:
        """Open the store of a config, or create it; one without cells is replaced.

        Raises
        ------
        ValueError
            If the file is something else, or the store of another config or version.
        """
        path = Path(path)
        check_writable(path)
        if not path.exists() or path.stat().st_size == 0:
            _begin(path, config)
        store = cls.open(path)
        try:
            if store.config != _with_origin(config) and store._is_empty():
                _begin(path, config, again=True)
                store.close()
                store = cls.open(path)
            store._check_match(config)
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, outcome: Outcome) -> None:
        """Write the outcome of a cell, in one transaction."""
        columns = ("cell", "error", "seconds", *NUMBERS)
        values = (outcome.key, outcome.error, outcome.seconds, *(outcome.numbers.get(name) for name in NUMBERS))
        marks = ", ".join("?" * len(columns))
        with _errors(self.path):
            self._connection.execute(f"INSERT OR REPLACE INTO cells ({', '.join(columns)}) VALUES ({marks})", values)

    def outcomes(self) -> dict[str, Outcome]:
        """Every outcome so far, by the key of its cell; numbers that are not known are left out."""
        columns = ", ".join(("cell", "error", "seconds", *NUMBERS))
        with _errors(self.path):
            rows = self._connection.execute(f"SELECT {columns} FROM cells").fetchall()
        found = {}
        for key, error, seconds, *values in rows:
            numbers = {name: value for name, value in zip(NUMBERS, values, strict=True) if value is not None}
            found[key] = Outcome(key, numbers, error, seconds)
        return found

    def _is_empty(self) -> bool:
        """Whether the store has no cell yet."""
        with _errors(self.path):
            return self._connection.execute("SELECT 1 FROM cells LIMIT 1").fetchone() is None

    def _check_match(self, config: dict[str, Any]) -> None:
        """Raise an error instead of mixing the results of two configs or versions."""
        wanted = _with_origin(config)
        if self.config.get("streams") != STREAMS:
            raise InputError(
                f"{self.path} was begun by a version of reverie that drew other random numbers; give another output"
            )
        for key in dict.fromkeys((*wanted, *self.config)):
            old: Any = self.config.get(key)
            new: Any = wanted.get(key)
            if old == new:
                continue
            if key == "dynamics" and len(old) == len(new):
                place, old, new = next((k, a, b) for k, (a, b) in enumerate(zip(old, new, strict=True)) if a != b)
                name = next(name for name in dict.fromkeys((*new, *old)) if old.get(name) != new.get(name))
                key, old, new = f"dynamics[{place}].{name}", old.get(name), new.get(name)
            elif key == "dynamics":
                key, old, new = "number of [[dynamics]] tables", len(old), len(new)
            values = f"{shown(old)}, not {shown(new)}" if shown(old) != shown(new) else "another"
            raise InputError(
                f"{self.path} holds another sweep: its {key} is {values}; give another output, or take the config with "
                "which it was begun"
            )


def _with_origin(config: dict[str, Any]) -> dict[str, Any]:
    """A config with the versions that results depend on."""
    return {**config, "version": version("reverie"), "streams": STREAMS}


def _begin(path: Path, config: dict[str, Any], *, again: bool = False) -> None:
    """Create an empty store, in one transaction; an existing empty one is replaced.

    A file that the disk has no room for is removed.
    """
    about = {"format": str(FORMAT), "config": json.dumps(_with_origin(config))}
    is_new = not path.exists()
    connection = _connect(path, create=True)
    try:
        with _errors(path):
            connection.execute("BEGIN EXCLUSIVE")
            # another process may have written a cell in the meantime
            if again and connection.execute("SELECT 1 FROM cells LIMIT 1").fetchone() is None:
                connection.execute("DROP TABLE cells")
                connection.execute("DROP TABLE about")
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute("CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
                numbers = ", ".join(f"{name} REAL" for name in NUMBERS)
                connection.execute(f"CREATE TABLE cells (cell TEXT PRIMARY KEY, error TEXT, seconds REAL, {numbers})")
                connection.executemany("INSERT INTO about VALUES (?, ?)", about.items())
            connection.execute("COMMIT")
    finally:
        connection.close()
        if is_new and path.exists() and path.stat().st_size == 0:
            path.unlink()


def _connect(path: Path, *, create: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode; unfinished transactions of a killed writer are rolled back."""
    with _errors(path):
        uri = f"{path.resolve().as_uri()}?mode={'rwc' if create else 'rw'}"
        return sqlite3.connect(uri, uri=True, timeout=_SECONDS_TO_WAIT, isolation_level=None)


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Turn errors of SQLite into errors that name the file."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise OSError(f"{path}: {error}") from None
    except sqlite3.DatabaseError:
        raise InputError(f"{path} is not a sweep store, or is damaged; choose another name") from None
