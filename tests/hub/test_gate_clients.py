"""Gate: real clients, as their users know them, over TCP, WebSocket and TLS."""

from __future__ import annotations

import asyncio
import queue
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import gmqtt
import paho.mqtt.client as paho
import pytest
from hub_thread import RunningHub, certificate, running_hub
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

VERSIONS = pytest.mark.parametrize("version", [paho.MQTTv311, paho.MQTTv5], ids=["3.1.1", "5"])
WAYS = pytest.mark.parametrize("way", ["tcp", "websockets"])
SECONDS = 10


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with running_hub() as running:
        yield running


class Paho:
    """A paho client whose callbacks go into queues."""

    def __init__(self, port: int, version: int, client: str = "", way: str = "tcp", **options: Any) -> None:
        clean = {} if version == paho.MQTTv5 else {"clean_session": options.get("clean", True)}
        self.messages: queue.Queue[paho.MQTTMessage] = queue.Queue()
        self.done: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.paho = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client,
            protocol=paho.MQTTProtocolVersion(version),
            transport=way,
            **clean,
        )
        self.paho.on_message = lambda *given: self.messages.put(given[2])
        self.paho.on_connect = lambda *given: self.done.put(("connect", given[3]))
        self.paho.on_subscribe = lambda *given: self.done.put(("subscribe", given[3]))
        self.paho.on_publish = lambda *given: self.done.put(("publish", given[3]))
        self.paho.on_disconnect = lambda *given: self.done.put(("disconnect", given[3]))
        if "will" in options:
            self.paho.will_set(*options["will"])
        if "tls" in options:
            self.paho.tls_set(str(options["tls"]))
        if "user" in options:
            self.paho.username_pw_set(options["user"], options.get("password"))
        more = {}
        if version == paho.MQTTv5:
            given = Properties(PacketTypes.CONNECT)
            given.SessionExpiryInterval = 0 if options.get("clean", True) else 100
            more = {"clean_start": options.get("clean", True), "properties": given}
        self.paho.connect("127.0.0.1", port, 30, **more)
        self.paho.loop_start()
        self.code = self.wait("connect")

    def wait(self, kind: str) -> Any:
        while True:
            found, what = self.done.get(timeout=SECONDS)
            if found == kind:
                return what

    def subscribe(self, topic: str, qos: int = 0, **options: Any) -> Any:
        self.paho.subscribe(topic, qos, **options)
        return self.wait("subscribe")

    def publish(self, topic: str, payload: bytes, qos: int = 0, **options: Any) -> None:
        self.paho.publish(topic, payload, qos, **options).wait_for_publish(SECONDS)

    def hear(self) -> paho.MQTTMessage:
        return self.messages.get(timeout=SECONDS)

    def close(self) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()


@VERSIONS
@WAYS
def test_paho(hub: RunningHub, version: int, way: str) -> None:
    port = hub.mqtt_port if way == "tcp" else hub.websocket_port
    ear, mouth = Paho(port, version, way=way), Paho(port, version, way=way)
    topic = f"paho/{version}/{way}"
    ear.subscribe(f"{topic}/+", 2)
    payload = bytes(range(256)) * 200
    for qos in (0, 1, 2):
        mouth.publish(f"{topic}/{qos}", payload, qos, retain=True)
    heard = [ear.hear() for _ in range(3)]
    assert sorted((each.topic, each.qos, each.retain) for each in heard) == [
        (f"{topic}/{qos}", qos, False) for qos in (0, 1, 2)
    ]
    assert all(each.payload == payload for each in heard)
    late = Paho(port, version, way=way)
    late.subscribe(f"{topic}/#", 1)
    assert sorted((each.qos, each.retain) for each in (late.hear() for _ in range(3))) == [
        (0, True), (1, True), (1, True),
    ]  # fmt: skip
    for each in (ear, mouth, late):
        each.close()


@VERSIONS
def test_paho_comes_back_to_its_session(hub: RunningHub, version: int) -> None:
    name = f"back-{version}"
    ear = Paho(hub.mqtt_port, version, name, clean=False)
    ear.subscribe("back/#", 1)
    ear.close()
    mouth = Paho(hub.mqtt_port, version)
    for number in range(700):
        mouth.paho.publish("back/x", str(number), 1)
    mouth.publish("back/x", b"last", 1)
    ear = Paho(hub.mqtt_port, version, name, clean=False)
    assert [ear.hear().payload for _ in range(701)] == [
        *(str(number).encode() for number in range(700)),
        b"last",
    ]
    ear.close()
    mouth.close()
    hub.call(lambda: hub.hub.put_out("operator", name, forget=True))


@VERSIONS
def test_paho_leaves_a_will(hub: RunningHub, version: int) -> None:
    ear = Paho(hub.mqtt_port, version)
    ear.subscribe("will/#", 1)
    dying = Paho(hub.mqtt_port, version, "dying", will=("will/dying", b"gone", 1))
    dying.paho.socket().close()  # type: ignore[union-attr]
    assert ear.hear().payload == b"gone"
    dying.paho.loop_stop()
    ear.close()


