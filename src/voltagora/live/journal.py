"""What happened to the agents of a process, and what they said: kept before any of it is published.

One SQLite database a process. The events of a batch and the publications they caused are written in
one transaction. A process that was killed applies the events again to agents made anew, which puts
them where they were, and publishes again whatever the broker had not yet taken.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import msgspec

from voltagora.domain.errors import InputError, RunError, Verbatim
from voltagora.live.events import Event
from voltagora.live.outgoing import Outgoing

T = TypeVar("T")

FILE_NAME: Final = "journal.sqlite"
FORMAT: Final = 1

LOCK_NAME: Final = "journal.lock"
"""Held by the process that writes. Not SQLite's own lock, which would keep readers out, too."""

_SCHEMA: Final = """
BEGIN IMMEDIATE;
CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE events (number INTEGER PRIMARY KEY, event BLOB NOT NULL);
CREATE TABLE publications (number INTEGER PRIMARY KEY, publication BLOB NOT NULL);
"""


class Journal:
    """The events of one process in order, and its publications, numbered from 1.

    Args:
        folder: where the database lies; made if missing, for this user alone.
        full: wait for the disk at each commit, which survives a power failure, not only `kill -9`.
        read_only: look at it, beside a process that may be writing.

    Raises:
        InputError: the folder holds no journal, one of another format, or something else by its name.
        RunError: it cannot be opened or is in use by another process.
    """

    def __init__(self, folder: Path, *, full: bool = False, read_only: bool = False) -> None:
        self.path = folder / FILE_NAME
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode_event = msgspec.msgpack.Decoder(Event).decode
        self._decode_publication = msgspec.msgpack.Decoder(Outgoing).decode
        self._lock: int | None = None
        try:
            if read_only:
                self._database = self._connected_to_read(folder)
            else:
                self._database = self._connected_to_write(folder)
        except OSError as error:
            raise RunError(f"{self.path}: {error.strerror or error}") from None
        try:
            self._prepare(full=full, read_only=read_only)
            self._written = self._number("SELECT max(number) FROM publications")
        except sqlite3.OperationalError as error:
            self.close()
            raise RunError(f"{self.path}: {error}") from None
        except sqlite3.DatabaseError as error:
            self.close()
            raise InputError(str(self.path), Verbatim(str(error)), "a journal of ours") from None
        except BaseException:
            self.close()
            raise

    def _connected_to_read(self, folder: Path) -> sqlite3.Connection:
        if not self.path.is_file():
            raise InputError("folder", str(folder), f"one that holds a {FILE_NAME}")
        return sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)

    def _connected_to_write(self, folder: Path) -> sqlite3.Connection:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # One writer for as long as the process lives: two would not have the same agents.
        self._lock = os.open(folder / LOCK_NAME, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise RunError(f"{self.path}: another process is using it") from None
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))  # It holds the tokens' secret.
        return sqlite3.connect(self.path, isolation_level=None, timeout=1.0)

    def _prepare(self, *, full: bool, read_only: bool) -> None:
        """Look at what is there before anything of it is changed; make the tables if nothing is."""
        database = self._database
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables and not read_only:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(_SCHEMA)
            database.execute("INSERT INTO facts VALUES ('format', ?)", (FORMAT,))
            database.execute("COMMIT")
        elif not {"facts", "events", "publications"} <= tables:
            raise InputError(str(self.path), Verbatim("a database with other tables"), "a journal of ours")
        found = self.fact("format")
        if found != FORMAT:
            raise InputError(f"{self.path}: format", found, f"{FORMAT}, as this version of voltagora has it")
        if read_only:
            database.execute("BEGIN")  # So that all is read as it was at one moment.
        else:
            database.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")

    def __enter__(self) -> Self:
        """Nothing more to do."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See `close`."""
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # What a process writes.

    def commit(
        self,
        events: Sequence[Event],
        publications: Sequence[Outgoing],
        facts: Mapping[str, object] | None = None,
    ) -> int:
        """Keep a batch as a whole.

        Returns:
            The number of its first publication; the others follow.

        Raises:
            sqlite3.Error: nothing of it is kept.
        """
        database, encode = self._database, self._encode
        first = self._written + 1
        database.execute("BEGIN IMMEDIATE")
        try:
            database.executemany(
                "INSERT INTO events (event) VALUES (?)", [(encode(event),) for event in events]
            )
            database.executemany(
                "INSERT INTO publications VALUES (?, ?)",
                [(number, encode(each)) for number, each in enumerate(publications, first)],
            )
            for name, value in (facts or {}).items():
                database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, _fact(value)))
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        self._written += len(publications)
        return first

    def taken_until(self, number: int) -> None:
        """Note that the broker has all publications up to a number."""
        self._database.execute("INSERT OR REPLACE INTO facts VALUES ('taken', ?)", (number,))

    # What is read again.

    @property
    def is_empty(self) -> bool:
        """Whether nothing has happened yet."""
        return not self._number("SELECT max(number) FROM events")

    def fact(self, name: str) -> object:
        """Give a fact, or None."""
        row = self._database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def events(self) -> Iterator[Event]:
        """Give all events, in order."""
        for _, event in self._rows("SELECT number, event FROM events ORDER BY number", 0):
            yield self._decoded(self._decode_event, event)

    def publications(self, after: int = 0) -> Iterator[tuple[int, Outgoing]]:
        """Give the publications after a number, with their numbers."""
        query = "SELECT number, publication FROM publications WHERE number > ? ORDER BY number"
        for number, publication in self._rows(query, after, after):
            yield number, self._decoded(self._decode_publication, publication)

    def not_taken(self) -> list[tuple[int, Outgoing]]:
        """Give the publications of which it is not known that the broker has them."""
        taken = self.fact("taken")
        return list(self.publications(taken if isinstance(taken, int) else 0))

    def _rows(self, query: str, after: int, *values: int) -> Iterator[tuple[int, bytes]]:
        number = after
        try:
            for row in self._database.execute(query, values):
                number += 1
                if row[0] != number:
                    raise RunError(f"{self.path} is damaged: row {number} of {row[0]} is missing")
                yield row
        except sqlite3.DatabaseError as error:
            raise RunError(f"{self.path} is damaged: {error}") from None

    def _decoded(self, decode: Callable[[bytes], T], row: bytes) -> T:
        try:
            return decode(row)
        except msgspec.DecodeError as error:
            raise RunError(f"{self.path} is damaged or of another version: {error}") from None

    def _number(self, query: str) -> int:
        found: int | None = self._database.execute(query).fetchone()[0]
        return found or 0


def _fact(value: object) -> object:
    return value if isinstance(value, (int, str, bytes)) else msgspec.json.encode(value)
