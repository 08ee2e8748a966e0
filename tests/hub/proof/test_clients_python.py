"""aiomqtt, gmqtt, paho and the programs of mosquitto on the journey of the JavaScript clients.

With a password: a wrong one is refused; every quality there and back; a retained message; a will; a
session that is kept while its client is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import gmqtt
import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from users import users_file

from brokers import RunningHub, program, running_hub

VERSIONS = pytest.mark.parametrize("version", [4, 5])
SECONDS = 20
BINARY = bytes(range(256))


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with (
        tempfile.TemporaryDirectory() as folder,
        running_hub(users=users_file(Path(folder), ada="right")) as found,
    ):
        yield found


class Aiomqtt:
    """One aiomqtt client at a time, told what to do in the words of the journey."""

    def __init__(self, port: int, version: int, client: str, **options: Any) -> None:
        self._options: dict[str, Any] = {
            "hostname": "127.0.0.1",
            "port": port,
            "identifier": client,
            "username": "ada",
            "password": options.get("password", "right"),
            "protocol": aiomqtt.ProtocolVersion(version),
        }
        kept = options.get("kept", False)
        if version == 5:
            given = Properties(PacketTypes.CONNECT)
            given.SessionExpiryInterval = 100 if kept else 0
            self._options |= {"clean_start": not kept, "properties": given}
        else:
            self._options["clean_session"] = not kept
        if "will" in options:
            self._options["will"] = aiomqtt.Will(options["will"], b"gone", 1)

    async def __aenter__(self) -> Aiomqtt:
        self.client = aiomqtt.Client(**self._options)
        await self.client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(aiomqtt.MqttError):
            await self.client.__aexit__(None, None, None)

    async def subscribe(self, text: str) -> None:
        await self.client.subscribe(text, 2)

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool = False) -> None:
        await self.client.publish(topic, payload, qos, retain)

    async def hear(self) -> tuple[str, bytes, int, bool]:
        each = await anext(aiter(self.client.messages))
        return str(each.topic), bytes(each.payload), each.qos, each.retain

    async def die(self) -> None:
        line = self.client._client.socket()
        assert line is not None
        line.shutdown(socket.SHUT_RDWR)


class Gmqtt:
    """The same with gmqtt."""

    def __init__(self, port: int, version: int, client: str, **options: Any) -> None:
        kept = options.get("kept", False)
        will = gmqtt.Message(options["will"], b"gone", 1) if "will" in options else None
        expiry = {"session_expiry_interval": 100 if kept else 0} if version == 5 else {}
        self.client = gmqtt.Client(client, clean_session=not kept, will_message=will, **expiry)
        self.client.set_auth_credentials("ada", options.get("password", "right"))
        self.client.set_config({"reconnect_retries": 0})
        self._where = port, version
        self._heard: asyncio.Queue[tuple[str, bytes, int, bool]] = asyncio.Queue()
        self._subscribed: asyncio.Queue[None] = asyncio.Queue()
        self.client.on_message = self._on_message
        self.client.on_subscribe = lambda *_: self._subscribed.put_nowait(None)

    async def _on_message(self, _: Any, topic: str, payload: bytes, qos: int, given: Any) -> int:
        self._heard.put_nowait((topic, payload, qos, bool(given["retain"])))
        return 0

    async def __aenter__(self) -> Gmqtt:
        port, version = self._where
        await self.client.connect("127.0.0.1", port, version=version)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.client.is_connected:
            await self.client.disconnect()

    async def subscribe(self, text: str) -> None:
        self.client.subscribe(text, qos=2)
        await self._subscribed.get()

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool = False) -> None:
        self.client.publish(topic, payload, qos=qos, retain=retain)

    async def hear(self) -> tuple[str, bytes, int, bool]:
        return await self._heard.get()

    async def die(self) -> None:
        self.client._connection._transport.abort()
        while self.client.is_connected:
            await asyncio.sleep(0.01)


async def journey(kind: type[Aiomqtt | Gmqtt], hub: RunningHub, version: int) -> None:
    root = f"{kind.__name__}/{version}"

    def make(name: str, **options: Any) -> Aiomqtt | Gmqtt:
        return kind(hub.port, version, f"{root}/{name}", **options)

    with pytest.raises((aiomqtt.MqttError, gmqtt.mqtt.handler.MQTTConnectError)):
        async with make("wrong", password="wrong"):
            pass
    async with make("ear") as ear:
        await ear.subscribe(f"{root}/+")
        for qos in (0, 1, 2):
            await ear.publish(f"{root}/{qos}", BINARY, qos)
        found = sorted([await ear.hear() for _ in range(3)])
        assert found == [(f"{root}/{qos}", BINARY, qos, False) for qos in (0, 1, 2)]
        await ear.publish(f"{root}/kept/1", b"value", 1, retain=True)
        await ear.subscribe(f"{root}/kept/#")
        assert (await ear.hear())[:3] == (f"{root}/kept/1", b"value", 1)
        async with make("dying", will=f"{root}/will") as dying:
            await dying.die()
            assert await ear.hear() == (f"{root}/will", b"gone", 1, False)
        await _keep(make, ear, root)


async def _keep(make: Any, ear: Aiomqtt | Gmqtt, root: str) -> None:
    async with make("away", kept=True) as before:
        await before.subscribe(f"{root}/queue/#")
        await before.die()
    for qos in (0, 1, 2):
        await ear.publish(f"{root}/queue/{qos}", b"waits", qos)
    async with make("away", kept=True) as after:
        found = sorted([await after.hear() for _ in range(2)])
    assert found == [(f"{root}/queue/{qos}", b"waits", qos, False) for qos in (1, 2)]


@VERSIONS
@pytest.mark.parametrize("kind", [Aiomqtt, Gmqtt])
@pytest.mark.filterwarnings("default::ResourceWarning")  # gmqtt leaves the transport of a refused login.
def test_the_asynchronous_clients(hub: RunningHub, kind: type[Aiomqtt | Gmqtt], version: int) -> None:
    asyncio.run(asyncio.wait_for(journey(kind, hub, version), SECONDS))


@VERSIONS
@pytest.mark.parametrize(("password", "code"), [("right", 0), ("wrong", 134)])
def test_paho_shows_its_password(hub: RunningHub, version: int, password: str, code: int) -> None:
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTProtocolVersion(version))
    client.username_pw_set("ada", password)
    found: list[int] = []
    client.on_connect = lambda *given: found.append(given[3].value)
    client.connect("127.0.0.1", hub.port)
    until = time.monotonic() + SECONDS
    while not found and time.monotonic() < until:
        client.loop(0.1)
    assert found == [code]
    client.disconnect()
    client.loop_misc()


@VERSIONS
def test_the_programs_of_mosquitto(hub: RunningHub, version: int) -> None:
    root = f"mosquitto/{version}"
    shown = ["-p", str(hub.port), "-V", {4: "311", 5: "5"}[version], "-u", "ada"]
    pub, sub = program("mosquitto_pub"), program("mosquitto_sub")

    def run(*command: str, code: int = 0) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        assert (done.returncode == 0) == (code == 0), done.stderr
        return done.stdout

    run(pub, *shown, "-P", "wrong", "-t", root, "-m", "x", code=1)
    shown += ["-P", "right"]
    keep = ["-i", f"{root}/away", "-c", *(["-x", "100"] if version == 5 else [])]
    run(sub, *shown, *keep, "-q", "2", "-t", f"{root}/queue/#", "-E")
    for qos in "012":
        run(pub, *shown, "-q", qos, "-t", f"{root}/queue/{qos}", "-m", f"waits{qos}")
    got = run(sub, *shown, *keep, "-q", "2", "-t", f"{root}/queue/#", "-C", "2", "-F", "%t %q %r %p")
    assert sorted(got.splitlines()) == [f"{root}/queue/{qos} {qos} 0 waits{qos}" for qos in (1, 2)]
    run(pub, *shown, "-q", "1", "-r", "-t", f"{root}/kept", "-m", "value")
    got = run(sub, *shown, "-q", "1", "-t", f"{root}/kept", "-C", "1", "-F", "%q %r %p")
    assert got == "1 1 value\n"
    # A will that is retained needs no ear at the right moment.
    will = ["--will-topic", f"{root}/will", "--will-payload", "gone", "--will-qos", "1", "--will-retain"]
    dying = subprocess.Popen([sub, *shown, "-t", f"{root}/none", *will])
    while hub.call(lambda found: not any(each.will for each in found.broker.sessions)):
        time.sleep(0.01)
    dying.kill()
    dying.wait(SECONDS)
    assert run(sub, *shown, "-t", f"{root}/will", "-C", "1", "-W", "10") == "gone\n"
