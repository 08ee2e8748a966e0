"""All sessions: taken up, taken over, kept, ended, each with its last will."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from voltagora.hub.errors import PacketError
from voltagora.hub.reasons import Reason
from voltagora.hub.session import Session
from voltagora.hub.will import Will

if TYPE_CHECKING:
    from voltagora.hub.broker import Broker
    from voltagora.hub.connection import Connection

MINUTE: Final = 60.0
MOST_REMEMBERED: Final = 10_000


class Sessions:
    """Sessions by user and client id together: another user's client of the same id is another session."""

    __slots__ = ("_broker", "_by_key", "_by_user", "_connected_by_user", "_number", "_takeovers", "connected")

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._by_key: dict[tuple[str, str], Session] = {}
        self._by_user: dict[str, dict[str, Session]] = {}
        self._connected_by_user: Counter[str] = Counter()
        self._number = 0
        self._takeovers: dict[tuple[str, str], deque[float]] = {}
        self.connected = 0

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._by_key.values())

    def find(self, user: str, client: str) -> Session | None:
        """Give a session, if there is one."""
        return self._by_key.get((user, client))

    def of(self, user: str) -> list[Session]:
        """Give all sessions of a user."""
        return list(self._by_user.get(user, {}).values())

    def connections(self) -> list[Connection]:
        """Give all connections that were let in."""
        return [each.connection for each in self._by_key.values() if each.connection is not None]

    def begin(
        self, connection: Connection, user: str, client: str, clean: bool, expiry: float
    ) -> tuple[Session, bool, int]:
        """See `Broker.begin_session`."""
        session = self._by_key.get((user, client))
        if session is None or session.connection is None:
            self._check_quota(user, session)
        if session is not None and session.connection is not None:
            self._take_over(session)
            session = self._by_key.get((user, client))
        ticket = 0
        if session is not None and clean:
            ticket = self.end(session)
            session = None
        present = session is not None
        if session is None:
            session = self.add(user, client)
        session.connection = connection
        if session.end_timer is not None:
            session.end_timer.cancel()
            session.end_timer = None
        self.connected += 1
        self._connected_by_user[user] += 1
        return session, present, max(ticket, self.set_expiry(session, expiry))

    def _check_quota(self, user: str, session: Session | None) -> None:
        limits = self._broker.limits
        if self.connected >= limits.connections or (session is None and len(self) >= limits.sessions):
            raise PacketError(Reason.QUOTA_EXCEEDED, "too many clients")
        if self._connected_by_user[user] >= limits.connections_per_user:
            raise PacketError(Reason.QUOTA_EXCEEDED, "too many clients of one user")

    def _take_over(self, session: Session) -> None:
        """Put the older connection out, unless two clients with one id keep doing so to each other."""
        broker = self._broker
        now = broker.clock.monotonic()
        # Not kept in the session: one that ends with its connection would forget them.
        recent = self._takeovers.setdefault((session.user, session.client), deque())
        if len(self._takeovers) > MOST_REMEMBERED:
            del self._takeovers[next(iter(self._takeovers))]
        while recent and recent[0] <= now - MINUTE:
            recent.popleft()
        if len(recent) >= broker.limits.takeovers_per_minute:
            broker.fault(session, "two clients fight for one session")
            raise PacketError(Reason.CONNECTION_RATE_EXCEEDED, "taken over too often")
        recent.append(now)
        broker.counters.takeovers += 1
        broker.fault(session, "session taken over")
        assert session.connection is not None
        session.connection.close(Reason.SESSION_TAKEN_OVER)

    def add(self, user: str, client: str, number: int = 0) -> Session:
        """Make a new session; with a number, one that was stored."""
        self._number = max(self._number + 1, number)
        session = Session(self._broker, user, client, number or self._number)
        self._by_key[user, client] = session
        self._by_user.setdefault(user, {})[client] = session
        return session

    def set_expiry(self, session: Session, expiry: float) -> int:
        """Keep a session for so long after its connection; give the ticket to wait for."""
        journal = self._broker.journal
        was_stored = session.stored
        session.expiry = expiry
        session.stored = expiry > 0 and journal.durable
        if session.stored:
            ticket = journal.session(session)
            if not was_stored:
                for subscription in session.subscriptions.values():
                    ticket = journal.subscribed(session, subscription)
            return ticket
        return journal.session_ended(session) if was_stored else 0

    def detach(self, session: Session, *, with_will: bool, quiet: bool) -> None:
        """Carry on without a connection: settle the will, keep the session or end it."""
        session.connection = None
        self.connected -= 1
        self._connected_by_user[session.user] -= 1
        if not self._connected_by_user[session.user]:
            del self._connected_by_user[session.user]
        if not with_will and not quiet:
            self.leave_will(session, None)
        session.park()
        if not quiet and not session.ended:
            self.part(session)

    def part(self, session: Session) -> None:
        """Start what runs while a client is away: its will's delay and its session's expiry."""
        broker = self._broker
        now = broker.clock.monotonic()
        will = session.will
        if session.expiry <= 0:
            self.end(session)
            return
        if session.stored:
            broker.journal.session(session)
        session.end_timer = broker.timers.at(now + session.expiry, lambda: self._expire(session))
        if will is None:
            return
        if will.delay <= 0:
            self._publish_will(session)
        else:
            session.will_timer = broker.timers.at(now + will.delay, lambda: self._publish_will(session))

    def _expire(self, session: Session) -> None:
        if session.connection is None:
            self.end(session)

    def leave_will(self, session: Session, will: Will | None) -> None:
        """See `Broker.leave_will`."""
        if session.will_timer is not None:
            session.will_timer.cancel()
            session.will_timer = None
        if will is None and session.will is None:
            return
        session.will = will
        self._broker.journal.will(session, will)

    def _publish_will(self, session: Session) -> None:
        will = session.will
        self.leave_will(session, None)
        if will is not None:
            self._broker.publish_will(session, will)

    def end(self, session: Session, reason: Reason = Reason.ADMINISTRATIVE_ACTION) -> int:
        """End a session, its connection first; its will is published at the latest now."""
        if session.ended:
            return 0
        session.ended = True
        if session.connection is not None:
            # Ending the connection of a session that does not outlive it comes back here.
            session.connection.close(reason, abort=session.connection.congested)
        broker = self._broker
        del self._by_key[session.user, session.client]
        clients = self._by_user[session.user]
        del clients[session.client]
        if not clients:
            del self._by_user[session.user]
        for subscription in session.subscriptions.values():
            broker.router.trie.remove(subscription.filter, session)
        session.subscriptions.clear()
        if session.end_timer is not None:
            session.end_timer.cancel()
        session.forget()
        ticket = broker.journal.session_ended(session) if session.stored else 0
        self._publish_will(session)
        return ticket
