"""What tests of the transport play on: who listens, brokers to be killed, a line to be cut, certificates."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from brokers import Mosquitto, free_port, program
from voltagora.hub.wire import primitive
from voltagora.live.broker_url import BrokerUrl, Tls
from voltagora.live.mqtt import MqttTransport
from voltagora.live.transport import Arrival, Publication

SECONDS = 20.0
"""How long a test waits for what must come; it never waits in vain when all is well."""


class Ear:
    """A listener that remembers, and that can be told to fail."""

    def __init__(self) -> None:
        self.connections: list[tuple[bool, bool | None]] = []
        self.losses: list[str] = []
        self.batches: list[list[Arrival]] = []
        self.taken_numbers: list[int] = []
        self.refusals: dict[int, str] = {}
        self.fails: Callable[[Sequence[Arrival]], Exception | None] = lambda _: None

    def connected(self, *, session_present: bool, stamps: bool | None) -> None:
        self.connections.append((session_present, stamps))

    def disconnected(self, why: str) -> None:
        self.losses.append(why)

    def arrived(self, arrivals: Sequence[Arrival]) -> None:
        error = self.fails(arrivals)
        if error is not None:
            raise error
        self.batches.append(list(arrivals))

    def taken(self, number: int) -> None:
        self.taken_numbers.append(number)

    def refused(self, number: int, why: str) -> None:
        self.refusals[number] = why

    @property
    def arrivals(self) -> list[Arrival]:
        return [arrival for batch in self.batches for arrival in batch]

    @property
    def payloads(self) -> list[bytes]:
        return [arrival.payload for arrival in self.arrivals]


async def until(what: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to be"
        await asyncio.sleep(0.005)


def at(port: int, who: str = "", scheme: str = "mqtt", tls: Tls | None = None) -> BrokerUrl:
    return BrokerUrl.parse(f"{scheme}://{who}127.0.0.1:{port}", tls=tls)


@contextlib.asynccontextmanager
async def joined(
    url: BrokerUrl | int, client: str, *filters: str, ear: Ear | None = None, **options: Any
) -> AsyncIterator[tuple[MqttTransport, Ear]]:
    """A transport that is open within the block."""
    ear = ear or Ear()
    transport = MqttTransport(at(url) if isinstance(url, int) else url, client_id=client, **options)
    transport.subscribe(filters)
    await asyncio.wait_for(transport.open(ear), SECONDS)
    try:
        yield transport, ear
    finally:
        await transport.close()


def say(transport: MqttTransport, number: int, topic: str = "a/b", **options: Any) -> None:
    """Publish a number."""
    options.setdefault("payload", str(number).encode())
    transport.publish(Publication(number=number, topic=topic, **options))


async def settled(transport: MqttTransport) -> None:
    await asyncio.wait_for(transport.drain(0), SECONDS)


# A line that can be cut.


class Proxy:
    """Stands between a client and a broker; it can fall silent, cut and refuse."""

    def __init__(self, target: int, host: str = "127.0.0.1") -> None:
        self.target = target
        self.host = host
        self.port = 0
        self.is_silent = False
        self.is_refusing = False
        self.count = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.01)

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_refusing:
            writer.transport.abort()
            return
        self.count += 1
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers += [writer, back]
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._carry(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                if not self.is_silent:
                    sink.write(data)
        sink.transport.abort()


class Scripted:
    """A broker that says what a test tells it to."""

    def __init__(self, *connacks: bytes) -> None:
        self.connacks = list(connacks)
        self.packets: list[list[tuple[int, bytes]]] = []
        self.answer: Callable[[int, bytes], bytes] = lambda *_: b""
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Scripted:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.sleep(0.01)

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        mine: list[tuple[int, bytes]] = []
        self.packets.append(mine)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                first = (await reader.readexactly(1))[0]
                size = shift = 0
                while True:
                    byte = (await reader.readexactly(1))[0]
                    size |= (byte & 0x7F) << shift
                    shift += 7
                    if byte < 0x80:
                        break
                body = await reader.readexactly(size)
                mine.append((first, body))
                if first == 0x10:
                    writer.write(self.connacks.pop(0) if len(self.connacks) > 1 else self.connacks[0])
                elif first == 0xE0:
                    writer.close()
                    return
                else:
                    writer.write(self.answer(first, body))


def connack(reason: int = 0, *, present: bool = False, given: bytes = b"", version: int = 5) -> bytes:
    block = primitive.length(len(given)) + given if version == 5 else b""
    return primitive.packet(0x20, bytes((present, reason)) + block)


def identifier(body: bytes) -> int:
    """The packet identifier of a PUBLISH with QoS 1."""
    size = int.from_bytes(body[:2], "big")
    return int.from_bytes(body[2 + size : 4 + size], "big")


# Brokers to be killed.


class HubProcess:
    """A hub in a process of its own, with a data folder."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._command = [sys.executable, "-m", "voltagora", "hub", "--mqtt", f"127.0.0.1:{self.port}"]
        self._command += ["--data", str(folder / "hub")]
        self._process: subprocess.Popen[bytes] | None = None

    def open(self) -> HubProcess:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def close(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)


class MosquittoProcess(Mosquitto):
    """A mosquitto that can be killed."""

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        self._process = None


@contextlib.contextmanager
def mosquitto(folder: Path, more: str = "") -> Iterator[MosquittoProcess]:
    found = MosquittoProcess(folder, more=more)
    found.open()
    try:
        yield found
    finally:
        found.close()


# Certificates.


class Authority:
    """Vouches for a broker at 127.0.0.1 and for a client."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._name = name
        self.ca, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        _openssl("req", "-x509", *_NEW_KEY, "-keyout", self._key, "-out", self.ca, "-subj", f"/CN={name}")

    def certify(self, who: str) -> tuple[Path, Path]:
        """Make a certificate and its key."""
        base = self._folder / f"{self._name}-{who}"
        cert, key, asked, about = (base.with_suffix(end) for end in (".pem", ".key", ".csr", ".ext"))
        about.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        _openssl("req", *_NEW_KEY, "-keyout", key, "-out", asked, "-subj", f"/CN={who}")
        signer = ("-CA", self.ca, "-CAkey", self._key, "-CAcreateserial", "-extfile", about)
        _openssl("x509", "-req", "-in", asked, *signer, "-days", "2", "-out", cert)
        return cert, key


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*arguments: object) -> None:
    command = [program("openssl"), *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)
