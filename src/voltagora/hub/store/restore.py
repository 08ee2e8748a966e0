"""Reads the file back into a broker that has just been made."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from voltagora.hub.publication import Publication
from voltagora.hub.session import Entry, Session
from voltagora.hub.topics import parse_filter
from voltagora.hub.trie import Subscription
from voltagora.hub.will import Will

if TYPE_CHECKING:
    from voltagora.hub.broker import Broker
    from voltagora.hub.store.journal import StoredJournal


def restore(broker: Broker, journal: StoredJournal, database: sqlite3.Connection) -> None:
    """Take up sessions, messages, retained messages and wills.

    Whoever was connected when the process ended counts as gone from now on: wills run, and expiries.
    """
    database.execute("DELETE FROM message WHERE row NOT IN (SELECT message FROM entry)")
    database.execute("DELETE FROM entry WHERE session NOT IN (SELECT number FROM session)")
    sessions = _sessions(broker, database)
    _subscriptions(broker, database, sessions)
    for number, packet in database.execute("SELECT session, packet FROM received"):
        if number in sessions:
            sessions[number].received.add(packet)
    _retained(broker, database)
    _entries(broker, database, sessions)
    highest = (
        "SELECT max(coalesce((SELECT max(row) FROM entry), 0), coalesce((SELECT max(row) FROM message), 0))"
    )
    journal.next_row = database.execute(highest).fetchone()[0] + 1
    _wills(broker, database)
    for session in sessions.values():
        broker.sessions.part(session)


def _sessions(broker: Broker, database: sqlite3.Connection) -> dict[int, Session]:
    now = broker.clock.wall()
    sessions: dict[int, Session] = {}
    rows = database.execute(
        "SELECT number, user, client, expiry, parted FROM session ORDER BY number"
    ).fetchall()
    for number, user, client, expiry, parted in rows:
        session = broker.sessions.add(user, client, number)
        session.stored = True
        # What is left of it; a clock that was set back meanwhile gives nobody more than the whole.
        session.expiry = expiry if parted is None else max(0.001, min(expiry, parted + expiry - now))
        sessions[number] = session
    return sessions


def _subscriptions(broker: Broker, database: sqlite3.Connection, sessions: dict[int, Session]) -> None:
    for number, text, qos, no_local, keeps_retain, identifier in database.execute(
        "SELECT * FROM subscription"
    ):
        if number in sessions:
            subscription = Subscription(
                parse_filter(text), qos, bool(no_local), bool(keeps_retain), identifier
            )
            sessions[number].subscriptions[text] = subscription
            broker.router.trie.add(subscription, sessions[number])


def _retained(broker: Broker, database: sqlite3.Connection) -> None:
    for row in database.execute("SELECT * FROM retained"):
        publication = _publication(broker, row, retain=True)
        broker.router.topics.remember(publication)
        broker.router.topics.retain(publication)


def _entries(broker: Broker, database: sqlite3.Connection, sessions: dict[int, Session]) -> None:
    messages: dict[int, Publication] = {}
    for row, *rest in database.execute("SELECT * FROM message"):
        publication = messages[row] = _publication(broker, rest, retain=False)
        publication.row = row
    rows = database.execute("SELECT * FROM entry ORDER BY row")
    for row, number, message, qos, retain, identifiers, packet, released in rows:
        publication = messages[message]
        publication.rows += 1
        numbers = tuple(int(each) for each in identifiers.split(",") if each)
        entry = Entry(publication, qos, bool(retain), numbers)
        entry.row, entry.packet, entry.released = row, packet, bool(released)
        session = sessions[number]
        if packet:
            # It may have reached the client: a repeat says so.
            entry.sent = True
            session.inflight[packet] = entry
        else:
            session.queue.append(entry)
            session.queued_bytes += len(publication.payload)


def _publication(broker: Broker, row: Any, *, retain: bool) -> Publication:
    topic, payload, qos, properties, publisher, time, expires = row
    offset = broker.clock.wall() - broker.clock.monotonic()
    return Publication(
        broker.router.topics.named(topic),
        payload,
        qos,
        retain,
        properties,
        publisher,
        time,
        None if expires is None else expires - offset,
    )


def _wills(broker: Broker, database: sqlite3.Connection) -> None:
    for user, client, *rest in database.execute("SELECT * FROM will").fetchall():
        topic, payload, qos, retain, properties, delay, expiry = rest
        will = Will(topic, payload, qos, bool(retain), properties, delay, expiry)
        session = broker.sessions.find(user, client)
        if session is not None:
            session.will = will
            continue
        # Its session did not outlive the connection: the will is due now.
        session = broker.sessions.add(user, client)
        session.will = will
        broker.sessions.end(session)
