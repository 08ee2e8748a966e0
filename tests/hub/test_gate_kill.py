"""Gate: `kill -9` at random moments, fifty times; what was acknowledged is there, once if it was promised."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from hub_stage import SESSION_EXPIRY, Packet, connect, decode, packet, properties, publish, text

KILLS = 50

HUB = """
import asyncio, sys
from pathlib import Path
from voltagora.hub.server import Hub
async def main():
    async with Hub(mqtt="127.0.0.1:0", data=Path(sys.argv[1])) as hub:
        print(hub.mqtt_port, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


class Process:
    """A hub in a process that can be killed."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-c", HUB, str(folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Client:
    """A raw client with a session that is kept."""

    def __init__(self, port: int, name: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(10)
        self.rest = b""
        self.waiting: list[Packet] = []
        self.say(connect(name, clean=False, given={SESSION_EXPIRY: 3600}))
        answer = self.next()
        assert (answer.kind, answer.code) == ("connack", 0)

    def say(self, data: bytes) -> None:
        self.socket.sendall(data)

    def next(self) -> Packet:
        while not self.waiting:
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionError
            self.waiting, self.rest = decode(self.rest + data, 5)
        return self.waiting.pop(0)


class Publisher:
    """Publishes numbers at QoS 1 and 2 until the line breaks, and repeats what was not answered."""

    def __init__(self) -> None:
        self.count = 0
        self.unanswered: dict[int, tuple[int, int, bool]] = {}
        self.answered: dict[int, int] = {}
        self.retained = 0

    def run(self, client: Client, until: int | None = None) -> None:
        """Publish until the line breaks; with `until`, until all of so many are answered."""
        for number, (value, qos, released) in list(self.unanswered.items()):
            if released:
                client.say(b"\x62\x02" + number.to_bytes(2, "big"))
            else:
                client.say(self._message(value, qos, number, again=True))
        while until is None or self.unanswered:
            while until is None and len(self.unanswered) < 40:
                self._publish(client)
            self._hear(client, client.next())

    def _message(self, value: int, qos: int, number: int, *, again: bool = False) -> bytes:
        # Every tenth message is retained as well.
        topic = "kept" if value % 10 == 0 else "plain"
        return publish(f"n/{topic}", str(value).encode(), qos, number, retain=topic == "kept", again=again)

    def _publish(self, client: Client) -> None:
        self.count += 1
        qos = 1 + self.count % 2
        number = next(each for each in range(1, 100) if each not in self.unanswered)
        self.unanswered[number] = (self.count, qos, False)
        client.say(self._message(self.count, qos, number))

    def _hear(self, client: Client, heard: Packet) -> None:
        value, qos, _ = self.unanswered[heard.packet]
        if heard.kind == "pubrec":
            self.unanswered[heard.packet] = (value, qos, True)
            client.say(b"\x62\x02" + heard.packet.to_bytes(2, "big"))
            return
        del self.unanswered[heard.packet]
        self.answered[value] = qos
        if value % 10 == 0:
            self.retained = max(self.retained, value)


class Subscriber:
    """Takes what comes, and knows identifiers of exactly-once messages over every reconnect."""

    def __init__(self) -> None:
        self.got: list[int] = []
        self.known: set[int] = set()

    def take(self, client: Client, pause: float) -> None:
        client.socket.settimeout(pause)
        try:
            while True:
                self._hear(client, client.next())
        except TimeoutError:
            return

    def _hear(self, client: Client, heard: Packet) -> None:
        number = heard.packet.to_bytes(2, "big")
        if heard.kind == "pubrel":
            self.known.discard(heard.packet)
            client.say(b"\x70\x02" + number)
        elif heard.kind == "publish" and heard.qos == 2:
            if heard.packet not in self.known:
                self.known.add(heard.packet)
                self.got.append(int(heard.payload))
            client.say(b"\x50\x02" + number)
        elif heard.kind == "publish":
            self.got.append(int(heard.payload))
            client.say(b"\x40\x02" + number)


def test_what_was_acknowledged_survives_fifty_kills(tmp_path: Path) -> None:
    luck = random.Random(4)
    publisher, subscriber = Publisher(), Subscriber()
    hub = Process(tmp_path)
    ear = Client(hub.port, "ear")
    for topic in (b"n/+", b"gone"):
        ear.say(packet(0x82, b"\0\1" + properties(None) + text(topic) + b"\2"))
        assert ear.next().kind == "suback"
    ear.say(packet(0xA2, b"\0\1\0" + text("gone")))
    assert ear.next().kind == "unsuback"
    ear.socket.close()
    for _ in range(KILLS):
        mouth, ear = Client(hub.port, "mouth"), Client(hub.port, "ear")
        killer = threading.Timer(luck.uniform(0.001, 0.1), hub.kill)
        killer.start()
        with contextlib.suppress(OSError):
            publisher.run(mouth)
        with contextlib.suppress(OSError):
            subscriber.take(ear, 0.01)
        killer.join()
        mouth.socket.close()
        ear.socket.close()
        hub = Process(tmp_path)

    mouth, ear = Client(hub.port, "mouth"), Client(hub.port, "ear")
    publisher.run(mouth, until=publisher.count)
    subscriber.take(ear, 0.5)
    mouth.say(publish("gone", b"0", 1, 99))
    late = Client(hub.port, "late")
    late.say(packet(0x82, b"\0\1" + properties(None) + text("n/kept") + b"\0"))
    late.next()
    kept = int(late.next().payload)
    hub.kill()
    for client in (mouth, ear, late):
        client.socket.close()

    assert publisher.unanswered == {}
    assert publisher.count > KILLS
    assert set(publisher.answered) == set(range(1, publisher.count + 1))
    assert set(subscriber.got) == set(publisher.answered)
    doubled = {value for value, times in Counter(subscriber.got).items() if times > 1}
    assert {publisher.answered[value] for value in doubled} <= {1}
    assert kept == publisher.retained
