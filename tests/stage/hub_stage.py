"""A broker without sockets, its clocks in our hands, and peers that speak bytes to it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from voltagora.hub.broker import Broker
from voltagora.hub.clock import Clock
from voltagora.hub.limits import Limits
from voltagora.hub.rights import Everyone, Grant, Login, Rights, Table

V3, V5 = 4, 5

# Property identifiers, spelt out here once more so that a typing error in the hub is seen.
EXPIRY, CONTENT, RESPONSE, CORRELATION, SUBSCRIPTION = 2, 3, 8, 9, 11
SESSION_EXPIRY, ASSIGNED, KEEP_ALIVE, METHOD, DATA = 17, 18, 19, 21, 22
WILL_DELAY, REASON, RECEIVE, ALIAS_MAXIMUM, ALIAS, USER, MOST_BYTES = 24, 31, 33, 34, 35, 38, 39
FORMAT = 1

_BYTES = {
    1: 1,
    23: 1,
    25: 1,
    36: 1,
    37: 1,
    40: 1,
    41: 1,
    42: 1,
    19: 2,
    33: 2,
    34: 2,
    35: 2,
    2: 4,
    17: 4,
    24: 4,
    39: 4,
}
_TEXT = {3, 8, 18, 21, 26, 28, 31}
_BINARY = {9, 22}


def varint(value: int) -> bytes:
    out = b""
    while True:
        value, low = divmod(value, 128)
        out += bytes((low | (128 if value else 0),))
        if not value:
            return out


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(raw)) + raw


def properties(given: dict[int, Any] | None) -> bytes:
    raw = b""
    for number, value in (given or {}).items():
        values = value if isinstance(value, list) else [value]
        for each in values:
            raw += bytes((number,))
            if number == USER:
                raw += text(each[0]) + text(each[1])
            elif number == SUBSCRIPTION:
                raw += varint(each)
            elif number in _BYTES:
                raw += int(each).to_bytes(_BYTES[number], "big")
            else:
                raw += text(each)
    return varint(len(raw)) + raw


def packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + varint(len(body)) + body


@dataclass
class Packet:
    """What the hub said."""

    kind: str
    packet: int = 0
    code: int = 0
    codes: list[int] = field(default_factory=list)
    topic: str = ""
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    again: bool = False
    present: bool = False
    given: dict[int, Any] = field(default_factory=dict)


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        self.at += size
        assert self.at <= len(self.data), "the hub sent a packet that ends too soon"
        return self.data[self.at - size : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.number(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def binary(self) -> bytes:
        return self.take(self.number(2))

    def properties(self) -> dict[int, Any]:
        stop = self.varint() + self.at
        found: dict[int, Any] = {}
        while self.at < stop:
            number = self.varint()
            if number == USER:
                found.setdefault(USER, []).append((self.binary().decode(), self.binary().decode()))
            elif number == SUBSCRIPTION:
                found.setdefault(SUBSCRIPTION, []).append(self.varint())
            else:
                assert number not in found, f"the hub sent property {number} twice"
                if number in _BYTES:
                    found[number] = self.number(_BYTES[number])
                else:
                    raw = self.binary()
                    found[number] = raw.decode() if number in _TEXT else raw
        assert self.at == stop
        return found

    @property
    def rest(self) -> bytes:
        return self.take(len(self.data) - self.at)


_NAMES = {2: "connack", 3: "publish", 4: "puback", 5: "pubrec", 6: "pubrel", 7: "pubcomp"}
_NAMES |= {9: "suback", 11: "unsuback", 13: "pingresp", 14: "disconnect"}


def decode(data: bytes, version: int) -> tuple[list[Packet], bytes]:
    """Read what the hub sent: whole packets, and what is left."""
    found = []
    while len(data) >= 2:
        reader = Reader(data)
        first = reader.number(1)
        try:
            size = reader.varint()
        except AssertionError:
            break
        if len(data) - reader.at < size:
            break
        body, data = data[reader.at : reader.at + size], data[reader.at + size :]
        found.append(_decode(first, Reader(body), version))
    return found, data


def _decode(first: int, body: Reader, version: int) -> Packet:
    kind = _NAMES[first >> 4]
    out = Packet(kind)
    if kind == "publish":
        out.qos, out.retain, out.again = first >> 1 & 3, bool(first & 1), bool(first & 8)
        out.topic = body.binary().decode()
        out.packet = body.number(2) if out.qos else 0
        out.given = body.properties() if version == V5 else {}
        out.payload = body.rest
        return out
    assert first & 15 == (2 if kind == "pubrel" else 0)
    if kind == "connack":
        out.present = bool(body.number(1))
        out.code = body.number(1)
        out.given = body.properties() if body.at < len(body.data) else {}
    elif kind in ("suback", "unsuback"):
        out.packet = body.number(2)
        out.given = body.properties() if version == V5 else {}
        out.codes = list(body.rest)
    elif kind == "disconnect":
        out.code = body.number(1) if body.data else 0
    elif kind != "pingresp":
        out.packet = body.number(2)
        out.code = body.number(1) if body.at < len(body.data) else 0
    assert body.at == len(body.data) or body.rest in (b"", b"\0")
    return out


class Peer:
    """A client of bytes. What the hub says is in `heard`; `take` gives and forgets it."""

    def __init__(self, stage: Stage, version: int = V5, address: str = "here") -> None:
        self.version = version
        self.heard: list[Packet] = []
        self.open = True
        self.reading = True
        self._rest = b""
        self.connection = stage.broker.connect(self, address)
        self._next = 0

    # As the link of the connection.

    def send(self, data: bytes) -> None:
        assert self.open
        found, self._rest = decode(self._rest + data, self.version)
        self.heard += found

    def close(self, *, abort: bool) -> None:
        self.open = False

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    # As the client.

    def say(self, data: bytes) -> list[Packet]:
        """Send bytes and give what the hub answered at once."""
        self.connection.receive(data)
        return self.take()

    def take(self, kind: str | None = None) -> list[Packet]:
        taken = [each for each in self.heard if kind in (None, each.kind)]
        self.heard = [each for each in self.heard if each not in taken]
        return taken

    @property
    def payloads(self) -> list[bytes]:
        """Give and forget the payloads that came."""
        return [each.payload for each in self.take("publish")]

    def cut(self) -> None:
        """The line breaks."""
        self.open = False
        self.connection.lost()
        self.connection.broker.flush()

    def connect(self, client: str = "c", **options: Any) -> Packet:
        answer = self.say(connect(client, version=self.version, **options))
        assert [each.kind for each in answer[:1]] == ["connack"], answer
        self.heard = answer[1:] + self.heard
        return answer[0]

    def number(self) -> int:
        self._next += 1
        return self._next

    def subscribe(self, *filters: str | tuple[str, int], given: dict[int, Any] | None = None) -> list[int]:
        body = struct.pack("!H", self.number()) + (properties(given) if self.version == V5 else b"")
        for each in filters:
            name, options = each if isinstance(each, tuple) else (each, 2)
            body += text(name) + bytes((options,))
        self.connection.receive(packet(0x82, body))
        (answer,) = self.take("suback")
        assert answer.packet == self._next
        return answer.codes

    def unsubscribe(self, *filters: str) -> list[int]:
        body = struct.pack("!H", self.number()) + (b"\0" if self.version == V5 else b"")
        self.connection.receive(packet(0xA2, body + b"".join(text(each) for each in filters)))
        (answer,) = self.take("unsuback")
        return answer.codes

    def publish(self, topic: str, payload: bytes = b"", qos: int = 0, **options: Any) -> int:
        """Publish; give the packet identifier."""
        number = options.pop("number", 0) or (self.number() if qos else 0)
        self.connection.receive(publish(topic, payload, qos, number, version=self.version, **options))
        return number

    def acknowledge(self, first: int, number: int) -> list[Packet]:
        return self.say(packet(first, struct.pack("!H", number)))

    def disconnect(self, code: int | None = None, given: dict[int, Any] | None = None) -> None:
        body = b"" if code is None else bytes((code,)) + properties(given)
        self.connection.receive(packet(0xE0, body))


def connect(
    client: str = "c",
    *,
    version: int = V5,
    clean: bool = True,
    keep_alive: int = 0,
    user: str | None = None,
    password: bytes | None = None,
    will: tuple[str, bytes, int, bool] | None = None,
    will_given: dict[int, Any] | None = None,
    given: dict[int, Any] | None = None,
) -> bytes:
    flags = clean << 1 | (user is not None) << 7 | (password is not None) << 6
    body = b""
    if will is not None:
        topic, payload, qos, retain = will
        flags |= 4 | qos << 3 | retain << 5
        body += (properties(will_given) if version == V5 else b"") + text(topic) + text(payload)
    body += (text(user) if user is not None else b"") + (text(password) if password is not None else b"")
    head = text("MQTT") + bytes((version, flags)) + struct.pack("!H", keep_alive)
    head += properties(given) if version == V5 else b""
    return packet(0x10, head + text(client) + body)


def publish(
    topic: str,
    payload: bytes = b"",
    qos: int = 0,
    number: int = 0,
    *,
    version: int = V5,
    retain: bool = False,
    again: bool = False,
    given: dict[int, Any] | None = None,
) -> bytes:
    body = text(topic) + (struct.pack("!H", number) if qos else b"")
    body += properties(given) if version == V5 else b""
    return packet(0x30 | again << 3 | qos << 1 | retain, body + payload)


class Named(Table):
    """A table of rights that takes everybody by the name given, and knows what a wrong password is."""

    def may_connect(self, login: Login) -> str | None:
        return login.user if login.password != b"wrong" and login.user in self.users else None


class Stage:
    """A broker, its clocks, its reports."""

    def __init__(self, rights: Rights | None = None, **options: Any) -> None:
        self.now = 1_000.0
        self.reports: list[tuple[str, dict[str, object]]] = []
        self._clients = 0
        limits = options.pop("limits", Limits())
        self.broker = Broker(
            rights or Everyone(),
            Clock(lambda: self.now, lambda: 1_600_000_000.0 + self.now),
            self._new_client,
            limits,
            report=lambda event, **fields: self.reports.append((event, fields)),
            **options,
        )

    def _new_client(self) -> str:
        self._clients += 1
        return f"made-{self._clients}"

    def pass_time(self, seconds: float) -> None:
        """Let time pass, as finely as things are due."""
        until = self.now + seconds
        while (due := self.broker.timers.next_due) is not None and due <= until:
            self.now = max(self.now, due)
            self.broker.tick()
        self.now = until
        self.broker.tick()

    def peer(self, client: str = "c", version: int = V5, **options: Any) -> Peer:
        """A client that was let in."""
        peer = Peer(self, version)
        answer = peer.connect(client, **options)
        assert answer.code == 0, f"refused with {answer.code:#x}"
        return peer


def table(**grants: tuple[Sequence[str], Sequence[str]] | Grant) -> Named:
    """Rights by user: (publish, subscribe) or a whole grant."""
    return Named(
        {
            user: grant if isinstance(grant, Grant) else Grant(tuple(grant[0]), tuple(grant[1]))
            for user, grant in grants.items()
        }
    )
