"""One client's connection: bytes in, packets out. No socket; a `Link` carries the bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from voltagora.hub.errors import PacketError
from voltagora.hub.handshake import Handshake
from voltagora.hub.publication import Publication, Topic
from voltagora.hub.reasons import Reason
from voltagora.hub.wire import connect, primitive, publish
from voltagora.hub.wire.connect import V5

if TYPE_CHECKING:
    from voltagora.hub.broker import Broker
    from voltagora.hub.conversation import Conversation
    from voltagora.hub.session import Session


class Link(Protocol):
    """What carries a connection's bytes."""

    def send(self, data: bytes) -> None:
        """Send bytes, or hold them; must set `congested` on the connection when it holds too many."""

    def close(self, *, abort: bool) -> None:
        """End the line, after what was sent or at once."""

    def pause_reading(self) -> None:
        """Take no more bytes from the client for now."""

    def resume_reading(self) -> None:
        """Take bytes again."""


SHORT_IDS: Final = tuple(number.to_bytes(2, "big") for number in range(65_536))
"""All packet identifiers as bytes: a look-up is quicker than a conversion."""

LARGE: Final = 256
"""Pieces that wait before they are flushed in the middle of something long."""


class Connection:
    """The state of one line, from its first byte to its last.

    Attributes:
        version: protocol level, 0 before CONNECT.
        congested: the link holds too much; messages wait in the session meanwhile.
        window: unacknowledged messages this client takes.
        heard: when bytes came last, on the monotonic clock.
        held: acknowledgements that wait for the journal.
        closed: nothing is read or sent any more.
    """

    __slots__ = (
        "_aliases",
        "_held_until",
        "_need",
        "_paused",
        "_tail",
        "address",
        "aliases_allowed",
        "broker",
        "closed",
        "congested",
        "conversation",
        "handshake",
        "heard",
        "held",
        "link",
        "max_packet",
        "out",
        "session",
        "user",
        "version",
        "window",
    )

    def __init__(self, broker: Broker, link: Link, address: str) -> None:
        self.broker = broker
        self.link = link
        self.address = address
        self.version = 0
        self.user = ""
        self.session: Session | None = None
        self.handshake: Handshake | None = Handshake(self)
        self.conversation: Conversation | None = None
        self.congested = False
        self.closed = False
        self.window = broker.limits.window
        self.max_packet = 0
        self.aliases_allowed = 0
        self.heard = broker.clock.monotonic()
        self.out: list[bytes] = []
        self._aliases: dict[Topic, int] = {}
        self._tail = bytearray()
        self._need = 0
        self._held_until = 0
        self.held = 0
        self._paused = False

    # Bytes in.

    def receive(self, data: bytes) -> None:
        """Take bytes as they came and answer the packets that are whole."""
        if self.closed:
            return
        self.heard = self.broker.clock.monotonic()
        self.broker.counters.bytes_received += len(data)
        if self._tail or (self.handshake is not None and self.handshake.deciding):
            self._tail += data
            if self._waits():
                return
            data = bytes(self._tail)
            self._tail.clear()
        try:
            self._read(data)
        except PacketError as error:
            self.fail(error)
        self.broker.flush()

    def _waits(self) -> bool:
        """Whether what has come is not enough, or not yet to be read."""
        if self.handshake is not None and self.handshake.deciding:
            if len(self._tail) > self.broker.limits.packet_bytes:
                self.fail(PacketError(Reason.PACKET_TOO_LARGE, "too much before CONNACK"))
            return True
        return len(self._tail) < self._need

    def carry_on(self) -> None:
        """Read what came while it was decided who this is."""
        if self._tail and not self.closed:
            self._need = 0
            self.receive(b"")

    def _read(self, data: bytes) -> None:
        at, size = 0, len(data)
        limit = self.broker.limits.packet_bytes
        if size and self.handshake is not None:
            # Whoever speaks something else is told so before it has said much.
            self.handshake.check_first(data[0])
        while size - at >= 2:
            first = data[at]
            length = data[at + 1]
            body = at + 2
            if length > 0x7F:
                found = _long_length(data, at + 1, size)
                if found is None:
                    break
                length, body = found
            end = body + length
            if end - at > limit:
                raise PacketError(Reason.PACKET_TOO_LARGE, f"a packet of {end - at} bytes")
            if end > size:
                self._need = end - at
                self._tail += data[at:]
                return
            self._dispatch(first, data, body, end)
            if self.closed:
                return
            at = end
            if self.handshake is not None and self.handshake.deciding:
                break
        self._need = 0
        if at < size:
            self._tail += data[at:]

    def _dispatch(self, first: int, data: bytes, at: int, end: int) -> None:
        if self.conversation is not None:
            self.conversation.packet(first, data, at, end)
        elif self.handshake is not None:
            self.handshake.packet(first, data, at, end)

    # Packets out.

    def put(self, data: bytes) -> None:
        """Send a packet with the next flush."""
        out = self.out
        if not out:
            self.broker.dirty.append(self)
        out.append(data)

    def answer(self, data: bytes, ticket: int) -> None:
        """Send an acknowledgement once its ticket is saved, and never before an earlier one."""
        saved = self.broker.journal.saved
        ticket = max(ticket, self._held_until)
        if ticket <= saved:
            self.put(data)
            return
        self._held_until = ticket
        self.held += 1
        if self.held > self.broker.limits.receive_maximum and not self._paused:
            self._paused = True
            self.link.pause_reading()
        self.broker.when_saved(ticket, lambda: self._let_go(data))

    def after_answers(self, action: Callable[[], None]) -> None:
        """Do something once every acknowledgement so far is sent."""
        if self._held_until <= self.broker.journal.saved:
            action()
        else:
            self.broker.when_saved(self._held_until, action)

    def _let_go(self, data: bytes) -> None:
        self.held -= 1
        if self.closed:
            return
        self.put(data)
        if self._paused and self.held <= self.broker.limits.receive_maximum // 2:
            self._paused = False
            self.link.resume_reading()

    def send(
        self,
        publication: Publication,
        qos: int,
        packet: int,
        again: bool,
        retain: bool,
        identifiers: tuple[int, ...],
    ) -> bool:
        """Send a message; say whether it could be (not if it is too large for the client, or expired)."""
        first = publish.PUBLISH | qos << 1 | retain
        if again:
            first |= publish.DUPLICATE
        if identifiers or publication.expires is not None or self.aliases_allowed:
            found = self._own_pieces(publication, first, identifiers)
            if found is None:
                return False
            before, after = found
        else:
            _, before, after = publication.pieces(self.version, first)
        if self.max_packet and len(before) + len(after) + (2 if qos else 0) > self.max_packet:
            self.broker.counters.dropped["too large for the client"] += 1
            return False
        out = self.out
        if not out:
            self.broker.dirty.append(self)
        if qos:
            out += (before, SHORT_IDS[packet], after)
        else:
            out += (before, after)
        self.broker.counters.delivered[qos] += 1
        return True

    def _own_pieces(
        self, publication: Publication, first: int, identifiers: tuple[int, ...]
    ) -> tuple[bytes, bytes] | None:
        """Encode for this client alone: identifiers, what is left of the expiry, an alias."""
        expiry = None
        if publication.expires is not None:
            left = publication.expires - self.broker.clock.monotonic()
            if left <= 0:
                self.broker.counters.dropped["expired"] += 1
                return None
            expiry = max(1, round(left))
        if self.version != V5:
            return publication.pieces(self.version, first)[1:]
        topic, alias = publication.topic.wire, None
        if self.aliases_allowed:
            topic, alias = self._alias(publication.topic)
        raw = publish.delivery_properties(identifiers, expiry, alias) + publication.properties
        return publish.pieces(V5, first, topic, raw, publication.payload)

    def _alias(self, topic: Topic) -> tuple[bytes, int | None]:
        known = self._aliases.get(topic)
        if known is not None:
            return b"\0\0", known
        if len(self._aliases) < self.aliases_allowed:
            self._aliases[topic] = len(self._aliases) + 1
            return topic.wire, self._aliases[topic]
        return topic.wire, None

    def flush_if_large(self) -> None:
        """Let the link say whether it is congested, in the middle of something long."""
        if len(self.out) >= LARGE:
            self.flush()

    def flush(self) -> None:
        """Hand everything to the link."""
        out = self.out
        if not out or self.closed:
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        self.out = []
        self.broker.counters.bytes_sent += len(data)
        self.link.send(data)

    def flowing(self) -> None:
        """The link has sent what it held: go on with what waited."""
        self.congested = False
        if self.session is not None and not self.closed:
            self.session.pump()
            self.broker.flush()

    # The end.

    def fail(self, error: PacketError) -> None:
        """End the connection for what the client sent."""
        self.broker.fault(self, error.reason.words, detail=error.what)
        if self.handshake is not None and self.version:
            self.handshake.refuse(error.reason)
        else:
            self.close(error.reason)

    def close(self, reason: Reason, *, abort: bool = False, quiet: bool = False) -> None:
        """End the connection from our side; the will is published unless `quiet`.

        Args:
            reason: told to clients of MQTT 5, and counted.
            abort: do not wait for what the link still holds.
            quiet: leave the will for later (a hub that closes down).
        """
        if self.closed:
            return
        if self.conversation is not None and self.version == V5:
            self.out.append(connect.disconnect(reason))
        self.flush()
        self._end(reason.words, abort=abort or self.congested, quiet=quiet)

    def leave(self, reason: str, *, with_will: bool) -> None:
        """The client said goodbye."""
        self.flush()
        self._end(reason, abort=False, quiet=False, with_will=with_will)

    def lost(self) -> None:
        """The line is gone."""
        if not self.closed:
            self._end("line lost", abort=True, quiet=False)

    def _end(self, reason: str, *, abort: bool, quiet: bool, with_will: bool = True) -> None:
        self.closed = True
        self.out = []
        self._tail.clear()
        self.link.close(abort=abort)
        self.broker.gone(self, reason, with_will=with_will, quiet=quiet)

    def __repr__(self) -> str:
        return f"Connection({self.address}, {self.session!r})"


def _long_length(data: bytes, at: int, size: int) -> tuple[int, int] | None:
    """Read a remaining length of more than one byte; None while it is not complete."""
    stop = min(size, at + 4)
    if stop - at < 4 and data[stop - 1] & 0x80:
        return None
    return primitive.take_length(data, at, stop)
