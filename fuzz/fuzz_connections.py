"""Attacks whole connections: several lines at once, bytes in pieces, half packets, cuts, slow readers.

An input is a list of moves. Whatever they are: no exception gets out of the hub, what it says is well
formed, a bystander is served, every limit holds, and in the end nothing is left behind.

Run it with atheris by `make fuzz`; a short round of it is a test.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "hub" / "proof" / "stage"))

import driver

with driver.watched():
    from voltagora.hub.broker import Broker
    from voltagora.hub.clock import Clock
    from voltagora.hub.limits import Limits
    from voltagora.hub.rights import Grant, Login, Table

from raw_client import V3, V5, Wish, connect_packet, parse_publish, publish_packet, subscribe_packet

LINES = 3
LIMITS = Limits(
    packet_bytes=2_000,
    half_open=LINES,
    connections=LINES,
    sessions=8,
    session_seconds=1_000,
    subscriptions_per_session=5,
    window=4,
    receive_maximum=4,
    topic_aliases=3,
    queued_messages=10,
    queued_bytes=5_000,
    queued_qos0=5,
    topics=20,
    retained=10,
    retained_bytes=4_000,
    last_value_bytes=4_000,
)
ALL = ("#", "$x/#")
BROAD, NARROW = Grant(ALL, ALL), Grant(("a",), ("a/+",), ("a/b",))
LONG = 10_000_000.0
_SAID_BY_SERVERS = (2, 3, 4, 5, 6, 7, 9, 11, 13, 14)


class Anyone(Table):
    """Everybody without a name is `u`."""

    def may_connect(self, login: Login) -> str | None:
        return super().may_connect(login) if login.user else "u"


class Line:
    """The other end of a connection: checks what is said, and may hold it back."""

    def __init__(self, broker: Broker) -> None:
        self.open = True
        self.said = bytearray()
        self.connection = broker.connect(self, "here")

    def send(self, data: bytes) -> None:
        assert self.open, "bytes for a line that is closed"
        self.said += data

    def close(self, *, abort: bool) -> None:
        self.open = False

    def pause_reading(self) -> None:
        """Nothing: attackers go on."""

    def resume_reading(self) -> None:
        """Nothing."""

    def check(self) -> None:
        """Read everything that was said: whole packets, of a server, publishes in full."""
        version = self.connection.version
        for first, body in whole_packets(self.said):
            assert first >> 4 in _SAID_BY_SERVERS, hex(first)
            if first >> 4 == 3:
                parse_publish(first, body, version)
        self.said.clear()


def whole_packets(data: bytearray) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        first, at = data[at], at + 1
        size = shift = 0
        while True:
            byte, at = data[at], at + 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        assert at + size <= len(data), "half a packet was sent"
        yield first, bytes(data[at : at + size])
        at += size


class Attack:
    """One input on a hub of its own."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._now = 1_000.0
        numbers = iter(range(1, 1_000_000))
        self._rights = Anyone({"u": BROAD, "v": BROAD, "bystander": BROAD})
        clock = Clock(lambda: self._now, lambda: self._now)
        self.broker = Broker(self._rights, clock, lambda: f"made-{next(numbers)}", LIMITS)
        self._bystander = Line(self.broker)
        self._bystander.connection.receive(connect_packet("by", user="bystander", password=""))
        self._bystander.connection.receive(subscribe_packet([Wish("by/stander")]))
        self._bystander.check()
        self._lines: list[Line | None] = [None] * LINES

    def run(self) -> None:
        """Make the moves: a byte that says what and on which line, a length, that many bytes."""
        at, data = 0, self._data
        while at + 2 <= len(data):
            what, size = data[at], data[at + 1]
            at += 2
            self._move(what >> 2, what & 3, data[at : at + size])
            at += size
            self._check()
        self._end()

    def _move(self, what: int, which: int, data: bytes) -> None:
        number = which % LINES
        line = self._lines[number]
        if what == 1:
            self._later(int.from_bytes(data[:2], "big"))
        elif what == 2:
            self._rights.set("u", NARROW if data[:1] < b"\x80" else BROAD)
            self.broker.revoke("u")
        elif what == 3:
            self.broker.put_out("u", forget=data[:1] < b"\x80")
        elif line is None or not line.open:
            line = self._lines[number] = Line(self.broker)
            line.connection.receive(data)
        elif what == 4:
            self._lines[number] = None
            line.open = False
            line.connection.lost()
            self.broker.flush()
        elif what == 5:
            line.connection.congested = True
        elif what == 6:
            line.connection.flowing()
        elif what == 7:
            for at in range(len(data)):
                line.connection.receive(data[at : at + 1])
        else:
            line.connection.receive(data)

    def _later(self, seconds: float) -> None:
        self._now += seconds
        self.broker.tick()

    def _check(self) -> None:
        for line in self._lines:
            if line is not None:
                line.check()
        broker, topics = self.broker, self.broker.router.topics
        # The bystander has said CONNECT and does not count among the half-open.
        assert len(broker.half_open) <= LIMITS.half_open
        assert broker.sessions.connected <= LIMITS.connections
        assert len(broker.sessions) <= LIMITS.sessions
        assert topics.retained <= LIMITS.retained
        assert topics.retained_bytes <= LIMITS.retained_bytes
        assert len(topics.known) <= LIMITS.topics + LIMITS.retained
        for session in broker.sessions:
            assert len(session.queue) <= LIMITS.queued_messages
            assert len(session.waiting0) <= LIMITS.queued_qos0
            assert len(session.subscriptions) <= LIMITS.subscriptions_per_session
            assert len(session.inflight) <= LIMITS.window
        self._serve_bystander()

    def _serve_bystander(self) -> None:
        connection = self._bystander.connection
        connection.receive(publish_packet("by/stander", b"mine"))
        assert b"by/stander" in self._bystander.said, "the bystander is not served"
        self._bystander.said.clear()

    def _end(self) -> None:
        """Everybody goes, and all times run out: nothing may be left."""
        for line in (*self._lines, self._bystander):
            if line is not None and line.open:
                line.open = False
                line.connection.lost()
        self.broker.flush()
        self._later(LONG)
        self._later(LONG)
        broker = self.broker
        assert len(broker.sessions) == 0, list(broker.sessions)
        assert broker.sessions.connected == 0
        assert broker.router.trie.size == 0
        assert not broker.half_open
        assert not broker.dirty
        assert broker.timers.next_due is None
        assert broker.counters.connections_accepted == sum(broker.counters.closed.values())


