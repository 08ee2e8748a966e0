"""The part of a record that is not yet a Parquet file: an SQLite journal that survives `kill -9`.

Every batch is one transaction, committed before the broker is told that it was taken.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from voltagora.domain.errors import InputError, RunError

log = logging.getLogger("voltagora.collect")

FILE: Final = "journal.sqlite"
VERSION: Final = 1

Row: TypeAlias = tuple[int, int, int | None, str, str | None, str | None, int, int | None, bytes]
"""Sequence, received_at and simulated_at (microseconds UTC), topic, protocol, sender, retained, repeats,
payload."""

_TABLES: Final = (
    "CREATE TABLE message (sequence INTEGER PRIMARY KEY, received_at INTEGER NOT NULL, simulated_at INTEGER,"
    " topic TEXT NOT NULL, protocol TEXT, sender TEXT, retained INTEGER NOT NULL, repeats INTEGER,"
    " payload BLOB NOT NULL) STRICT",
    "CREATE TABLE fact (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID",
)
_READ: Final = (
    "SELECT sequence, received_at, simulated_at, topic, protocol, sender, retained, repeats, payload"
    " FROM message "
)


class RecordJournal:
    """The open end of one record.

    Raises:
        InputError: the file is of a newer version, or no journal of ours.
        RunError: it cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        try:
            self._database = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise RunError(f"{self.path}: {error}") from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._database.close()
            raise RunError(f"{self.path}: {error}") from error
        except InputError:
            self._database.close()
            raise

    def _prepare(self) -> None:
        execute = self._database.execute
        version = execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, VERSION):
            raise InputError(str(self.path), f"layout {version}", f"layout {VERSION}, of this version")
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = NORMAL")
        if version == 0:
            execute("BEGIN IMMEDIATE")
            for statement in _TABLES:
                execute(statement)
            execute(f"PRAGMA user_version = {VERSION}")
            execute("COMMIT")

    # Each of these is one transaction.

    def append(self, rows: Sequence[Row], facts: dict[str, bytes]) -> None:
        """Keep a batch, and what is to be remembered with it.

        Raises:
            RunError: the disk refuses; nothing of the batch is kept.
        """
        with _Transaction(self._database, self.path):
            self._database.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            self._put(facts)

    def forget(self, last: int, facts: dict[str, bytes]) -> None:
        """Drop the messages up to a sequence number, which are in a file now."""
        with _Transaction(self._database, self.path):
            self._database.execute("DELETE FROM message WHERE sequence <= ?", (last,))
            self._put(facts)

    def remember(self, facts: dict[str, bytes]) -> None:
        """Keep facts by name."""
        with _Transaction(self._database, self.path):
            self._put(facts)

    def _put(self, facts: dict[str, bytes]) -> None:
        if facts:
            self._database.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", facts.items())

    # Reading.

    def facts(self) -> dict[str, bytes]:
        """Give what was remembered."""
        return dict(self._database.execute("SELECT name, value FROM fact"))

    def rows(self) -> Iterator[Row]:
        """Read the messages in order, a few at a time."""
        yield from self._database.execute(_READ + "ORDER BY sequence")

    def newest(self, count: int) -> list[Row]:
        """Give the last so many messages, in order."""
        found = self._database.execute(_READ + "ORDER BY sequence DESC LIMIT ?", (count,)).fetchall()
        return found[::-1]

    def extent(self) -> tuple[int, int, int | None, int]:
        """Tell how many messages there are, their bytes, when the first came, and the last number or 0."""
        return self._database.execute(  # type: ignore[no-any-return]
            "SELECT count(*), coalesce(sum(length(payload) + length(topic)), 0), min(received_at),"
            " coalesce(max(sequence), 0) FROM message"
        ).fetchone()

    def close(self) -> None:
        """Close the file, without the room that its messages took if they are gone."""
        try:
            if not self._database.execute("SELECT EXISTS (SELECT 1 FROM message)").fetchone()[0]:
                self._database.execute("VACUUM")
        except sqlite3.Error as error:
            # A large file is no reason to fail, and somebody may be reading it.
            log.debug("%s: not made smaller: %s", self.path, error)
        finally:
            self._database.close()


@contextmanager
def journal_as_it_is(folder: Path) -> Iterator[Callable[[int], Iterator[Row]]]:
    """Open a journal to read it as it stands at this moment, also while somebody writes it.

    Gives a function that reads the messages beyond a sequence number.

    Raises:
        InputError: it cannot be read.
    """
    path = folder / FILE
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            database.execute("BEGIN")
            # A journal that has just been made has no tables yet.
            is_made = database.execute("PRAGMA user_version").fetchone()[0] == VERSION
            query = _READ + "WHERE sequence > ? ORDER BY sequence"
            yield lambda after: iter(database.execute(query, (after,)) if is_made else ())
    except sqlite3.Error as error:
        raise InputError(str(path), str(error), "a journal of `voltagora collect`") from error


class _Transaction:
    """All of it or nothing, and an error that says what refused."""

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._database = database
        self._path = path

    def __enter__(self) -> None:
        try:
            self._database.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise RunError(f"{self._path}: {error}") from error

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        try:
            if error is None:
                self._database.execute("COMMIT")
                return
        except sqlite3.Error as refused:
            error = refused
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise RunError(f"{self._path}: nothing more can be recorded: {error}") from error
