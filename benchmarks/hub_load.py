"""Load for MQTT brokers from one lean process: packets encoded beforehand, answers counted in bytes.

A window of messages is kept under way, so that no broker has to drop any.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from typing import Final

import numpy as np

PAYLOAD: Final = bytes(range(256)) + bytes(44)
"""300 bytes."""


# Packets of 3.1.1, encoded beforehand.


def connect(client: str, *, clean: bool = True) -> bytes:
    body = b"\x00\x04MQTT\x04" + (b"\x02" if clean else b"\x00") + b"\x00\x00"
    body += len(client).to_bytes(2, "big") + client.encode()
    return b"\x10" + bytes((len(body),)) + body


def subscribe(topic: str, qos: int) -> bytes:
    body = b"\x00\x01" + len(topic).to_bytes(2, "big") + topic.encode() + bytes((qos,))
    return b"\x82" + bytes((len(body),)) + body


def publish(topic: str, qos: int, count: int, retain: bool = False) -> np.ndarray:
    """Give `count` packets as rows; their identifiers, if any, run from 1."""
    head = len(topic).to_bytes(2, "big") + topic.encode()
    size = len(head) + len(PAYLOAD) + (2 if qos else 0)
    start = bytes((0x30 | qos << 1 | retain, size & 0x7F | 0x80, size >> 7)) + head
    row = start + (b"\0\0" if qos else b"") + PAYLOAD
    rows = np.frombuffer(row * count, dtype=np.uint8).reshape(count, len(row)).copy()
    if qos:
        numbers = np.arange(count) % 65_535 + 1
        rows[:, len(start)] = numbers >> 8
        rows[:, len(start) + 1] = numbers & 0xFF
    return rows


class Client:
    """A socket that was let in; reads in strides of packets of one size."""

    def __init__(self, port: int, name: str, *, clean: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.say(connect(name, clean=clean), 4)
        self.buffer = bytearray(256 * 1024)
        self.rest = 0

    def say(self, data: bytes, answer: int) -> bytes:
        self.socket.sendall(data)
        got = b""
        while len(got) < answer:
            got += self.socket.recv(answer - len(got))
        return got


class Pair:
    """One publisher, one subscriber, one topic."""

    def __init__(
        self, port: int, number: int, qos: int, count: int, window: int, subscribers: bool = True
    ) -> None:
        topic = f"EV/{number:04d}/ReservationOutcome"
        self.qos, self.count, self.window = qos, count, window
        self.sender = Client(port, f"p{number}")
        self.rows = publish(topic, qos, min(count, 65_535))
        self.size = self.rows.shape[1]
        self.identifier_at = self.size - len(PAYLOAD) - 2
        self.sent = self.received = self.acknowledged = 0
        self.left = b""
        self.receiver: Client | None = None
        if subscribers:
            self.receiver = Client(port, f"s{number}")
            self.receiver.say(subscribe(topic, qos), 5)
        for client in (self.sender, self.receiver):
            if client is not None:
                client.socket.setblocking(False)

    @property
    def done(self) -> bool:
        heard = self.receiver is None or self.received >= self.count
        return heard and (not self.qos or self.acknowledged >= self.count)

    def push(self) -> None:
        """Send as many as the window lets."""
        if not self.left:
            slowest = self.received if self.receiver is not None else self.acknowledged
            slowest = min(slowest, self.acknowledged) if self.qos else slowest
            room = min(self.window - (self.sent - slowest), self.count - self.sent)
            # In steps of half a window, as one who gathers before writing.
            if room <= 0 or (room < self.window // 2 and self.sent + room < self.count):
                return
            at = self.sent % len(self.rows)
            room = min(room, len(self.rows) - at)
            self.left = self.rows[at : at + room].tobytes()
            self.sent += room
        with contextlib.suppress(BlockingIOError):
            self.left = self.left[self.sender.socket.send(self.left) :]

    def hear(self) -> None:
        """Count what came, and acknowledge it at QoS 1."""
        assert self.receiver is not None
        client = self.receiver
        view = memoryview(client.buffer)
        try:
            got = client.socket.recv_into(view[client.rest :])
        except BlockingIOError:
            return
        if not got:
            raise SystemExit("the broker closed a subscriber")
        total = client.rest + got
        whole = total // self.size
        if self.qos and whole:
            rows = np.frombuffer(client.buffer, np.uint8, whole * self.size).reshape(whole, self.size)
            answers = np.empty((whole, 4), np.uint8)
            answers[:, 0], answers[:, 1] = 0x40, 2
            answers[:, 2:] = rows[:, self.identifier_at : self.identifier_at + 2]
            client.socket.setblocking(True)
            client.socket.sendall(answers.tobytes())
            client.socket.setblocking(False)
            del rows
        client.rest = total - whole * self.size
        client.buffer[: client.rest] = client.buffer[whole * self.size : total]
        self.received += whole

    def heed(self) -> None:
        """Count acknowledgements."""
        client = self.sender
        try:
            got = client.socket.recv_into(client.buffer)
        except BlockingIOError:
            return
        if not got:
            raise SystemExit("the broker closed a publisher")
        client.rest += got
        self.acknowledged += client.rest // 4
        client.rest %= 4

    def close(self) -> None:
        for client in (self.sender, self.receiver):
            if client is not None:
                client.socket.close()


def throughput(
    port: int, pairs: int, qos: int, messages: int, *, heard: bool = True, window: int = 0
) -> float:
    """Give messages a second from the first sent to the last received."""
    count = messages // pairs
    window = window or (400 if pairs == 1 else 50)
    flows = [Pair(port, number, qos, count, window, heard) for number in range(pairs)]
    selector = selectors.DefaultSelector()
    for flow in flows:
        selector.register(flow.sender.socket, selectors.EVENT_READ, flow.heed)
        if flow.receiver is not None:
            selector.register(flow.receiver.socket, selectors.EVENT_READ, flow.hear)
    began = time.perf_counter()
    waiting = set(flows)
    while waiting:
        if time.perf_counter() - began > 120:
            raise SystemExit("no end after 120 s")
        for flow in waiting:
            flow.push()
        blocked = any(flow.left for flow in waiting)
        for key, _ in selector.select(0 if blocked else 0.05):
            key.data()
        waiting = {flow for flow in waiting if not flow.done}
    took = time.perf_counter() - began
    selector.close()
    for flow in flows:
        flow.close()
    return count * pairs / took
