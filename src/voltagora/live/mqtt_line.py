"""One connection to a broker, from CONNECT to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from voltagora.domain.errors import VoltAgoraError
from voltagora.hub.errors import PacketError
from voltagora.hub.reasons import Reason
from voltagora.hub.wire.connect import V5
from voltagora.hub.wire.properties import Properties, Property
from voltagora.live import mqtt_packets as packets
from voltagora.live.mqtt_frames import Frame, Frames
from voltagora.live.transport import Arrival, Listener, Publication

if TYPE_CHECKING:
    from voltagora.live.mqtt import MqttTransport

log = logging.getLogger("voltagora.live.mqtt")

RECEIVE_MAXIMUM: Final = 1_000
FILTERS_A_PACKET: Final = 400
FILTER_BYTES_A_PACKET: Final = 32_000
LARGEST_PACKET: Final = 268_435_455
LARGEST_UNTOLD: Final = 256 * 1024
"""What a broker on 3.1.1 is believed to take: it cannot tell, and closes the connection on more."""
STAMPS: Final = ("stamps", "sender")
"""User property of CONNACK by which a broker says that it names the sender of each publication."""

Batch = list[tuple[int | None, Arrival | None]]
"""Packet identifiers (None: not to be acknowledged) and what came (None: too large to be kept)."""


class Lost(Exception):
    """A connection came to its end before it was open."""


class Refusal(Exception):
    """The broker's answer to CONNECT was no."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"code 0x{code:02x}")


