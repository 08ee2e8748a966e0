"""The broker: sessions, rights, publishing and subscribing, with no socket and no clock of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from voltagora.hub.clock import Clock, Timers
from voltagora.hub.connection import Connection, Link
from voltagora.hub.counters import Counters
from voltagora.hub.errors import PacketError, Refused
from voltagora.hub.journal import Journal, Memory
from voltagora.hub.limits import Limits
from voltagora.hub.local import LocalSubscription, Receive
from voltagora.hub.publication import Publication, Topic
from voltagora.hub.reasons import Reason
from voltagora.hub.rights import Login, Rights
from voltagora.hub.router import Router
from voltagora.hub.session import Session
from voltagora.hub.sessions import Sessions
from voltagora.hub.topics import Filter, parse_filter
from voltagora.hub.trie import Subscription
from voltagora.hub.will import Will
from voltagora.hub.wire import publish
from voltagora.hub.wire.connect import V5, Connect
from voltagora.hub.wire.properties import Properties, Property

Decide = Callable[[str | None], None]
NEVER: Final = 0xFFFF_FFFF
"""Session expiry of a session that is to be kept for ever."""

OWN_TOPICS: Final = "$SYS"
"""What stands below is published by the hub alone."""


class Report(Protocol):
    """Told of what happened, in words and fields; never of a payload."""

    def __call__(self, event: str, **fields: object) -> None:
        """Take note."""


def _silent(event: str, **fields: object) -> None:
    """Take no note."""


class Broker:
    """One hub's core. Everything happens in the call that causes it; nothing waits, nothing runs beside.

    Args:
        rights: who may do what, asked every time.
        clock: time.
        new_client_id: gives ids to clients that bring none; random, or a test's sequence.
        limits: all limits.
        journal: what outlives the process.
        report: told of what happened.
    """

    def __init__(
        self,
        rights: Rights,
        clock: Clock,
        new_client_id: Callable[[], str],
        limits: Limits | None = None,
        journal: Journal | None = None,
        report: Report = _silent,
    ) -> None:
        self.rights = rights
        self.clock = clock
        self.new_client_id = new_client_id
        self.limits = limits or Limits()
        self.journal: Journal = journal or Memory()
        self.report = report
        self.counters = Counters()
        self.timers = Timers()
        self.router = Router(self.limits, self.journal)
        self.sessions = Sessions(self)
        self.half_open: dict[Connection, None] = {}
        self.dirty: list[Connection] = []
        self._awaiting: deque[tuple[int, Callable[[], None]]] = deque()
        self.authenticate: Callable[[Login, Decide], None] = self._authenticate
        """Finds out who a client is; replaced by one that works in a thread where passwords are hashed."""

    # Publishing and subscribing, for parts of our own process.

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        retain: bool = False,
        user: str | None = None,
        properties: Properties | None = None,
    ) -> int:
        """Publish without a socket.

        Args:
            topic: where.
            payload: what.
            qos: 0, 1 or 2.
            retain: keep it for later subscribers.
            user: whose rights hold and who is named as sender; None: the hub itself.
            properties: properties of MQTT 5, by `wire.properties.Property`.

        Returns:
            A ticket; the message is as safe as its QoS promises once `journal.saved` has reached it.

        Raises:
            Refused: rights or a quota say no.
            PacketError: the topic or a property is none.
        """
        if user is not None and not self.may_publish(user, topic):
            raise Refused(Reason.NOT_AUTHORIZED, f"publish to {topic}")
        given = properties or {}
        expiry = given.get(Property.MESSAGE_EXPIRY)
        publication = Publication(
            self.router.topics.named(topic),
            payload,
            qos,
            retain,
            publish.travelling(given, publish.stamp(user or "")),
            user or "",
            self.clock.wall(),
            None if expiry is None else self.clock.monotonic() + expiry,
        )
        ticket = self._take(publication)
        self.flush()
        return ticket

    def _take(self, publication: Publication) -> int:
        if publication.retain and not self.router.topics.room_to_retain(publication):
            raise Refused(Reason.QUOTA_EXCEEDED, f"retain in {publication.topic.name}")
        if publication.qos and self.journal.failed:
            raise Refused(Reason.QUOTA_EXCEEDED, "save")
        self.counters.published[publication.qos] += 1
        return self.router.take(publication)[0]

    def publish_own(self, topic: str, payload: bytes) -> None:
        """Publish what the hub tells of itself, retained; nobody's rights and no counter are asked."""
        where = self.router.topics.named(topic)
        self.router.take(Publication(where, payload, 0, True, b"", "", self.clock.wall()), keep=False)
        self.flush()

    def subscribe_here(
        self, text: str, receive: Receive, *, user: str | None = None, retained: bool = True
    ) -> LocalSubscription:
        """Have a function called with every message that matches, in the call that publishes it.

        Raises:
            Refused: the user may not subscribe to all of the filter.
            PacketError: it is no filter.
        """
        wanted = parse_filter(text)
        if user is not None and not self.rights.may_subscribe(user, wanted):
            raise Refused(Reason.NOT_AUTHORIZED, f"subscribe to {text}")
        local = LocalSubscription(self, Subscription(wanted, 2), receive, user)
        self.router.trie.add(local.subscription, local)
        if retained and wanted.group is None:
            for topic in list(self.router.retained(wanted)):
                if topic.retained is not None:
                    local.deliver(topic.retained, 2, True, ())
        return local

    def forget_local(self, local: LocalSubscription) -> None:
        """Take a closed subscription of our own process out of the trie."""
        self.router.trie.remove(local.subscription.filter, local)

    def last_values(self, text: str, *, user: str | None = None) -> Iterator[Publication]:
        """Give the last publication of every topic a filter matches, as far as the user may receive it."""
        for topic in list(self.router.topics.select(parse_filter(text).levels)):
            allowed = user is None or self.rights.may_receive(user, topic.name)
            if topic.last is not None and allowed and not self._expired(topic.last):
                yield topic.last

    def forget(self, text: str, keep: Callable[[str], bool] = lambda _: False) -> None:
        """Drop last and retained values of the topics that a filter matches; nobody is told.

        Args:
            text: the filter.
            keep: says which of the topics keep theirs.
        """
        for topic in list(self.router.topics.select(parse_filter(text).levels)):
            if keep(topic.name):
                continue
            if topic.retained is not None:
                self.journal.retained(topic, None)
            self.router.topics.forget(topic)

    def _expired(self, publication: Publication) -> bool:
        return publication.expires is not None and publication.expires <= self.clock.monotonic()

    # Rights that act at once.

    def may_publish(self, user: str, topic: str) -> bool:
        """Whether a user may publish there; nobody may below `$SYS`."""
        if topic[:1] == "$" and topic.split("/", 1)[0] == OWN_TOPICS:
            return False
        return self.rights.may_publish(user, topic)

    def revoke(self, user: str) -> None:
        """Act on narrower rights of a user at once.

        Every publish and delivery asks the rights anyway; this also ends subscriptions that are no
        longer allowed and discards what waits and may not be delivered.
        """
        for session in self.sessions.of(user):
            for subscription in list(session.subscriptions.values()):
                if not self.rights.may_subscribe(user, subscription.filter):
                    self.unsubscribe(session, subscription.filter.text)
            session.drop_unlawful(lambda each: self.rights.may_receive(user, each.topic.name))

    def put_out(
        self,
        user: str,
        client: str | None = None,
        *,
        reason: Reason = Reason.ADMINISTRATIVE_ACTION,
        forget: bool = False,
    ) -> int:
        """End a user's connections at once; with `forget`, its sessions too. Gives how many."""
        number = 0
        for session in self.sessions.of(user):
            if client is not None and session.client != client:
                continue
            number += session.connection is not None
            if session.connection is not None:
                session.connection.close(reason, abort=session.connection.congested)
            if forget:
                self.end_session(session)
        self.flush()
        return number

    # For connections.

    def connect(self, link: Link, address: str) -> Connection:
        """Begin with a line that has just been opened."""
        self.counters.connections_accepted += 1
        connection = Connection(self, link, address)
        self.half_open[connection] = None
        if len(self.half_open) > self.limits.half_open:
            next(iter(self.half_open)).close(Reason.SERVER_BUSY, abort=True)
        return connection

    def _authenticate(self, login: Login, decide: Decide) -> None:
        decide(self.rights.may_connect(login))

    def session_expiry(self, wanted: Connect) -> float:
        """Give the seconds a session is kept, within the limit."""
        if wanted.version == V5:
            asked = float(wanted.properties.get(Property.SESSION_EXPIRY, 0))
        else:
            asked = 0.0 if wanted.clean else float(NEVER)
        return min(asked, self.limits.session_seconds)

    def begin_session(
        self, connection: Connection, user: str, client: str, clean: bool, expiry: float
    ) -> tuple[Session, bool, int]:
        """Give a client its session: its old one or a new; whether it is old; the ticket to wait for.

        Raises:
            PacketError: a quota says no.
        """
        found = self.sessions.begin(connection, user, client, clean, expiry)
        self.half_open.pop(connection, None)
        return found

    def set_expiry(self, session: Session, expiry: float) -> None:
        """Change how long a session outlives its connection."""
        self.sessions.set_expiry(session, min(expiry, self.limits.session_seconds))

    def end_session(self, session: Session, reason: Reason = Reason.ADMINISTRATIVE_ACTION) -> None:
        """End a session and its connection."""
        self.sessions.end(session, reason)

    def leave_will(self, session: Session, will: Will | None) -> None:
        """Keep a connection's will, in place of any before."""
        self.sessions.leave_will(session, will)

    def gone(self, connection: Connection, reason: str, *, with_will: bool, quiet: bool) -> None:
        """Take note that a connection is over."""
        self.half_open.pop(connection, None)
        self.counters.closed[reason] += 1
        if connection.handshake is not None:
            connection.handshake.cancel()
        if connection.conversation is not None:
            connection.conversation.cancel()
        session = connection.session
        if session is not None and session.connection is connection:
            self.sessions.detach(session, with_will=with_will, quiet=quiet)

    def check_subscribe(self, session: Session, wanted: Filter) -> None:
        """Refuse a filter that is not allowed, or one too many.

        Raises:
            PacketError: with the reason.
        """
        if not self.rights.may_subscribe(session.user, wanted):
            raise PacketError(Reason.NOT_AUTHORIZED, "the filter is not granted")
        many = len(session.subscriptions) >= self.limits.subscriptions_per_session
        if many and wanted.text not in session.subscriptions:
            raise PacketError(Reason.QUOTA_EXCEEDED, "too many subscriptions")
        if session.stored and self.journal.failed:
            raise PacketError(Reason.QUOTA_EXCEEDED, "cannot save")

    def subscribe(self, session: Session, subscription: Subscription) -> tuple[bool, int]:
        """Subscribe a session; say whether the filter is new to it, and the ticket to wait for."""
        session.subscriptions[subscription.filter.text] = subscription
        new = self.router.trie.add(subscription, session)
        return new, self.journal.subscribed(session, subscription) if session.stored else 0

    def unsubscribe(self, session: Session, text: str) -> tuple[bool, int]:
        """Unsubscribe a session; say whether it was subscribed, and the ticket to wait for."""
        subscription = session.subscriptions.pop(text, None)
        if subscription is None:
            return False, 0
        self.router.trie.remove(subscription.filter, session)
        return True, self.journal.unsubscribed(session, text) if session.stored else 0

    def replay(self, session: Session, subscription: Subscription) -> None:
        """Send the retained messages of a filter, as fast as the client takes them."""
        if subscription.filter.group is None:
            topics: Iterator[Topic] = self.router.retained(subscription.filter)
            session.replay.extend((topic, subscription) for topic in topics)
            session.pump()

    def publish_will(self, session: Session, will: Will) -> None:
        """Publish a will, if the rights of its user still allow it."""
        if not self.may_publish(session.user, will.topic):
            self.counters.refused["will not authorized"] += 1
            return
        publication = Publication(
            self.router.topics.named(will.topic),
            will.payload,
            will.qos,
            will.retain,
            will.properties,
            session.user,
            self.clock.wall(),
            None if will.expiry is None else self.clock.monotonic() + will.expiry,
            session,
        )
        try:
            self._take(publication)
        except Refused as error:
            self.fault(session, "will refused", detail=str(error))

    # What the owner calls.

    def when_saved(self, ticket: int, action: Callable[[], None]) -> None:
        """Have something done once a ticket is saved; in the order of the calls."""
        self._awaiting.append((ticket, action))

    def saved(self) -> None:
        """Go on with what waited for the journal."""
        while self._awaiting and self._awaiting[0][0] <= self.journal.saved:
            self._awaiting.popleft()[1]()
        self.flush()

    def tick(self) -> None:
        """Do what is due."""
        self.timers.run(self.clock.monotonic())
        self.flush()

    def flush(self) -> None:
        """Hand what was written in this call to the links."""
        while self.dirty:
            dirty, self.dirty = self.dirty, []
            for connection in dirty:
                connection.flush()

    def fault(self, who: Connection | Session, what: str, detail: str | None = None) -> None:
        """Report a fault with the client it is about; `what` is one of a few, `detail` is not."""
        session = who if isinstance(who, Session) else who.session
        address = who.address if isinstance(who, Connection) else None
        user, client = (session.user, session.client) if session is not None else (None, None)
        self.report("fault", what=what, detail=detail, user=user, client=client, address=address)

    def close(self) -> None:
        """Part from every client; wills and sessions stay for the next start of a hub that stores."""
        for connection in [*self.half_open, *self.sessions.connections()]:
            connection.close(Reason.SERVER_SHUTTING_DOWN, quiet=True)

    def figures(self) -> dict[str, Any]:
        """Give what is now, as numbers."""
        topics = self.router.topics
        return {
            "connected": self.sessions.connected,
            "half_open": len(self.half_open),
            "sessions": len(self.sessions),
            "subscriptions": self.router.trie.size,
            "topics": len(topics.known),
            "retained": topics.retained,
            "retained_bytes": topics.retained_bytes,
            "last_value_bytes": topics.last_bytes,
        }
