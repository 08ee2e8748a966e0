"""An MQTT client written from the standard alone, so that hub and client cannot share a mistake.

Blocking, one socket, no threads: a test says what is sent and reads until the answer has come. What a
client must remember between connections (QoS 2 identifiers) is kept by the object, so a line can be
cut and taken up again as a real client does.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

V3, V5 = 4, 5
TIMEOUT = 10.0

CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 2, 3, 4, 5, 6, 7
SUBACK, UNSUBACK, PINGRESP, DISCONNECT, AUTH = 9, 11, 13, 14, 15


class Closed(Exception):
    """The broker ended the line; with the reason it gave, if any."""

    def __init__(self, reason: int | None = None) -> None:
        self.reason = reason
        super().__init__(f"closed, reason {reason if reason is None else hex(reason)}")


@dataclass(frozen=True)
class Message:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool = False
    packet: int = 0
    properties: tuple[tuple[int, Any], ...] = ()

    def all_of(self, identifier: int) -> list[Any]:
        return [value for name, value in self.properties if name == identifier]


@dataclass(frozen=True)
class Will:
    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    delay: int | None = None


@dataclass(frozen=True)
class Wish:
    filter: str
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0

    @property
    def options(self) -> int:
        return self.qos | self.no_local << 2 | self.retain_as_published << 3 | self.retain_handling << 4


@dataclass
class Connack:
    present: bool
    code: int
    properties: dict[int, Any] = field(default_factory=dict)


def length(value: int) -> bytes:
    out = bytearray()
    while True:
        value, byte = value >> 7, value & 0x7F
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + length(len(body)) + body


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(raw)) + raw


_SIZES = {
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), 1),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), 2),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), 4),
}
_BINARY = (0x09, 0x16)


def properties(given: Iterable[tuple[int, Any]]) -> bytes:
    """Write a block of properties with its length."""
    out = b""
    for name, value in given:
        out += bytes((name,))
        if name == 0x26:
            out += text(value[0]) + text(value[1])
        elif name == 0x0B:
            out += length(value)
        elif name in _SIZES:
            out += value.to_bytes(_SIZES[name], "big")
        else:
            out += text(value)
    return length(len(out)) + out


def connect_packet(
    client: str,
    *,
    version: int = V5,
    clean: bool = True,
    keep_alive: int = 0,
    user: str | None = None,
    password: str | None = None,
    will: Will | None = None,
    given: Sequence[tuple[int, Any]] = (),
    protocol: bytes = b"MQTT",
) -> bytes:
    flags = clean << 1
    if will is not None:
        flags |= 4 | will.qos << 3 | will.retain << 5
    flags |= (password is not None) << 6 | (user is not None) << 7
    body = text(protocol) + bytes((version, flags)) + struct.pack(">H", keep_alive)
    if version == V5:
        body += properties(given)
    body += text(client)
    if will is not None:
        if version == V5:
            body += properties([] if will.delay is None else [(0x18, will.delay)])
        body += text(will.topic) + text(will.payload)
    if user is not None:
        body += text(user)
    if password is not None:
        body += text(password)
    return packet(0x10, body)


def publish_packet(
    topic: str | bytes,
    payload: bytes,
    *,
    version: int = V5,
    qos: int = 0,
    retain: bool = False,
    dup: bool = False,
    identifier: int = 0,
    given: Sequence[tuple[int, Any]] = (),
) -> bytes:
    body = text(topic) + (struct.pack(">H", identifier) if qos else b"")
    if version == V5:
        body += properties(given)
    return packet(0x30 | dup << 3 | qos << 1 | retain, body + payload)


def subscribe_packet(
    wishes: Sequence[Wish], *, version: int = V5, packet_id: int = 1, identifier: int | None = None
) -> bytes:
    body = struct.pack(">H", packet_id)
    if version == V5:
        body += properties([] if identifier is None else [(0x0B, identifier)])
    for wish in wishes:
        body += text(wish.filter) + bytes((wish.options if version == V5 else wish.qos,))
    return packet(0x82, body)


class RawClient:
    """One client with its memory; while `mute`, what comes is lost on it."""

    def __init__(
        self,
        port: int,
        client: str,
        *,
        version: int = V5,
        user: str | None = None,
        password: str | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self.port = port
        self.client = client
        self.version = version
        self.user = user
        self.password = password
        self.timeout = timeout
        self.mute = False
        self.messages: list[Message] = []
        self.received: set[int] = set()
        """QoS 2 identifiers that the broker has not released."""
        self.answers = 0
        """Packets sent in answer to what came."""
        self._socket: socket.socket | None = None
        self._buffer = bytearray()
        self._packet = 0

    # The line.

    @property
    def connected(self) -> bool:
        return self._socket is not None

    def open(self) -> None:
        """Open the line, and say nothing."""
        assert self._socket is None
        self._socket = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer.clear()

    def connect(
        self,
        *,
        clean: bool = True,
        expiry: int = 0,
        will: Will | None = None,
        keep_alive: int = 0,
        receive_maximum: int | None = None,
        given: Sequence[tuple[int, Any]] = (),
    ) -> Connack:
        self.open()
        named = list(given)
        if self.version == V5 and expiry:
            named.append((0x11, expiry))
        if self.version == V5 and receive_maximum is not None:
            named.append((0x21, receive_maximum))
        self.send(
            connect_packet(
                self.client,
                version=self.version,
                clean=clean,
                keep_alive=keep_alive,
                user=self.user,
                password=self.password,
                will=will,
                given=named,
            )
        )
        body = self.expect(CONNACK)
        found = Connack(bool(body[0]), body[1])
        if self.version == V5:
            found.properties = dict(_properties(body, 2)[0])
        if not found.present:
            self.received.clear()
        return found

    def drop(self) -> None:
        """Cut the line without a word."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def let_go(self) -> socket.socket:
        """Give the line away, still open."""
        assert self._socket is not None
        line, self._socket = self._socket, None
        return line

    def take_back(self, line: socket.socket) -> None:
        """Go on with a line that was given away."""
        self._socket = line
        self._buffer.clear()

    def leave(self, reason: int = 0, expiry: int | None = None) -> None:
        """Say goodbye; version 5 may say how, and how long the session is to be kept."""
        if self._socket is not None:
            body = bytes((reason,)) if reason or expiry is not None else b""
            if expiry is not None:
                body += properties([(0x11, expiry)])
            self.send(packet(0xE0, body))
            self.drop()

    def send(self, data: bytes) -> None:
        assert self._socket is not None
        # Where the broker has closed, what it said before may still be there to be read.
        with contextlib.suppress(OSError):
            self._socket.sendall(data)

    # Asking.

    def subscribe(self, *wishes: Wish, identifier: int | None = None) -> list[int]:
        number = self.next_packet()
        self.send(subscribe_packet(wishes, version=self.version, packet_id=number, identifier=identifier))
        body = self.expect(SUBACK, number)
        at = _properties(body, 2)[1] if self.version == V5 else 2
        return list(body[at:])

    def unsubscribe(self, *filters: str) -> list[int]:
        number = self.next_packet()
        body = struct.pack(">H", number) + (b"\0" if self.version == V5 else b"")
        self.send(packet(0xA2, body + b"".join(text(each) for each in filters)))
        body = self.expect(UNSUBACK, number)
        at = _properties(body, 2)[1] if self.version == V5 else 2
        return list(body[at:])

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,
        given: Sequence[tuple[int, Any]] = (),
    ) -> int:
        """Publish and wait for the acknowledgement; give its reason (0 for QoS 0 and for 3.1.1)."""
        number = self.next_packet() if qos else 0
        self.send(
            publish_packet(
                topic,
                payload,
                version=self.version,
                qos=qos,
                retain=retain,
                identifier=number,
                given=given,
            )
        )
        return self.finish(number, qos)

    def finish(self, number: int, qos: int) -> int:
        """See an acknowledged publish through to its end."""
        if qos == 1:
            return _reason(self.expect(PUBACK, number))
        if qos == 2:
            reason = _reason(self.expect(PUBREC, number))
            if reason < 0x80:
                self.send(packet(0x62, struct.pack(">H", number)))
                self.expect(PUBCOMP, number)
            return reason
        return 0

    def ping(self) -> None:
        """Come back once everything that the broker had for us before it read this has been read."""
        self.send(b"\xc0\x00")
        self.expect(PINGRESP)

    def settle(self) -> None:
        """Ping until nothing more had to be answered: then what the answers set free has come, too."""
        while True:
            before = self.answers
            self.ping()
            if self.answers == before:
                return

    def next_packet(self) -> int:
        self._packet = self._packet % 0xFFFF + 1
        return self._packet

    def take(self) -> list[Message]:
        """Give what has come since the last call."""
        found, self.messages = self.messages, []
        return found

    # Reading.

    def expect(self, kind: int, number: int | None = None) -> bytes:
        """Read until this packet has come, and answer the others as a client must.

        Raises:
            Closed: the broker has ended the line first.
            TimeoutError: nothing came in time.
        """
        while True:
            first, body = self.read()
            if first >> 4 == kind and (number is None or struct.unpack(">H", body[:2])[0] == number):
                return body
            self._answer(first, body)

    def until_closed(self) -> int | None:
        """Read until the broker ends the line; give the reason it told, None without."""
        try:
            while True:
                first, body = self.read()
                self._answer(first, body)
        except Closed as closed:
            return closed.reason

    def read(self) -> tuple[int, bytes]:
        """Read one packet, whatever it is."""
        while True:
            found = self._cut()
            if found is not None:
                return found
            assert self._socket is not None
            try:
                data = self._socket.recv(65536)
            except ConnectionError:
                data = b""
            if not data:
                self.drop()
                raise Closed
            self._buffer += data

    def _cut(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        size = shift = 0
        for at in range(1, min(len(buffer), 5)):
            size |= (buffer[at] & 0x7F) << shift
            shift += 7
            if not buffer[at] & 0x80:
                if len(buffer) < at + 1 + size:
                    return None
                first, body = buffer[0], bytes(buffer[at + 1 : at + 1 + size])
                del buffer[: at + 1 + size]
                return first, body
        return None

    def _answer(self, first: int, body: bytes) -> None:
        kind = first >> 4
        if kind == PUBLISH:
            self._take_message(first, body)
        elif kind == PUBREL:
            if not self.mute:
                number = struct.unpack(">H", body[:2])[0]
                self.received.discard(number)
                self._reply(0x70, number)
        elif kind == DISCONNECT:
            self.drop()
            raise Closed(body[0] if body else 0)
        elif kind not in (PUBACK, PUBREC, PUBCOMP, PINGRESP):
            raise AssertionError(f"unasked packet {first:#x} {body!r}")

    def _take_message(self, first: int, body: bytes) -> None:
        message = parse_publish(first, body, self.version)
        number = message.packet
        if self.mute:
            return
        if message.qos != 2 or number not in self.received:
            self.messages.append(message)
        if message.qos == 2:
            self.received.add(number)
        if message.qos:
            self._reply(0x40 if message.qos == 1 else 0x50, number)

    def _reply(self, first: int, number: int) -> None:
        self.answers += 1
        self.send(packet(first, struct.pack(">H", number)))


def parse_publish(first: int, body: bytes, version: int) -> Message:
    size = struct.unpack(">H", body[:2])[0]
    topic, at = body[2 : 2 + size].decode(), 2 + size
    qos, number = first >> 1 & 3, 0
    if qos:
        number, at = struct.unpack(">H", body[at : at + 2])[0], at + 2
        assert number, "packet identifier 0"
    assert qos < 3, "QoS 3"
    found: list[tuple[int, Any]] = []
    if version == V5:
        found, at = _properties(body, at)
    return Message(topic, body[at:], qos, bool(first & 1), bool(first & 8), number, tuple(found))


def _reason(body: bytes) -> int:
    return body[2] if len(body) > 2 else 0


def _length(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at


def _properties(data: bytes, at: int) -> tuple[list[tuple[int, Any]], int]:
    """Read a block of properties as the pairs they are; give where it ends, too."""
    size, at = _length(data, at)
    stop = at + size
    found: list[tuple[int, Any]] = []
    while at < stop:
        name, at = data[at], at + 1
        value: Any
        if name == 0x26:
            one, at = _string(data, at)
            two, at = _string(data, at)
            value = (one.decode(), two.decode())
        elif name == 0x0B:
            value, at = _length(data, at)
        elif name in _SIZES:
            value, at = int.from_bytes(data[at : at + _SIZES[name]], "big"), at + _SIZES[name]
        else:
            raw, at = _string(data, at)
            value = raw if name in _BINARY else raw.decode()
        found.append((name, value))
    assert at == stop, "properties end elsewhere than they say"
    return found, stop


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    size = struct.unpack(">H", data[at : at + 2])[0]
    return data[at + 2 : at + 2 + size], at + 2 + size
