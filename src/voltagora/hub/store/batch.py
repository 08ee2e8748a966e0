"""The changes of one commit, gathered so that what cancels out is never written."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from voltagora.hub.publication import Publication
from voltagora.hub.will import Will

Row = tuple[Any, ...]

_MESSAGE: Final = "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_ENTRY: Final = "INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_RETAINED: Final = "INSERT OR REPLACE INTO retained VALUES (?, ?, ?, ?, ?, ?, ?)"
_WILL: Final = "INSERT OR REPLACE INTO will VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Batch:
    """One commit in the making.

    Attributes:
        wall_offset: what turns the monotonic clock into seconds since 1970.
        statements: seldom changes, in their order.
        messages: messages new in this batch, by row.
        entries: entries new or changed, by row.
        fresh: those of `entries` that no earlier batch has.
    """

    __slots__ = (
        "entries",
        "fresh",
        "gone_entries",
        "gone_messages",
        "messages",
        "retained",
        "statements",
        "wall_offset",
        "wills",
    )

    def __init__(self, wall_offset: float) -> None:
        self.wall_offset = wall_offset
        self.statements: list[tuple[str, Row]] = []
        self.messages: dict[int, Publication] = {}
        self.entries: dict[int, Row] = {}
        self.fresh: set[int] = set()
        self.gone_entries: list[int] = []
        self.gone_messages: list[int] = []
        self.retained: dict[str, Publication | None] = {}
        self.wills: dict[tuple[str, str], Will | None] = {}

    @property
    def empty(self) -> bool:
        """Nothing is left to write."""
        return not (
            self.statements
            or self.messages
            or self.entries
            or self.gone_entries
            or self.gone_messages
            or self.retained
            or self.wills
        )

    def write(self, database: sqlite3.Connection) -> None:
        """Write everything in one transaction; on failure nothing is written.

        Raises:
            sqlite3.Error: it could not be.
        """
        if self.empty:
            return
        database.execute("BEGIN IMMEDIATE")
        try:
            self._write(database)
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise

    def _write(self, database: sqlite3.Connection) -> None:
        for statement, row in self.statements:
            database.execute(statement, row)
        database.executemany(_MESSAGE, [(row, *self._message(each)) for row, each in self.messages.items()])
        database.executemany(_ENTRY, list(self.entries.values()))
        database.executemany("DELETE FROM entry WHERE row = ?", [(row,) for row in self.gone_entries])
        database.executemany("DELETE FROM message WHERE row = ?", [(row,) for row in self.gone_messages])
        kept = [self._message(each) for each in self.retained.values() if each is not None]
        database.executemany(_RETAINED, kept)
        cleared = [(topic,) for topic, each in self.retained.items() if each is None]
        database.executemany("DELETE FROM retained WHERE topic = ?", cleared)
        for (user, client), will in self.wills.items():
            if will is None:
                database.execute("DELETE FROM will WHERE user = ? AND client = ?", (user, client))
            else:
                database.execute(_WILL, (user, client, *_will(will)))

    def _message(self, each: Publication) -> Row:
        return (
            each.topic.name,
            each.payload,
            each.qos,
            each.properties,
            each.publisher,
            each.time,
            self._expires(each),
        )

    def _expires(self, each: Publication) -> float | None:
        return None if each.expires is None else each.expires + self.wall_offset


def _will(will: Will) -> Row:
    return (
        will.topic,
        will.payload,
        will.qos,
        will.retain,
        will.properties,
        will.delay,
        will.expiry,
    )
