"""A session: what a client subscribed to, and the messages on their way to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from voltagora.hub.publication import Publication, Topic
from voltagora.hub.reasons import Reason
from voltagora.hub.trie import Subscription
from voltagora.hub.wire.acknowledge import PUBREL, acknowledgement

if TYPE_CHECKING:
    from voltagora.hub.broker import Broker
    from voltagora.hub.clock import Timer
    from voltagora.hub.connection import Connection
    from voltagora.hub.will import Will

MOST_PACKETS: Final = 65_535


class Entry:
    """A QoS 1 or 2 message on its way to one session.

    Attributes:
        packet: its packet identifier; 0 until it is sent.
        sent: it may have reached the client before, so a repeat is marked so.
        released: the client has it (QoS 2), and only the release is left to do.
        row: its row in the store; 0: none.
    """

    __slots__ = ("identifiers", "packet", "publication", "qos", "released", "retain", "row", "sent")

    def __init__(
        self, publication: Publication, qos: int, retain: bool, identifiers: tuple[int, ...]
    ) -> None:
        self.publication = publication
        self.qos = qos
        self.retain = retain
        self.identifiers = identifiers
        self.packet = 0
        self.sent = False
        self.released = False
        self.row = 0


class Session:
    """What the hub keeps of a client, connected or not. It belongs to a user and a client id together.

    Attributes:
        number: its number in this hub and its store.
        expiry: seconds it outlives its connection.
        inflight: messages that have a packet identifier, oldest first.
        received: packet identifiers of QoS 2 messages from the client that it has not released.
    """

    __slots__ = (
        "_next_packet",
        "again",
        "broker",
        "client",
        "connection",
        "end_timer",
        "ended",
        "expiry",
        "inflight",
        "number",
        "queue",
        "queued_bytes",
        "received",
        "replay",
        "stored",
        "subscriptions",
        "user",
        "waiting0",
        "will",
        "will_timer",
    )

    def __init__(self, broker: Broker, user: str, client: str, number: int) -> None:
        self.broker = broker
        self.user = user
        self.client = client
        self.number = number
        self.expiry = 0.0
        self.stored = False
        self.ended = False
        self.connection: Connection | None = None
        self.subscriptions: dict[str, Subscription] = {}
        self.inflight: dict[int, Entry] = {}
        self.again: deque[Entry] = deque()
        self.queue: deque[Entry] = deque()
        self.queued_bytes = 0
        self.waiting0: deque[tuple[Publication, bool, tuple[int, ...]]] = deque()
        self.replay: deque[tuple[Topic, Subscription]] = deque()
        self.received: set[int] = set()
        self.will: Will | None = None
        self.will_timer: Timer | None = None
        self.end_timer: Timer | None = None
        self._next_packet = 0

    @property
    def online(self) -> bool:
        """Whether messages reach the client now."""
        return self.connection is not None and not self.connection.congested

    def may_receive(self, topic: str) -> bool:
        """Whether rights let its user be handed a message of this topic, now."""
        return self.broker.rights.may_receive(self.user, topic)

    def deliver(self, publication: Publication, qos: int, retain: bool, identifiers: tuple[int, ...]) -> int:
        """Send a message or let it wait; give the ticket of what must be saved."""
        broker = self.broker
        if not broker.rights.may_receive(self.user, publication.topic.name):
            broker.counters.refused["delivery not authorized"] += 1
            return 0
        connection = self.connection
        if not qos:
            if connection is None:
                return 0
            if connection.congested:
                self._wait0(publication, retain, identifiers)
            else:
                connection.send(publication, 0, 0, False, retain, identifiers)
            return 0
        if self.ended:
            return 0
        entry = Entry(publication, qos, retain, identifiers)
        ticket = broker.journal.queued(self, entry) if self.stored else 0
        if connection is None or connection.congested or self.queue or self._full(connection):
            self._wait(entry)
        else:
            self._send(connection, entry)
        return ticket

    def _full(self, connection: Connection) -> bool:
        return len(self.inflight) - len(self.again) >= connection.window

    def _wait0(self, publication: Publication, retain: bool, identifiers: tuple[int, ...]) -> None:
        waiting = self.waiting0
        if len(waiting) >= self.broker.limits.queued_qos0:
            waiting.popleft()
            self.broker.counters.dropped["slow reader"] += 1
            self.broker.fault(self, "slow reader: QoS 0 messages dropped")
        waiting.append((publication, retain, identifiers))

    def _wait(self, entry: Entry) -> None:
        self.queue.append(entry)
        self.queued_bytes += len(entry.publication.payload)
        limits = self.broker.limits
        if len(self.queue) > limits.queued_messages or self.queued_bytes > limits.queued_bytes:
            self.broker.fault(self, "queue overflow: session ended")
            self.broker.counters.dropped["queue overflow"] += len(self.queue)
            self.broker.end_session(self, Reason.QUOTA_EXCEEDED)

    def _send(self, connection: Connection, entry: Entry) -> None:
        packet = entry.packet or self._free_packet()
        entry.packet = packet
        self.inflight[packet] = entry
        if self.stored:
            ticket = self.broker.journal.changed(self, entry)
            # A repeat of an exactly-once message is only known by its identifier, so that is saved first.
            if entry.qos == 2 and ticket > self.broker.journal.saved:
                self.broker.when_saved(ticket, lambda: self._send_saved(connection, entry))
                return
        self._transmit(connection, entry)

    def _send_saved(self, connection: Connection, entry: Entry) -> None:
        """Send what is saved now; if it cannot be, its place in the window is the next one's."""
        self._send_later(connection, entry)
        self.pump()

    def _send_later(self, connection: Connection, entry: Entry) -> None:
        """Send what has its packet identifier already, if it is still wanted and lawful."""
        if self.connection is not connection or self.inflight.get(entry.packet) is not entry:
            return
        if self._deliverable(entry.publication):
            self._transmit(connection, entry)
        else:
            self._settle(entry.packet)

    def _transmit(self, connection: Connection, entry: Entry) -> None:
        again, entry.sent = entry.sent, True
        if not connection.send(
            entry.publication, entry.qos, entry.packet, again, entry.retain, entry.identifiers
        ):
            self._settle(entry.packet)

    def _deliverable(self, publication: Publication) -> bool:
        broker = self.broker
        if publication.expires is not None and publication.expires <= broker.clock.monotonic():
            broker.counters.dropped["expired"] += 1
            return False
        if not broker.rights.may_receive(self.user, publication.topic.name):
            broker.counters.refused["delivery not authorized"] += 1
            return False
        return True

    def _free_packet(self) -> int:
        packet = self._next_packet
        while True:
            packet = packet % MOST_PACKETS + 1
            if packet not in self.inflight:
                self._next_packet = packet
                return packet

    def _settle(self, packet: int) -> None:
        entry = self.inflight.pop(packet)
        if entry.row:
            self.broker.journal.done(self, entry)

    # What the client answers.

    def acknowledged(self, packet: int) -> None:
        """PUBACK: the message is done. One that nobody waits for is not an error (section 4.3.2)."""
        entry = self.inflight.get(packet)
        if entry is not None and entry.qos == 1:
            self._settle(packet)
            if self.queue or self.again or self.replay:
                self.pump()

    def taken(self, packet: int, reason: int) -> bool:
        """PUBREC: the client has it, or refuses it; say whether such a message is known."""
        entry = self.inflight.get(packet)
        if entry is None or entry.qos != 2:
            return False
        if reason >= 0x80:
            self._settle(packet)
            self.pump()
            return True
        connection = self.connection
        ticket = 0
        if not entry.released:
            entry.released = True
            ticket = self.broker.journal.changed(self, entry) if entry.row else 0
        if connection is not None:
            connection.answer(acknowledgement(PUBREL, packet), ticket)
        return True

    def completed(self, packet: int) -> None:
        """PUBCOMP: the message is done."""
        entry = self.inflight.get(packet)
        if entry is not None and entry.released:
            self._settle(packet)
            self.pump()

    # Catching up.

    def resume(self, connection: Connection) -> None:
        """Carry on over a new connection: repeat what was not acknowledged, then what waited."""
        self.connection = connection
        self.again.clear()
        for entry in self.inflight.values():
            if entry.released:
                connection.answer(acknowledgement(PUBREL, entry.packet), 0)
            else:
                self.again.append(entry)
        self.pump()

    def pump(self) -> None:
        """Send what waits, as far as the window and the socket take it."""
        connection = self.connection
        if connection is None:
            return
        while self.connection is connection and not connection.congested and self._pump_one(connection):
            connection.flush_if_large()

    def _pump_one(self, connection: Connection) -> bool:
        if self.waiting0:
            publication, retain, identifiers = self.waiting0.popleft()
            if self._deliverable(publication):
                connection.send(publication, 0, 0, False, retain, identifiers)
            return True
        if not self._full(connection):
            if self.again:
                self._send_later(connection, self.again.popleft())
                return True
            if self.queue:
                self._send_next(connection, self.queue.popleft())
                return True
        return bool(self.replay) and self._replay_one(connection)

    def _send_next(self, connection: Connection, entry: Entry) -> None:
        self.queued_bytes -= len(entry.publication.payload)
        if self._deliverable(entry.publication):
            self._send(connection, entry)
        elif entry.row:
            self.broker.journal.done(self, entry)

    def _replay_one(self, connection: Connection) -> bool:
        """Send a retained message as it is now; wait with it while the window is full."""
        topic, subscription = self.replay[0]
        qos = min(topic.retained.qos, subscription.qos) if topic.retained else 0
        if qos and (self.queue or self._full(connection)):
            return False
        self.replay.popleft()
        entry = self._retained(topic, subscription)
        if entry is None:
            return True
        if entry.qos:
            if self.stored:
                self.broker.journal.queued(self, entry)
            self._send(connection, entry)
        else:
            connection.send(entry.publication, 0, 0, False, True, entry.identifiers)
        return True

    def _retained(self, topic: Topic, subscription: Subscription) -> Entry | None:
        """Give a topic's retained message for a subscription, if it is still wanted and lawful."""
        publication = topic.retained
        current = self.subscriptions.get(subscription.filter.text) is subscription
        if publication is None or not current or not self._deliverable(publication):
            return None
        identifiers = () if subscription.identifier is None else (subscription.identifier,)
        return Entry(publication, min(publication.qos, subscription.qos), True, identifiers)

    def park(self) -> None:
        """The client is away: of what was on its way now, that which must arrive waits with the rest.

        A client that comes back to its session does not ask for retained messages once more.
        """
        self.waiting0.clear()
        replay, self.replay = self.replay, deque()
        if self.expiry <= 0:
            return
        for topic, subscription in replay:
            entry = self._retained(topic, subscription)
            if self.ended or entry is None or not entry.qos:
                continue
            if self.stored:
                self.broker.journal.queued(self, entry)
            self._wait(entry)

    def drop_unlawful(self, allowed: Callable[[Publication], bool]) -> None:
        """Discard what waits and may not be delivered any more."""
        self.waiting0 = deque(each for each in self.waiting0 if allowed(each[0]))
        kept: deque[Entry] = deque()
        for entry in self.queue:
            if allowed(entry.publication):
                kept.append(entry)
                continue
            self.queued_bytes -= len(entry.publication.payload)
            self.broker.counters.refused["delivery not authorized"] += 1
            if entry.row:
                self.broker.journal.done(self, entry)
        self.queue = kept

    def forget(self) -> None:
        """Drop everything, for a session that is over."""
        for entry in (*self.inflight.values(), *self.queue):
            if entry.row:
                self.broker.journal.done(self, entry)
        self.inflight.clear()
        self.again.clear()
        self.queue.clear()
        self.waiting0.clear()
        self.replay.clear()
        self.received.clear()
        self.queued_bytes = 0

    def __repr__(self) -> str:
        return f"Session({self.user!r}, {self.client!r})"
