"""The transport over MQTT: one connection that is kept up, and acknowledgements that mean something.

gmqtt speaks the protocol. What it does not do is here: publications are acknowledged only once they
are saved, the broker's acknowledgements and refusals reach the sender, what is under way is bounded,
a lost connection is made again with growing pauses and what was not acknowledged is sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import struct
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

from voltagora.domain.errors import MissingExtra, RunError, VoltAgoraError
from voltagora.live.broker_url import BrokerUrl
from voltagora.live.transport import Arrival, Listener, Publication

try:
    import gmqtt
    from gmqtt.mqtt.constants import MQTTv50, MQTTv311
    from gmqtt.mqtt.handler import MQTTConnectError
except ImportError:
    raise MissingExtra("live", "MQTT") from None

log = logging.getLogger("voltagora.live.mqtt")
_quiet = logging.getLogger("voltagora.live.gmqtt")
_quiet.setLevel(logging.CRITICAL)  # It logs what is told to the listener anyway.

CONNECT_SECONDS: Final = 10.0
KEEPALIVE_SECONDS: Final = 20
SESSION_SECONDS: Final = 86_400
SHORTEST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 30.0
GOODBYE_SECONDS: Final = 1.0
MOST_IN_FLIGHT: Final = 500
MOST_WAITING: Final = 50_000
FILTERS_A_PACKET: Final = 400
FILTER_BYTES_A_PACKET: Final = 32_000
ROOM_FOR_PROPERTIES: Final = 1_000
REFUSED: Final = 0x80

_FOR_GOOD: Final = {1: "protocol version", 2: "client id", 4: "user or password", 5: "rights"} | {
    132: "protocol version",
    133: "client id",
    134: "user or password",
    135: "rights",
    138: "banned",
}
_OLDER: Final = (1, 132)
"""What a broker answers that knows no MQTT 5."""


class MqttTransport:
    """See `voltagora.live.transport.Transport`.

    Args:
        url: the broker and who we are to it.
        client_id: stable over restarts, so that the broker keeps our session.
        will: topic and payload that the broker publishes, retained, if we are gone without a word.
        clean: begin without what an earlier session left.
    """

    def __init__(
        self,
        url: BrokerUrl,
        *,
        client_id: str,
        will: tuple[str, bytes] | None = None,
        clean: bool = False,
    ) -> None:
        self.url = url
        self.client_id = client_id
        self.version = 5
        self._will = will
        self._clean = clean
        self._filters: dict[str, None] = {}
        self._listener: Listener | None = None
        self._connection: _Connection | None = None
        self._queue: deque[Publication] = deque()
        self._keeper: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._is_closing = False
        self._said = ""

    async def open(self, listener: Listener) -> None:
        """See `Transport.open`."""
        self._listener = listener
        context = self.url.tls.context() if self.url.tls is not None else False
        pause = SHORTEST_PAUSE_SECONDS
        while True:
            try:
                connection = await self._connect(context)
                break
            except (OSError, TimeoutError, _Lost) as error:
                self._say(f"{self.url} cannot be reached ({_words(error)}); trying again")
                pause = await _paused(pause)
        self._keeper = asyncio.create_task(self._keep_up(connection, context))

    def subscribe(self, filters: Iterable[str]) -> None:
        """See `Transport.subscribe`."""
        new = [each for each in filters if each not in self._filters]
        self._filters.update(dict.fromkeys(new))
        if self._connection is not None:
            self._connection.subscribe(new)

    def publish(self, publication: Publication) -> None:
        """See `Transport.publish`."""
        if len(self._queue) >= MOST_WAITING:
            raise RunError(f"{self.url}: {MOST_WAITING} publications wait for the broker; wait with `drain`")
        self._queue.append(publication)
        self._pump()

    @property
    def waiting(self) -> int:
        """See `Transport.waiting`."""
        return len(self._queue) + (len(self._connection.in_flight) if self._connection is not None else 0)

    async def drain(self, at_most: int) -> None:
        """See `Transport.drain`."""
        while self.waiting > at_most:
            self._moved.clear()
            await self._moved.wait()

    async def close(self) -> None:
        """See `Transport.close`."""
        self._is_closing = True
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if self._connection is not None:
            await self._connection.close(politely=True)
            self._connection = None

    # One connection after another.

    async def _connect(self, context: Any) -> _Connection:
        """Make a connection, with MQTT 3.1.1 if the broker does not know 5.

        Raises:
            VoltAgoraError: the broker refuses for good.
        """
        connection = _Connection(self, older=self.version == 4)
        try:
            await connection.open(context, self._clean)
        except MQTTConnectError as error:
            await connection.close(politely=False)
            code = error._code
            if code in _OLDER and self.version == 5:
                self.version = 4
                return await self._connect(context)
            if code in _FOR_GOOD:
                raise VoltAgoraError(
                    f"{self.url} does not let us in: {_FOR_GOOD[code]} (code {code})"
                ) from None
            raise _Lost(f"refused with code {code}") from None
        except BaseException:
            await connection.close(politely=False)
            raise
        self._clean = False
        self._connection = connection
        assert self._listener is not None
        self._said = ""
        self._listener.connected(session_present=connection.session_present, stamps=connection.stamps)
        self._pump()
        return connection

    async def _keep_up(self, connection: _Connection, context: Any) -> None:
        while True:
            why = await connection.lost
            self._connection = None
            self._queue.extendleft(reversed(connection.in_flight.values()))
            assert self._listener is not None
            self._listener.disconnected(why)
            await connection.close(politely=False)
            pause = SHORTEST_PAUSE_SECONDS
            while self._connection is None:
                pause = await _paused(pause)
                try:
                    connection = await self._connect(context)
                except (OSError, TimeoutError, _Lost, VoltAgoraError) as error:
                    self._say(f"{self.url}: still no connection ({_words(error)})")

    def _say(self, line: str) -> None:
        """Log what is new."""
        if line != self._said:
            self._said = line
            log.warning("%s", line)

    # What connections need.

    def _pump(self) -> None:
        connection, queue = self._connection, self._queue
        while queue and connection is not None and connection.may_send:
            connection.send(queue.popleft())
        self._moved.set()


class _Lost(Exception):
    """A connection came to its end before or after it was open."""


class _Acknowledged:
    """Stands where gmqtt keeps what is not acknowledged, and hears of each acknowledgement."""

    is_empty = True

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    def push_message(self, mid: int, raw_package: bytes) -> None:
        """Nothing: the transport keeps what it publishes."""

    def remove_message_by_mid(self, mid: int) -> None:
        """Hear that the broker has a publication."""

    def get_all(self) -> list[tuple[int, bytes]]:
        """Nothing to send again by itself."""
        return []

    def clear(self) -> None:
        """Nothing to forget."""

    async def wait_empty(self) -> None:
        """Nothing to wait for."""


class _Connection:
    """One connection from CONNECT to its end."""

    def __init__(self, transport: MqttTransport, *, older: bool) -> None:
        self._transport = transport
        self._older = older
        self.in_flight: dict[int, Publication] = {}
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.session_present = False
        self.stamps: bool | None = None
        self._window = MOST_IN_FLIGHT
        self._most_bytes = 268_435_455
        self._batch: list[tuple[int | None, Arrival]] = []
        self._awaited: dict[int, Sequence[str]] = {}
        self._subscribed = asyncio.Event()
        self._refused: list[str] = []
        will = transport._will
        properties: dict[str, Any] = {} if older else {"session_expiry_interval": SESSION_SECONDS}
        if not older:
            properties["receive_maximum"] = 1_000
        self.client = gmqtt.Client(
            transport.client_id,
            clean_session=transport._clean,
            optimistic_acknowledgement=False,
            will_message=gmqtt.Message(*will, qos=1, retain=True) if will is not None else None,
            persistent_storage=_Acknowledged(self),
            logger=_quiet,
            **properties,
        )
        self._take_over()

    def _take_over(self) -> None:
        """Put ourselves where gmqtt has no hook: at PUBACK with its reason, and before ours is sent."""
        client = self.client
        client.set_config({"reconnect_retries": -2, "reconnect_delay": 0})  # We do that.
        client.on_message = lambda _c, topic, payload, _q, properties: self._arrived(
            None, topic, payload, properties
        )
        client.on_disconnect = lambda _c, packet, exc=None: self._end("the broker closed the connection")  # noqa: ARG005
        client.on_subscribe = lambda _c, mid, codes, _p: self._suback(mid, codes)
        client.on_connect = lambda _c, flags, _rc, properties: self._connack(flags, properties)
        handler = client._package_handler
        handler._handle_qos_1_publish_packet = lambda mid, packet, topic, properties: self._arrived(
            mid, topic, packet, properties
        )
        handler._handle_puback_packet = lambda _cmd, packet: self._puback(packet)
        self._handler = handler

    async def open(self, context: Any, clean: bool) -> None:  # noqa: ARG002
        """Connect and subscribe.

        Raises:
            MQTTConnectError: the broker refuses.
            OSError, TimeoutError, _Lost: it could not be done.
        """
        url, client = self._transport.url, self.client
        if url.user is not None:
            client.set_auth_credentials(url.user, url.password)
        async with asyncio.timeout(CONNECT_SECONDS):
            connecting = asyncio.ensure_future(
                client.connect(
                    url.host,
                    url.port,
                    ssl=context,
                    keepalive=KEEPALIVE_SECONDS,
                    version=MQTTv311 if self._older else MQTTv50,
                )
            )
            try:
                await asyncio.wait({connecting, self.lost}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not connecting.done():
                    connecting.cancel()
            if self.lost.done() and not connecting.done():
                if not self._older and client._connection_state.protocol_version == MQTTv311:
                    raise MQTTConnectError(1)
                raise _Lost(self.lost.result())
            await connecting
        self.subscribe(list(self._transport._filters))
        async with asyncio.timeout(CONNECT_SECONDS + len(self._transport._filters) / 1_000):
            waiting: asyncio.Future[Any] = asyncio.ensure_future(self._subscribed.wait())
            lost: asyncio.Future[Any] = self.lost
            await asyncio.wait({waiting, lost}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
        if self.lost.done():
            raise _Lost(self.lost.result())
        if self._refused:
            raise VoltAgoraError(
                f"{url} does not let us read {self._refused[0]} ({len(self._refused)} filters refused)"
            )

    async def close(self, *, politely: bool) -> None:
        """Leave nothing behind: no task, no socket."""
        self._end("closed by us")
        client = self.client
        connection = client._connection
        client._is_active = False
        if connection is None:
            return
        if politely:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await client.disconnect()
        if not connection.is_closing():
            connection._transport.abort()
        keep_alive = connection._keep_connection_callback
        if keep_alive is not None:
            keep_alive.cancel()
        await asyncio.sleep(0)

    def _end(self, why: str) -> None:
        if not self.lost.done():
            self.lost.set_result(why)

    # Subscriptions.

    def subscribe(self, filters: Sequence[str]) -> None:
        """Subscribe in packets of moderate size."""
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
        if not self._awaited:
            self._subscribed.set()

    def _subscribe(self, filters: Sequence[str]) -> None:
        # A kept session has had the retained messages; MQTT 3.1.1 sends them again.
        handling = 0 if self._older or not self.session_present else 1
        wanted = [gmqtt.Subscription(each, qos=1, retain_handling_options=handling) for each in filters]
        self._subscribed.clear()
        self._awaited[self.client.subscribe(wanted)] = filters
        self.client.subscriptions.clear()  # It would be searched through at every SUBACK.

    def _suback(self, mid: int, codes: Sequence[int]) -> None:
        filters = self._awaited.pop(mid, ())
        self._refused += [each for each, code in zip(filters, codes, strict=False) if code >= REFUSED]
        if self._refused and self._transport._connection is self:
            log.error("the broker does not let us read %s", ", ".join(self._refused[:3]))
        if not self._awaited:
            self._subscribed.set()

    def _connack(self, flags: int, properties: dict[str, Any]) -> None:
        self.session_present = bool(flags & 1)
        if not self._older:
            self._window = min(MOST_IN_FLIGHT, _first(properties, "receive_maximum", 65_535) - 2)
            self._most_bytes = _first(properties, "maximum_packet_size", self._most_bytes)
            said = self._handler._connack_properties.get("user_property", ())
            self.stamps = ("stamps", "sender") in [tuple(each) for each in said]

    # What we publish.

    @property
    def may_send(self) -> bool:
        """Whether the broker takes another publication now."""
        return len(self.in_flight) < self._window and not self.lost.done()

    def send(self, publication: Publication) -> None:
        """Publish with QoS 1."""
        size = len(publication.payload) + len(publication.topic) + ROOM_FOR_PROPERTIES
        if size > self._most_bytes:
            listener = self._transport._listener
            assert listener is not None
            listener.refused(publication.number, f"{publication.topic}: larger than {self._most_bytes} bytes")
            return
        message = gmqtt.Message(
            publication.topic,
            publication.payload,
            qos=1,
            retain=publication.retain,
            **({} if self._older else _properties(publication)),
        )
        mid, package = self.client._connection.publish(message)
        del package
        self.in_flight[mid] = publication

    def _puback(self, packet: bytes) -> None:
        (mid,) = struct.unpack("!H", packet[:2])
        code = packet[2] if len(packet) > 2 else 0
        self._handler.id_generator.free_id(mid)
        publication = self.in_flight.pop(mid, None)
        listener = self._transport._listener
        if publication is None or listener is None:
            return
        if code >= REFUSED:
            listener.refused(publication.number, f"{publication.topic}: reason 0x{code:02x}")
        else:
            listener.taken(publication.number)
        self._transport._pump()

    # What we are sent.

    def _arrived(self, mid: int | None, topic: str, payload: bytes, properties: dict[str, Any]) -> None:
        try:
            arrival = _arrival(topic, payload, properties, stamps=bool(self.stamps))
        except Exception:  # gmqtt would swallow it.
            log.exception("a publication could not be read")
            self._end("a publication could not be read")
            return
        if not self._batch:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._batch.append((mid, arrival))

    def _hand_over(self) -> None:
        """Hand over what came in one piece, and acknowledge it once it is saved."""
        batch, self._batch = self._batch, []
        listener = self._transport._listener
        if self.lost.done() or listener is None:
            return  # Not acknowledged, so it comes again.
        try:
            listener.arrived([arrival for _, arrival in batch])
        except VoltAgoraError as error:
            log.error("%s", error)
            self._end("what came could not be saved")
            return
        except Exception:
            log.exception("what came could not be handled")
            self._end("what came could not be handled")
            return
        for mid, _ in batch:
            if mid is not None and not self.lost.done():
                self._handler._send_puback(mid)


def _arrival(topic: str, payload: bytes, properties: dict[str, Any], *, stamps: bool) -> Arrival:
    pairs = [tuple(each) for each in properties.get("user_property", ())]
    sender = next((value for name, value in pairs if name == "sender"), None) if stamps else None
    correlation = _first(properties, "correlation_data", None)
    return Arrival(
        topic=topic,
        payload=payload,
        retained=bool(properties.get("retain")),
        redelivered=bool(properties.get("dup")),
        sender=sender,
        response_topic=_first(properties, "response_topic", None),
        correlation=correlation
        if correlation is None or isinstance(correlation, bytes)
        else correlation.encode(),
        properties=tuple((str(name), str(value)) for name, value in pairs if name != "sender" or not stamps),
    )


def _properties(publication: Publication) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    if publication.response_topic is not None:
        properties["response_topic"] = publication.response_topic
    if publication.correlation is not None:
        properties["correlation_data"] = publication.correlation
    if publication.expiry_seconds is not None:
        properties["message_expiry_interval"] = publication.expiry_seconds
    if publication.properties:
        properties["user_property"] = list(publication.properties.items())
    return properties


def _first(properties: dict[str, Any], name: str, otherwise: Any) -> Any:
    value = properties.get(name, otherwise)
    return value[0] if isinstance(value, list) else value


async def _paused(pause: float) -> float:
    """Wait for a part of a pause drawn by chance, so that not all come back at once; give the next pause."""
    await asyncio.sleep(random.uniform(pause / 2, pause))
    return min(LONGEST_PAUSE_SECONDS, pause * 2)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
