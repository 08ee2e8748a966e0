"""The journal that keeps: gathers changes into batches, which a committer writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from voltagora.hub.clock import Clock
from voltagora.hub.store.batch import Batch, Row

if TYPE_CHECKING:
    from voltagora.hub.publication import Publication, Topic
    from voltagora.hub.session import Entry, Session
    from voltagora.hub.trie import Subscription
    from voltagora.hub.will import Will

_SESSION = "INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?)"
_SUBSCRIPTION = "INSERT OR REPLACE INTO subscription VALUES (?, ?, ?, ?, ?, ?)"


class StoredJournal:
    """See `voltagora.hub.journal.Journal`. The ticket of a change is the number of its batch.

    Attributes:
        woken: called when a batch gets its first change.
        next_row: rows of messages and entries, which are never used twice in a run.
    """

    durable = True

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.saved = 0
        self.failed = False
        self.woken: Callable[[], None] = lambda: None
        self.next_row = 1
        self._ticket = 0
        self._batch: Batch | None = None

    def take_batch(self) -> tuple[int, Batch] | None:
        """Give what has gathered, with its ticket, and begin anew; None if nothing has."""
        batch, self._batch = self._batch, None
        return None if batch is None else (self._ticket, batch)

    @property
    def pending(self) -> bool:
        """Whether something has gathered."""
        return self._batch is not None

    def _open(self) -> Batch:
        batch = self._batch
        if batch is None:
            batch = self._batch = Batch(self._clock.wall() - self._clock.monotonic())
            self._ticket += 1
            self.woken()
        return batch

    def _note(self, statement: str, row: Row) -> int:
        self._open().statements.append((statement, row))
        return self._ticket

    def session(self, session: Session) -> int:
        """A persistent session began or its expiry or end changed."""
        parted = None if session.connection is not None else self._clock.wall()
        return self._note(_SESSION, (session.number, session.user, session.client, session.expiry, parted))

    def session_ended(self, session: Session) -> int:
        """A session is over, with all that belongs to it."""
        for table, column in (
            ("session", "number"),
            ("subscription", "session"),
            ("received", "session"),
            ("entry", "session"),
        ):
            self._note(f"DELETE FROM {table} WHERE {column} = ?", (session.number,))  # noqa: S608
        return self._ticket

    def subscribed(self, session: Session, subscription: Subscription) -> int:
        """A persistent session subscribed."""
        row = (
            session.number,
            subscription.filter.text,
            subscription.qos,
            subscription.no_local,
            subscription.retain_as_published,
            subscription.identifier,
        )
        return self._note(_SUBSCRIPTION, row)

    def unsubscribed(self, session: Session, text: str) -> int:
        """A persistent session unsubscribed."""
        return self._note("DELETE FROM subscription WHERE session = ? AND filter = ?", (session.number, text))

    def queued(self, session: Session, entry: Entry) -> int:
        """A message waits for a persistent session."""
        batch = self._open()
        publication = entry.publication
        if not publication.row:
            publication.row = self._row()
            batch.messages[publication.row] = publication
        publication.rows += 1
        entry.row = self._row()
        batch.fresh.add(entry.row)
        batch.entries[entry.row] = _entry(session, entry)
        return self._ticket

    def changed(self, session: Session, entry: Entry) -> int:
        """A waiting message got its packet identifier or was released."""
        batch = self._open()
        batch.entries[entry.row] = _entry(session, entry)
        return self._ticket

    def done(self, session: Session, entry: Entry) -> int:  # noqa: ARG002
        """A message is acknowledged, expired or dropped."""
        batch = self._open()
        row, publication = entry.row, entry.publication
        entry.row = 0
        batch.entries.pop(row, None)
        if row in batch.fresh:
            batch.fresh.discard(row)
        else:
            batch.gone_entries.append(row)
        publication.rows -= 1
        if not publication.rows:
            if batch.messages.pop(publication.row, None) is None:
                batch.gone_messages.append(publication.row)
            publication.row = 0
        return self._ticket

    def _row(self) -> int:
        row = self.next_row
        self.next_row = row + 1
        return row

    def received(self, session: Session, packet: int) -> int:
        """A QoS 2 message came in and must not be taken twice."""
        return self._note("INSERT OR IGNORE INTO received VALUES (?, ?)", (session.number, packet))

    def released(self, session: Session, packet: int) -> int:
        """A QoS 2 message is complete; its identifier may be used again."""
        return self._note("DELETE FROM received WHERE session = ? AND packet = ?", (session.number, packet))

    def retained(self, topic: Topic, publication: Publication | None) -> int:
        """A topic's retained message was set or cleared."""
        self._open().retained[topic.name] = publication
        return self._ticket

    def will(self, session: Session, will: Will | None) -> int:
        """A will was left, or is settled."""
        self._open().wills[session.user, session.client] = will
        return self._ticket


def _entry(session: Session, entry: Entry) -> Row:
    return (
        entry.row,
        session.number,
        entry.publication.row,
        entry.qos,
        entry.retain,
        ",".join(map(str, entry.identifiers)),
        entry.packet,
        entry.released,
    )
