"""Nobody speaks for another or hears what is another's: kinds of agents by topics, on real brokers.

The table is made by hand from the protocols, never from the code under test.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from hub_thread import running_hub
from market_rights import HEARS_ALL, OWNED, TABLE, owners
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from brokers import Mosquitto
from voltagora.brokers import mosquitto as files
from voltagora.brokers.account import Account
from voltagora.hub import passwords
from voltagora.hub.rights import Grant
from voltagora.hub.users import KnownUsers
from voltagora.live import mqtt_packets as packets
from voltagora.live.rights import grants
from voltagora.live.transport import Publication

GREEDY = (
    "#",
    "+/+/+",
    "EV/#",
    "EV/+/ReservationOutcome",
    "+/v1/ReservationOutcome",
    "CS/+/EV/+/CS_start/start_negotiation",
    "CS/s1/#",
    "EV/+/RequestChargingRecommendations",
    "$share/g/EV/+/ReservationOutcome",
    "$share/g/#",
    "$SYS/#",
    "presence/+",
)
NOT_AUTHORIZED = 0x87
ROOT = "root"
"""Of the test alone: it may do everything, so that there is always one who hears and one who speaks."""


class Client:
    """One user's connection and what it has been handed."""

    def __init__(self, port: int, user: str) -> None:
        self.user = user
        self.heard: set[tuple[str, bytes]] = set()
        self._answers = threading.Semaphore(0)
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"of-{user}", protocol=paho.MQTTv5)
        self._client.username_pw_set(user, user)
        self._client.on_connect = lambda *_: self._answers.release()
        self._client.on_subscribe = lambda *_: self._answers.release()
        self._client.on_message = lambda _c, _u, message: self.heard.add((message.topic, message.payload))
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self.wait()

    def wait(self) -> None:
        assert self._answers.acquire(timeout=10)

    def subscribe(self, text: str) -> None:
        self._client.subscribe(text, qos=1)
        self.wait()

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 0: mosquitto throws out who publishes with QoS 1 where it must not."""
        self._client.publish(topic, payload, qos=0)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextlib.contextmanager
def hub(_: Path) -> Iterator[int]:
    known = {**grants(owners()), ROOT: Grant(("#",), ("#",))}
    hashes = {user: passwords.hash_password(user, salt=bytes(16)) for user in known}
    with running_hub(rights=KnownUsers(known, hashes)) as running:
        yield running.mqtt_port


@contextlib.contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    known = {**grants(owners()), ROOT: Grant(("#",), ("#",))}
    accounts = {user: Account(grant, files.mosquitto_hash(user)) for user, grant in known.items()}
    files.write(folder, accounts)
    broker = Mosquitto(folder, more=f"include_dir {folder}/included")
    (folder / "included").mkdir()
    (folder / "included" / "voltagora.conf").write_text((folder / "voltagora.conf").read_text())
    broker.open()
    try:
        yield broker.port
    finally:
        broker.close()


BROKERS = [hub, mosquitto]


@pytest.mark.parametrize("broker", BROKERS)
def test_who_may_publish_where(broker: Any, tmp_path: Path) -> None:
    with broker(tmp_path) as port:
        allowed = {
            (topic, user) for user in OWNED for topic in TABLE if _reason(port, user, topic) != NOT_AUTHORIZED
        }

    assert allowed == {(topic, user) for topic, (writers, _) in TABLE.items() for user in writers}


def _reason(port: int, user: str, topic: str) -> int:
    """Publish once and give the broker's answer: mosquitto 2.0.11 hangs up on who must not publish."""
    with socket.create_connection(("127.0.0.1", port), 10) as line:
        line.sendall(
            packets.connect(
                5, f"of-{user}", user=user, password=user, will=None, clean=True, keepalive=0, given={}
            )
        )
        connack = line.recv(1_024)
        assert connack[:1] == b"\x20"
        assert connack[3] == 0
        line.sendall(packets.publish(5, 1, Publication(number=1, topic=topic, payload=b"x"), again=False))
        puback = line.recv(1_024)
        assert puback[:1] == b"\x40"
        return packets.read_puback(puback, 2, len(puback))[1]


@pytest.mark.parametrize("broker", BROKERS)
def test_who_may_read_what_with_filters_as_greedy_as_can_be(broker: Any, tmp_path: Path) -> None:
    with broker(tmp_path) as port, contextlib.ExitStack() as stack:
        root = _join(stack, port, ROOT)
        clients = {user: _join(stack, port, user) for user in OWNED}
        for client in clients.values():
            for text in (*TABLE, *GREEDY):
                client.subscribe(text)
        for topic in TABLE:
            root.publish(topic, b"secret")
        _wait(lambda: all(len(clients[user].heard) >= len(TABLE) for user in HEARS_ALL))

        for user, client in clients.items():
            heard = {topic for topic, payload in client.heard if payload == b"secret"}
            readable = {topic for topic, (_, readers) in TABLE.items() if user in readers | HEARS_ALL}
            assert heard == readable, user


def _join(stack: contextlib.ExitStack, port: int, user: str) -> Client:
    client = Client(port, user)
    stack.callback(client.close)
    return client


def _wait(what: Callable[[], bool]) -> None:
    """Wait for what must come, and then a little for what must not: for that there is nothing to wait for."""
    until = time.monotonic() + 10
    while not what():
        assert time.monotonic() < until
        time.sleep(0.005)
    time.sleep(0.2)


def test_a_wrong_password_opens_neither(tmp_path: Path) -> None:
    for broker in BROKERS:
        (tmp_path / broker.__name__).mkdir()
        with broker(tmp_path / broker.__name__) as port:
            codes: list[ReasonCode] = []
            client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
            client.username_pw_set("ev", "not it")
            client.on_connect = lambda _c, _u, _f, code, _p, codes=codes: codes.append(code)
            client.connect("127.0.0.1", port)
            until = time.monotonic() + 10
            while not codes:
                client.loop(0.1)
                assert time.monotonic() < until
            client.disconnect()
            assert codes[0].is_failure
