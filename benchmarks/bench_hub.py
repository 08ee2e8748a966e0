"""The hub beside mosquitto, in one run: throughput, many clients, memory, opening, durability.

    python -m benchmarks.bench_hub [--messages 100000] [--rounds 3] [--only WORD]

The load comes from one lean process that sends packets encoded beforehand and counts bytes; it keeps
a window of messages under way, so no broker drops any. Both brokers run in processes of their own,
rounds alternate between them, the best of each counts, and only the ratios mean anything.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

PAYLOAD: Final = bytes(range(256)) + bytes(44)
"""300 bytes."""

MOSQUITTO: Final = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


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


# The brokers.


@dataclass
class Broker:
    name: str
    port: int
    process: subprocess.Popen[bytes]

    @property
    def rss_kb(self) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(name: str, command: list[str], port: int, cwd: str) -> Iterator[Broker]:
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if time.monotonic() > until or process.poll() is not None:
                    raise SystemExit(f"{name} did not start") from None
                time.sleep(0.02)
        yield Broker(name, port, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


def mosquitto(
    folder: str, *, nodelay: bool, durable: bool = False
) -> contextlib.AbstractContextManager[Broker]:
    port = free_port()
    lines = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        f"set_tcp_nodelay {'true' if nodelay else 'false'}",
        "max_queued_messages 0",
        "max_inflight_messages 0",
        "log_type none",
        f"persistence {'true' if durable else 'false'}",
    ]
    if durable:
        lines += [f"persistence_location {folder}/", "autosave_on_changes true", "autosave_interval 1"]
    if os.geteuid() == 0:
        lines.append("user root")
    config = Path(folder, f"mosquitto{port}.conf")
    config.write_text("\n".join(lines) + "\n")
    name = f"mosquitto, nodelay {'on' if nodelay else 'off'}"
    return running(name, [MOSQUITTO, "-c", str(config)], port, folder)


_HUB_MAIN: Final = """
import asyncio, signal, sys
from pathlib import Path
from voltagora.hub.rights import Grant, Table
from voltagora.hub.server import Hub

class Known(Table):
    def may_connect(self, login):
        return "operator"

async def main(port, data, rights):
    options = {"rights": Known({"operator": Grant(("EV/#",), ("EV/#",), ("EV/secret/#",))})} if rights else {}
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Hub(mqtt=f"127.0.0.1:{port}", data=Path(data) if data else None, **options):
        await stop.wait()

asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3] == "rights"))
"""


def hub(folder: str, *, data: bool = False, rights: bool = True) -> contextlib.AbstractContextManager[Broker]:
    port = free_port()
    place = str(Path(folder, f"hub{port}")) if data else ""
    command = [sys.executable, "-c", _HUB_MAIN, str(port), place, "rights" if rights else "open"]
    return running("hub", command, port, folder)


# What is measured.

Measure = Callable[[str, argparse.Namespace], None]
MEASURES: Final[dict[str, Measure]] = {}


def measure(function: Measure) -> Measure:
    MEASURES[function.__name__] = function
    return function


@measure
def pairs(folder: str, arguments: argparse.Namespace) -> None:
    """Four cases beside both settings of mosquitto, rights on in the hub."""
    print(f"\nIn memory, {len(PAYLOAD)} bytes, messages/s, best of {arguments.rounds} alternating rounds")
    print(f"{'':22}{'hub':>12}{'mosq. nodelay':>15}{'mosq. default':>15}{'hub/better':>12}")
    with hub(folder) as ours, mosquitto(folder, nodelay=True) as on, mosquitto(folder, nodelay=False) as off:
        for count in (1, 50):
            for qos in (0, 1):
                best = {broker.name: 0.0 for broker in (ours, on, off)}
                for _ in range(arguments.rounds):
                    for broker in (ours, on, off):
                        rate = throughput(broker.port, count, qos, arguments.messages // (1 + qos))
                        best[broker.name] = max(best[broker.name], rate)
                figures = [best[broker.name] for broker in (ours, on, off)]
                ratio = figures[0] / max(figures[1:])
                words = f"{count} pair{'s' if count > 1 else ''}, QoS {qos}"
                print(
                    f"{words:22}"
                    + "".join(f"{each:>{13 + (i > 0) * 2}.0f}" for i, each in enumerate(figures))
                    + f"{ratio:>11.2f}x"
                )


@measure
def crowd(folder: str, arguments: argparse.Namespace) -> None:
    """1,000 connections and 10,000 filters beside ten: throughput and memory."""
    print("\n1,000 connections, 10,000 filters, rights on, beside 10 and 10 (50 pairs do the talking)")
    with hub(folder) as few, hub(folder) as many:
        held = [crowded(few.port, 10, 1), crowded(few.port, 0, 0)]
        before = many.rss_kb
        held.append(crowded(many.port, 1_000, 0))
        connected = many.rss_kb
        for number, client in enumerate(held[-1]):
            for wish in range(10):
                client.say(subscribe(f"EV/{number}/filter{wish}/+", 0), 5)
        subscribed = many.rss_kb
        for qos in (0, 1):
            best = [0.0, 0.0]
            for _ in range(arguments.rounds):
                for index, broker in enumerate((few, many)):
                    best[index] = max(
                        best[index], throughput(broker.port, 50, qos, arguments.messages // (1 + qos))
                    )
            print(
                f"QoS {qos}: {best[0]:.0f} with ten, {best[1]:.0f} with a thousand: {best[1] / best[0]:.2f}x"
            )
        print(f"memory: {(connected - before) / 1000:.1f} kB a connection,", end=" ")
        print(f"{(subscribed - before) / 1000:.1f} kB with its ten filters")


def crowded(port: int, connections: int, filters: int) -> list[Client]:
    clients = []
    for number in range(connections):
        client = Client(port, f"crowd{number}")
        client.buffer = bytearray()
        for wish in range(filters):
            client.say(subscribe(f"EV/{number}/filter{wish}/+", 0), 5)
        clients.append(client)
    return clients


@measure
def life(folder: str, arguments: argparse.Namespace) -> None:
    """Opening and closing, in this process."""
    import asyncio

    from voltagora.hub.server import Hub

    async def once(data: Path | None) -> tuple[float, float]:
        began = time.perf_counter()
        hub = Hub(mqtt="127.0.0.1:0", data=data)
        async with hub:
            opened = time.perf_counter()
            for number in range(100):
                await asyncio.open_connection("127.0.0.1", hub.mqtt_port)
                del number
            await asyncio.sleep(0)
            leaving = time.perf_counter()
        return opened - began, time.perf_counter() - leaving

    for words, data in (("in memory", None), ("durable", Path(folder, "life"))):
        opened, closed = zip(*(asyncio.run(once(data)) for _ in range(arguments.rounds)), strict=True)
        print(
            f"\nasync with Hub(), {words}: open {max(opened):.3f} s, close with 100 lines {max(closed):.3f} s (worst)"
        )


@measure
def durable(folder: str, arguments: argparse.Namespace) -> None:
    """50 publishers of QoS 1 to a persistent session that is away: everything must be kept."""
    print("\nDurable QoS 1, 50 publishers, one persistent subscriber that is away, messages/s")
    rates = []
    for make in (lambda: hub(folder, data=True), lambda: mosquitto(folder, nodelay=True, durable=True)):
        with make() as broker:
            away = Client(broker.port, "away", clean=False)
            away.say(subscribe("EV/#", 1), 5)
            away.socket.close()
            count = arguments.messages // 10
            rates.append(throughput(broker.port, 50, 1, count, heard=False, window=20))
            print(f"{broker.name:28}{rates[-1]:>10.0f}   ({count} messages)")
    print(f"hub/mosquitto with autosave on every change: {rates[0] / rates[1]:.0f}x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=tuple(MEASURES))
    arguments = parser.parse_args()
    if not Path(MOSQUITTO).exists():
        raise SystemExit("mosquitto is missing: apt-get install mosquitto")
    with tempfile.TemporaryDirectory() as folder:
        for name, function in MEASURES.items():
            if arguments.only in (None, name):
                function(folder, arguments)


if __name__ == "__main__":
    main()
