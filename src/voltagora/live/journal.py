"""What happened to the agents of a process, and what they said: kept before any of it is published.

One SQLite database a process. The events of a batch and the publications they caused are written in
one transaction. A process that was killed applies the events again to agents made anew, which puts
them where they were, and publishes again whatever the broker had not yet taken.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from voltagora.domain.errors import InputError, RunError
from voltagora.live.events import Event
from voltagora.live.outgoing import Outgoing

FILE_NAME: Final = "journal.sqlite"
FORMAT: Final = 1

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY, event BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS publications (number INTEGER PRIMARY KEY, publication BLOB NOT NULL);
"""


class Journal:
    """The events of one process in order, and its publications, numbered from 1.

    Args:
        folder: where the database lies; made if missing, for this user alone.
        full: wait for the disk at each commit, which survives a power failure, not only `kill -9`.
        read_only: look at it, beside a process that may be writing.

    Raises:
        InputError: the folder holds no journal, or one of another format.
        RunError: it cannot be opened or is in use by another process.
    """

    def __init__(self, folder: Path, *, full: bool = False, read_only: bool = False) -> None:
        self.path = folder / FILE_NAME
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode_event = msgspec.msgpack.Decoder(Event).decode
        self._decode_publication = msgspec.msgpack.Decoder(Outgoing).decode
        self._written = 0  # publications
        try:
            self._database = self._open(folder, full=full, read_only=read_only)
        except sqlite3.Error as error:
            raise RunError(f"{self.path}: {error} (is another process using it?)") from None
        self._check_format()
        self._written = self._number("SELECT max(number) FROM publications")

    def _open(self, folder: Path, *, full: bool, read_only: bool) -> sqlite3.Connection:
        if read_only:
            if not self.path.is_file():
                raise InputError("folder", str(folder), f"one that holds a {FILE_NAME}")
            return sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True)
        folder.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))  # It holds the tokens' secret.
        database = sqlite3.connect(self.path, isolation_level=None, timeout=1.0)
        try:
            # One writer for as long as the process lives: two would not have the same agents.
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            database.executescript(_SCHEMA)
            database.execute("INSERT OR IGNORE INTO facts VALUES ('format', ?)", (FORMAT,))
        except BaseException:
            database.close()
            raise
        return database

    def _check_format(self) -> None:
        try:
            found = self.fact("format")
        except sqlite3.Error as error:
            self.close()
            raise InputError("journal", str(self.path), f"a journal of ours ({error})") from None
        if found != FORMAT:
            self.close()
            raise InputError("journal", f"{self.path} of format {found}", f"of format {FORMAT}")

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
        for (event,) in self._database.execute("SELECT event FROM events ORDER BY number"):
            yield self._decode_event(event)

    def publications(self, after: int = 0) -> Iterator[tuple[int, Outgoing]]:
        """Give the publications after a number, with their numbers."""
        rows: Iterable[tuple[int, bytes]] = self._database.execute(
            "SELECT number, publication FROM publications WHERE number > ? ORDER BY number", (after,)
        )
        for number, publication in rows:
            yield number, self._decode_publication(publication)

    def not_taken(self) -> list[tuple[int, Outgoing]]:
        """Give the publications of which it is not known that the broker has them."""
        taken = self.fact("taken")
        return list(self.publications(taken if isinstance(taken, int) else 0))

    def _number(self, query: str) -> int:
        found: int | None = self._database.execute(query).fetchone()[0]
        return found or 0


def _fact(value: object) -> object:
    return value if isinstance(value, (int, str, bytes)) else msgspec.json.encode(value)