class Line(asyncio.Protocol):
    """A connection; what is written within one turn of the loop goes out as one piece.

    Attributes:
        admitted, subscribed: done when the broker has said yes.
        lost: done when it is over, with the reason.
        error: the exception that ended it, if one did.
        is_unwelcome: ended in a way that a quick new connection would not mend.
        in_flight: publications without acknowledgement, by packet identifier, in order.
        refused_filters: what the broker does not let us read.
    """

    def __init__(self, transport: MqttTransport, listener: Listener, reserved: Iterable[int] = ()) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self.admitted: asyncio.Future[None] = loop.create_future()
        self.subscribed: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[str] = loop.create_future()
        self.error: Exception | None = None
        self.is_unwelcome = False
        self.in_flight: dict[int, Publication] = {}
        self.session_present = False
        self.stamps: bool | None = None
        self.refused_filters: list[str] = []
        self._owner = transport
        self._listener = listener
        self._version = transport.version
        self._reserved = frozenset(reserved)  # identifiers that the broker's session may still know
        self._socket: asyncio.Transport | None = None
        self._frames = Frames(transport.largest_arrival)
        self._out: list[bytes] = []
        self._is_full = self._is_leaving = False
        self._packet = 0
        self._asked: set[str] = set()
        self._awaited: dict[int, Sequence[str]] = {}
        self._window = transport.window
        self._largest = LARGEST_UNTOLD
        self._keepalive: float = transport.keepalive_seconds
        self._heard = self._spoke = 0.0
        self._pulse: asyncio.TimerHandle | None = None

    # asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say CONNECT."""
        self._socket = cast(asyncio.Transport, transport)
        owner = self._owner
        given: Properties = {}
        if self._version == V5:
            given = {
                Property.SESSION_EXPIRY: owner.session_seconds,
                Property.RECEIVE_MAXIMUM: RECEIVE_MAXIMUM,
                Property.MAXIMUM_PACKET_SIZE: owner.largest_arrival,
            }
        url = owner.url
        self._write(
            packets.connect(
                self._version,
                owner.client_id,
                user=url.user,
                password=url.password,
                will=owner.will,
                clean=owner.clean,
                keepalive=owner.keepalive_seconds,
                given=given,
            )
        )
        self._heard = self._loop.time()
        self._beat()

    def connection_lost(self, exc: Exception | None) -> None:
        """Come to an end."""
        self._end(str(exc) or type(exc).__name__ if exc else "the broker closed the connection", exc)

    def pause_writing(self) -> None:
        """Send nothing more until the socket has got rid of some."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Go on."""
        self._is_full = False
        self._owner.moved()

    def data_received(self, data: bytes) -> None:
        """Read whole packets; what is published among them is handed over as one batch."""
        self._heard = self._loop.time()
        batch: Batch = []
        try:
            for frame in self._frames.feed(data):
                self._packet_came(frame, batch)
        except PacketError as error:
            self.is_unwelcome = True
            self.cut(f"the broker broke the protocol: {error}")
            return
        except Exception:
            # Left to asyncio it would end the connection too, but without a word to our owner.
            log.exception("what the broker said could not be handled")
            self.is_unwelcome = True
            self.cut("what the broker said could not be handled")
            return
        if batch and not self.lost.done():
            self._hand_over(batch)
        if not self.lost.done():
            self._owner.moved()

    # What the broker says.

    def _packet_came(self, frame: Frame, batch: Batch) -> None:
        first, data, at, end, is_whole = frame
        kind = first >> 4
        if kind == packets.PUBLISH:
            if not self._is_leaving:
                batch.append(self._publish_came(frame))
        elif not is_whole:
            raise PacketError(Reason.PACKET_TOO_LARGE, f"a packet of kind {kind} is too large")
        elif kind == packets.PUBACK:
            self._acknowledged(*packets.read_puback(data, at, end))
        elif kind == packets.SUBACK:
            self._suback(*packets.read_suback(self._version, data, at, end))
        elif kind == packets.CONNACK:
            self._connack(packets.read_connack(self._version, data, at, end))
        elif kind == packets.DISCONNECT:
            reason = data[at] if at < end else 0
            self.is_unwelcome = reason == Reason.SESSION_TAKEN_OVER
            self.cut(f"the broker said goodbye: {_words(reason)}")

    def _publish_came(self, frame: Frame) -> tuple[int | None, Arrival | None]:
        first, data, at, end, is_whole = frame
        if is_whole:
            return packets.read_publish(self._version, first, data, at, end, stamps=bool(self.stamps))
        packet, topic = packets.read_head(first, data, at, end)
        most = self._owner.largest_arrival
        self._owner.say(f"not taken: larger than {most} bytes on {topic:.80}", about="large")
        return packet, None

    def _connack(self, answer: packets.Connack) -> None:
        if self.admitted.done():
            return
        if answer.reason:
            self.admitted.set_exception(Refusal(answer.reason))
            return
        self.session_present = answer.session_present
        self.stamps = False
        given = answer.given
        if self._version == V5:
            self._window = min(self._window, given.get(Property.RECEIVE_MAXIMUM, self._window))
            self._largest = given.get(Property.MAXIMUM_PACKET_SIZE, LARGEST_PACKET)
            self._keepalive = given.get(Property.SERVER_KEEP_ALIVE, self._keepalive)
            self.stamps = STAMPS in given.get(Property.USER, ())
        self._beat()
        self.admitted.set_result(None)
        self.subscribe(self._owner.filters)

    def _suback(self, packet: int, codes: bytes) -> None:
        filters = self._awaited.pop(packet, ())
        refused = [each for each, code in zip(filters, codes, strict=False) if code >= packets.REFUSED]
        self.refused_filters += refused
        if refused and self.subscribed.done():
            log.error("%s does not let us read %s", self._owner.url, ", ".join(refused[:3]))
        self._check_subscribed()

    def _acknowledged(self, packet: int, reason: int) -> None:
        publication = self.in_flight.pop(packet, None)
        if publication is None:
            return
        if reason == Reason.QUOTA_EXCEEDED:
            self._owner.is_full(publication)  # It can take it later: the disk is full, a quota is used up.
        elif reason >= packets.REFUSED:
            self._listener.refused(publication.number, f"{publication.topic}: {_words(reason)}")
        else:
            self._owner.has_room(publication)
            self._listener.taken(publication.number)

    def _hand_over(self, batch: Batch) -> None:
        """Hand over what came in one piece, and acknowledge it once it is saved."""
        try:
            self._listener.arrived([arrival for _, arrival in batch if arrival is not None])
        except Exception as error:
            if isinstance(error, VoltAgoraError):
                self._owner.say(str(error))
            else:
                log.exception("what came could not be handled")
            self.is_unwelcome = True
            self.cut("what came could not be saved, so it is not acknowledged")
            return
        acknowledgements = [packets.puback(packet) for packet, _ in batch if packet is not None]
        if acknowledgements:
            self._write(b"".join(acknowledgements))

    # What we say.

    @property
    def may_send(self) -> bool:
        """Whether the broker takes another publication now."""
        return len(self.in_flight) < self._window and not self._is_full and not self.lost.done()

    def send(self, publication: Publication, packet: int | None = None) -> None:
        """Publish with QoS 1.

        Args:
            publication: what.
            packet: the identifier under which it was sent before; None: it was not.
        """
        known = packet
        packet = packet or self._next_packet()
        try:
            data = packets.publish(self._version, packet, publication, again=known is not None)
        except (ValueError, OverflowError) as error:
            self._refuse(publication, f"it cannot be written ({error})")
            return
        if len(data) > self._largest:
            self._refuse(publication, f"{len(data)} bytes, the broker takes {self._largest}")
            return
        self.in_flight[packet] = publication
        self._write(data)

    def _refuse(self, publication: Publication, why: str) -> None:
        # Later, so that nobody hears of a refusal within the call that publishes.
        self._loop.call_soon(self._listener.refused, publication.number, f"{publication.topic:.80}: {why}")

    def subscribe(self, filters: Iterable[str]) -> None:
        """Subscribe to what has not been asked for, in packets of moderate size."""
        part: list[str] = []
        size = 0
        for each in [each for each in filters if each not in self._asked]:
            self._asked.add(each)
            if part and (len(part) >= FILTERS_A_PACKET or size + len(each) > FILTER_BYTES_A_PACKET):
                self._subscribe(part)
                part, size = [], 0
            part.append(each)
            size += len(each)
        if part:
            self._subscribe(part)
        self._check_subscribed()

    def _subscribe(self, filters: Sequence[str]) -> None:
        packet = self._next_packet()
        self._awaited[packet] = filters
        self._write(packets.subscribe(self._version, packet, filters, only_new=self.session_present))

    def _check_subscribed(self) -> None:
        if self._awaited or self.subscribed.done():
            return
        if len(self._asked) < len(self._owner.filters):
            self.subscribe(self._owner.filters)  # Some were added while the others were on their way.
        else:
            self.subscribed.set_result(None)

    def _next_packet(self) -> int:
        packet = self._packet
        while True:
            packet = packet % 65_535 + 1
            if packet not in self.in_flight and packet not in self._awaited and packet not in self._reserved:
                self._packet = packet
                return packet

    def _write(self, data: bytes) -> None:
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and self._socket is not None and not self._socket.is_closing():
            self._spoke = self._loop.time()
            self._socket.write(b"".join(out))

    # The end.

    def _beat(self) -> None:
        """Show that we are there, and notice when the broker is not: within 1.5 times the keepalive."""
        if self._pulse is not None:
            self._pulse.cancel()
        if self.lost.done() or not self._keepalive:
            return
        now = self._loop.time()
        if now - self._heard > self._keepalive * 1.25:
            self.cut(f"nothing was heard of the broker for {now - self._heard:.0f} s")
            return
        if now - min(self._heard, self._spoke) >= self._keepalive / 2 and self.admitted.done():
            self._write(packets.PING)
        self._pulse = self._loop.call_later(self._keepalive / 4, self._beat)

    async def say_goodbye(self, *, forget: bool) -> None:
        """Leave so that no will is published.

        Args:
            forget: let the broker end our session, too.
        """
        self._is_leaving = True
        if self._socket is not None and not self._socket.is_closing():
            self._write(packets.disconnect(self._version, forget=forget))
            self._flush()
            self._socket.close()
            await asyncio.wait({self.lost})

    def cut(self, why: str) -> None:
        """End the connection at once."""
        if self._socket is not None:
            self._socket.abort()
        self._end(why)

    def _end(self, why: str, error: Exception | None = None) -> None:
        if self._pulse is not None:
            self._pulse.cancel()
        if self.lost.done():
            return
        self.error = error
        self.lost.set_result(why)
        for waited in cast("list[asyncio.Future[Any]]", [self.admitted, self.subscribed]):
            if not waited.done():
                waited.set_exception(Lost(why))
            if not waited.cancelled():
                waited.exception()  # It may be that nobody waits for it.


def _words(reason: int) -> str:
    try:
        return f"{Reason(reason).words} (0x{reason:02x})"
    except ValueError:
        return f"reason 0x{reason:02x}"
