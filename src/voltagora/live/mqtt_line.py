"""One connection to a broker, from CONNECT to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from voltagora.domain.errors import VoltAgoraError
from voltagora.hub.errors import PacketError
from voltagora.hub.wire.connect import V5
from voltagora.hub.wire.properties import Properties, Property
from voltagora.live import mqtt_packets as packets
from voltagora.live.transport import Arrival, Listener, Publication

if TYPE_CHECKING:
    from voltagora.live.mqtt import MqttTransport

log = logging.getLogger("voltagora.live.mqtt")

KEEPALIVE_SECONDS: Final = 20
SESSION_SECONDS: Final = 86_400
MOST_IN_FLIGHT: Final = 500
RECEIVE_MAXIMUM: Final = 1_000
FILTERS_A_PACKET: Final = 400
FILTER_BYTES_A_PACKET: Final = 32_000
ROOM_FOR_HEADERS: Final = 1_000
LARGEST_PACKET: Final = 268_435_455
STAMPS: Final = ("stamps", "sender")
"""User property of CONNACK by which a broker says that it names the sender of each publication."""


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
        in_flight: publications without acknowledgement, by packet identifier, in order.
    """

    def __init__(self, transport: MqttTransport, listener: Listener) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self.admitted: asyncio.Future[None] = loop.create_future()
        self.subscribed: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[str] = loop.create_future()
        self.in_flight: dict[int, Publication] = {}
        self.session_present = False
        self.stamps: bool | None = None
        self.refused_filters: list[str] = []
        self._owner = transport
        self._listener = listener
        self._version = transport.version
        self._socket: asyncio.Transport | None = None
        self._rest = b""
        self._out: list[bytes] = []
        self._is_full = False
        self._packet = 0
        self._awaited: dict[int, Sequence[str]] = {}
        self._window = MOST_IN_FLIGHT
        self._largest = LARGEST_PACKET
        self._heard = self._spoke = 0.0
        self._pulse: asyncio.TimerHandle | None = None

    # asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say CONNECT."""
        self._socket = cast(asyncio.Transport, transport)
        owner = self._owner
        given: Properties = {}
        if self._version == V5:
            given = {Property.SESSION_EXPIRY: SESSION_SECONDS, Property.RECEIVE_MAXIMUM: RECEIVE_MAXIMUM}
        url = owner.url
        self._write(
            packets.connect(
                self._version,
                owner.client_id,
                user=url.user,
                password=url.password,
                will=owner.will,
                clean=owner.clean,
                keepalive=KEEPALIVE_SECONDS,
                given=given,
            )
        )
        self._heard = self._loop.time()
        self._beat()

    def connection_lost(self, exc: Exception | None) -> None:
        """Come to an end."""
        self._end(str(exc) if exc else "the broker closed the connection")

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
        data = self._rest + data if self._rest else data
        batch: list[tuple[int | None, Arrival]] = []
        at = 0
        try:
            while at < len(data) and (frame := packets.take_frame(data, at)) is not None:
                self._packet_came(data, at, *frame, batch)
                at = frame[1]
        except PacketError as error:
            self.cut(f"the broker broke the protocol: {error}")
            return
        self._rest = data[at:]
        if batch:
            self._hand_over(batch)
        if not self.lost.done():
            self._owner.moved()

    # What the broker says.

    def _packet_came(
        self, data: bytes, first_at: int, at: int, end: int, batch: list[tuple[int | None, Arrival]]
    ) -> None:
        first = data[first_at]
        kind = first >> 4
        if kind == packets.PUBLISH:
            batch.append(packets.read_publish(self._version, first, data, at, end, stamps=bool(self.stamps)))
        elif kind == packets.PUBACK:
            self._acknowledged(*packets.read_puback(data, at, end))
        elif kind == packets.SUBACK:
            self._suback(*packets.read_suback(self._version, data, at, end))
        elif kind == packets.CONNACK:
            self._connack(packets.read_connack(self._version, data, at, end))
        elif kind == packets.DISCONNECT:
            reason = data[at] if at < end else 0
            self.cut(f"the broker said goodbye, reason 0x{reason:02x}")

    def _connack(self, answer: packets.Connack) -> None:
        if self.admitted.done():
            return
        if answer.reason:
            self.admitted.set_exception(Refusal(answer.reason))
            return
        self.session_present = answer.session_present
        given = answer.given
        if self._version == V5:
            self._window = min(MOST_IN_FLIGHT, given.get(Property.RECEIVE_MAXIMUM, MOST_IN_FLIGHT))
            self._largest = given.get(Property.MAXIMUM_PACKET_SIZE, LARGEST_PACKET)
            self.stamps = STAMPS in given.get(Property.USER, ())
        self.admitted.set_result(None)
        self.subscribe(list(self._owner.filters))

    def _suback(self, packet: int, codes: bytes) -> None:
        filters = self._awaited.pop(packet, ())
        refused = [each for each, code in zip(filters, codes, strict=False) if code >= packets.REFUSED]
        self.refused_filters += refused
        if refused and self.subscribed.done():
            log.error("the broker does not let us read %s", ", ".join(refused[:3]))
        self._check_subscribed()

    def _acknowledged(self, packet: int, reason: int) -> None:
        publication = self.in_flight.pop(packet, None)
        if publication is None:
            return
        if reason >= packets.REFUSED:
            self._listener.refused(publication.number, f"{publication.topic}: reason 0x{reason:02x}")
        else:
            self._listener.taken(publication.number)

    def _hand_over(self, batch: list[tuple[int | None, Arrival]]) -> None:
        """Hand over what came in one piece, and acknowledge it once it is saved."""
        try:
            self._listener.arrived([arrival for _, arrival in batch])
        except VoltAgoraError as error:
            log.error("%s", error)
            self.cut("what came could not be saved")
            return
        except Exception:
            log.exception("what came could not be handled")
            self.cut("what came could not be handled")
            return
        acknowledgements = [packets.puback(packet) for packet, _ in batch if packet is not None]
        if acknowledgements:
            self._write(b"".join(acknowledgements))

    # What we say.

    @property
    def may_send(self) -> bool:
        """Whether the broker takes another publication now."""
        return len(self.in_flight) < self._window and not self._is_full and not self.lost.done()

    def send(self, publication: Publication) -> None:
        """Publish with QoS 1."""
        if len(publication.payload) + len(publication.topic) + ROOM_FOR_HEADERS > self._largest:
            why = f"{publication.topic}: larger than {self._largest} bytes"
            self._loop.call_soon(self._listener.refused, publication.number, why)
            return
        packet = self._next_packet()
        self.in_flight[packet] = publication
        self._write(packets.publish(self._version, packet, publication))

    def subscribe(self, filters: Sequence[str]) -> None:
        """Subscribe, in packets of moderate size."""
        part: list[str] = []
        size = 0
        for each in filters:
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
        if not self._awaited and not self.subscribed.done():
            self.subscribed.set_result(None)

    def _next_packet(self) -> int:
        packet = self._packet
        while True:
            packet = packet % 65_535 + 1
            if packet not in self.in_flight and packet not in self._awaited:
                self._packet = packet
                return packet

    def _write(self, data: bytes) -> None:
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self._socket is not None and not self._socket.is_closing():
            self._spoke = self._loop.time()
            self._socket.write(b"".join(out))

    # The end.

    def _beat(self) -> None:
        """Show that we are there, and notice when the broker is not."""
        now = self._loop.time()
        if now - self._heard > KEEPALIVE_SECONDS * 1.5:
            self.cut(f"nothing was heard of the broker for {KEEPALIVE_SECONDS * 1.5:.0f} s")
            return
        if now - min(self._heard, self._spoke) >= KEEPALIVE_SECONDS / 2:
            self._write(packets.PING)
        self._pulse = self._loop.call_later(KEEPALIVE_SECONDS / 4, self._beat)

    async def say_goodbye(self) -> None:
        """Leave so that no will is published."""
        if self._socket is not None and not self._socket.is_closing():
            self._write(packets.disconnect(self._version))
            self._flush()
            self._socket.close()
            await asyncio.wait({self.lost})

    def cut(self, why: str) -> None:
        """End the connection at once."""
        if self._socket is not None:
            self._socket.abort()
        self._end(why)

    def _end(self, why: str) -> None:
        if self._pulse is not None:
            self._pulse.cancel()
        if not self.lost.done():
            self.lost.set_result(why)
        for waited in cast("list[asyncio.Future[Any]]", [self.admitted, self.subscribed]):
            if not waited.done():
                waited.set_exception(Lost(why))
                waited.exception()  # It may be that nobody waits for it.