def attack(data: bytes) -> None:
    """Play one input."""
    Attack(data).run()


def moves(*packets: bytes, first: int = 0x40, piece: int = 255) -> bytes:
    """Write packets as moves of one line, in pieces."""
    out = b""
    for each in packets:
        for at in range(0, len(each), piece):
            part = each[at : at + piece]
            out += bytes((first, len(part))) + part
    return out


def seeds() -> list[bytes]:
    """Give small lawful conversations, some of them with a second line that listens."""
    from seeds import connects, others

    found = []
    listener = moves(
        connect_packet("ear", version=V5, clean=False, given=[(0x11, 500)]),
        subscribe_packet([Wish("#", 2), Wish("a/b", 1)]),
        first=0x41,
    )
    cut, slow, fast = b"\x11\x00", b"\x15\x00", b"\x19\x00"
    later, narrow = b"\x04\x02\x01\x00", b"\x08\x01\x00"
    for hello in connects():
        for each in others():
            found.append(moves(hello, each))
            found.append(listener + moves(hello, each, each, piece=7) + cut + narrow + later)
    will = moves(*connects()[2:3], first=0x42) + b"\x12\x00"
    queue = [publish_packet("a/b", bytes(20), version=V3, qos=qos, identifier=qos) for qos in (1, 2)]
    talk = moves(connects()[0], *queue * 4)
    found += [
        listener + slow + talk + fast + will,
        listener + cut + talk + listener + narrow,
        listener + will,
    ]
    acks = moves(b"\x40\x02\x00\x01", b"\x50\x02\x00\x02", b"\x70\x02\x00\x02", first=0x41)
    found.append(listener + talk + acks + acks + cut + listener)
    return found


if __name__ == "__main__":
    driver.run(attack, seeds())