def test_paho_with_everything_of_version_5(hub: RunningHub) -> None:
    ear = Paho(hub.mqtt_port, paho.MQTTv5)
    given = Properties(PacketTypes.SUBSCRIBE)
    given.SubscriptionIdentifier = 42
    options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True)
    ear.paho.subscribe("five/#", options=options, properties=given)
    ear.wait("subscribe")
    ear.publish("five/own", b"not heard", 1)
    mouth = Paho(hub.mqtt_port, paho.MQTTv5)
    given = Properties(PacketTypes.PUBLISH)
    given.ContentType, given.ResponseTopic, given.CorrelationData = "text/plain", "answer", b"\x00\x01"
    given.UserProperty = [("k", "v"), ("sender", "forged")]
    given.MessageExpiryInterval, given.PayloadFormatIndicator, given.TopicAlias = 60, 1, 1
    mouth.publish("five/x", b"hello", 1, retain=True, properties=given)
    heard = ear.hear()
    found = heard.properties.json()  # type: ignore[union-attr]
    assert (heard.payload, heard.retain) == (b"hello", True)
    assert found["UserProperty"] == [("k", "v"), ("sender", "operator")]
    assert found["SubscriptionIdentifier"] == [42]
    assert found["MessageExpiryInterval"] in (59, 60)
    assert found["ContentType"] == "text/plain"
    ear.close()
    mouth.close()


@VERSIONS
def test_aiomqtt(hub: RunningHub, version: int) -> None:
    async def talk() -> list[bytes]:
        protocol = aiomqtt.ProtocolVersion(version)
        async with aiomqtt.Client("127.0.0.1", hub.mqtt_port, protocol=protocol) as client:
            await client.subscribe(f"aiomqtt/{version}", qos=2)
            for number in range(20):
                await client.publish(f"aiomqtt/{version}", str(number), qos=2)
            return [bytes(message.payload) async for message in _first(client.messages, 20)]

    assert asyncio.run(asyncio.wait_for(talk(), SECONDS)) == [str(number).encode() for number in range(20)]


async def _first(messages: Any, number: int) -> Any:
    async for each in messages:
        yield each
        number -= 1
        if not number:
            return


@pytest.mark.parametrize("version", [4, 5])
def test_gmqtt(hub: RunningHub, version: int) -> None:
    async def talk() -> list[tuple[str, bytes]]:
        heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        client = gmqtt.Client(f"gmqtt-{version}", clean_session=True)

        async def on_message(_: Any, topic: str, payload: bytes, __: int, ___: Any) -> int:
            heard.put_nowait((topic, payload))
            return 0

        client.on_message = on_message
        subscribed = asyncio.Event()
        client.on_subscribe = lambda *_: subscribed.set()
        await client.connect("127.0.0.1", hub.mqtt_port, version=version)
        client.subscribe(f"gmqtt/{version}/#", qos=1)
        await subscribed.wait()
        for qos in (0, 1, 2):
            client.publish(f"gmqtt/{version}/{qos}", b"x", qos=qos)
        found = [await heard.get() for _ in range(3)]
        await client.disconnect()
        return found

    found = asyncio.run(asyncio.wait_for(talk(), SECONDS))
    assert sorted(found) == [(f"gmqtt/{version}/{qos}", b"x") for qos in (0, 1, 2)]


@pytest.mark.parametrize("version", ["311", "5"])
def test_mosquitto_pub_and_sub(hub: RunningHub, version: str) -> None:
    if shutil.which("mosquitto_pub") is None:
        pytest.skip("mosquitto_pub is missing (Debian: mosquitto-clients)")
    common = [
        "-h",
        "127.0.0.1",
        "-p",
        str(hub.mqtt_port),
        "-V",
        version,
        "-q",
        "2",
        "-t",
        f"mosquitto/{version}",
    ]
    subprocess.run(["mosquitto_pub", *common, "-m", "kept", "-r"], check=True, timeout=SECONDS)
    done = subprocess.run(
        ["mosquitto_sub", *common, "-C", "1"], check=True, timeout=SECONDS, capture_output=True
    )
    assert done.stdout == b"kept\n"


@WAYS
def test_tls(tmp_path: Path, way: str) -> None:
    cert, key = certificate(tmp_path)
    with running_hub(tls_cert=cert, tls_key=key) as hub:
        port = hub.mqtt_port if way == "tcp" else hub.websocket_port
        client = Paho(port, paho.MQTTv5, way=way, tls=cert)
        client.subscribe("a", 1)
        client.publish("a", bytes(100_000), 1)
        assert client.hear().payload == bytes(100_000)
        client.close()
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        assert _tls_version(old, hub.mqtt_port) in ("TLSv1.2", "TLSv1.3")


def _tls_version(context: ssl.SSLContext, port: int) -> str | None:
    import socket

    with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain) as secure:
        return secure.version()
