"""Brokers that hold the rights of `market_rights`, and clients of its users."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as paho
from hub_thread import running_hub
from market_rights import owners
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from brokers import Mosquitto
from voltagora.brokers import mosquitto as files
from voltagora.brokers.account import Account
from voltagora.hub import passwords
from voltagora.hub.rights import Grant
from voltagora.hub.users import KnownUsers
from voltagora.live.rights import grants

ROOT = "root"
"""Of the tests alone: it may do everything, so that there is always one who hears and one who speaks."""
SECONDS = 20.0


class Client:
    """One user's connection and what it has been handed; a user's password is its name."""

    def __init__(
        self,
        port: int,
        user: str,
        *,
        client: str | None = None,
        password: str | None = None,
        clean: bool = True,
        will: str | None = None,
    ) -> None:
        self.user = user
        self.heard: set[tuple[str, bytes]] = set()
        self.refusal: ReasonCode | None = None
        self._answers = threading.Semaphore(0)
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=client or f"of-{user}", protocol=paho.MQTTv5
        )
        self._client.username_pw_set(user, user if password is None else password)
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self._answers.release()
        self._client.on_message = lambda _c, _u, said: self.heard.add((said.topic, bytes(said.payload)))
        if will is not None:
            self._client.will_set(will, b"secret", qos=1)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 0 if clean else 3_600
        self._client.connect("127.0.0.1", port, clean_start=clean, properties=properties)
        self._client.loop_start()
        self.wait()

    def _connected(self, _client: object, _data: object, _flags: object, code: ReasonCode, _: object) -> None:
        if code.is_failure:
            self.refusal = code
            self._client.disconnect()  # It would try for ever.
        self._answers.release()

    def wait(self) -> None:
        assert self._answers.acquire(timeout=SECONDS)

    def subscribe(self, text: str) -> None:
        self._client.subscribe(text, qos=1)
        self.wait()

    def publish(self, topic: str, payload: bytes = b"secret") -> None:
        """Publish with QoS 0: mosquitto throws out who publishes with QoS 1 where it must not."""
        self._client.publish(topic, payload, qos=0)

    def publish_and_wait(self, topic: str, payload: bytes = b"secret") -> None:
        """Publish with QoS 1 and come back when it is acknowledged."""
        self._client.publish(topic, payload, qos=1).wait_for_publish(SECONDS)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def vanish(self) -> None:
        """Go without a word, so that the will is published."""
        self._client.loop_stop()
        line = self._client.socket()
        assert line is not None
        line.close()


def join(stack: contextlib.ExitStack, port: int, user: str, **options: object) -> Client:
    client = Client(port, user, **options)  # type: ignore[arg-type]
    stack.callback(client.close)
    return client


def until(what: Callable[[], bool], pause: float = 0.2) -> None:
    """Wait for what must come, and then a little for what must not: for that there is nothing to wait for."""
    end = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < end
        time.sleep(0.005)
    time.sleep(pause)


@contextlib.contextmanager
def hub(_: Path) -> Iterator[int]:
    known = {**grants(owners()), ROOT: Grant(("#",), ("#",))}
    hashes = {user: passwords.hash_password(user, salt=bytes(16)) for user in known}
    with running_hub(rights=KnownUsers(known, hashes)) as running:
        yield running.mqtt_port


@contextlib.contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    with market_mosquitto(folder, {**grants(owners()), ROOT: Grant(("#",), ("#",))}) as broker:
        yield broker.port


@contextlib.contextmanager
def market_mosquitto(folder: Path, known: dict[str, Grant]) -> Iterator[Mosquitto]:
    """A mosquitto that includes the files made for it, in a folder of their own."""
    files.write(folder / "rights", mosquitto_accounts(known))
    broker = Mosquitto(folder, more=f"include_dir {folder / 'rights' / 'conf'}")
    (folder / "rights" / "conf").mkdir()
    (folder / "rights" / "conf" / "market.conf").symlink_to(folder / "rights" / "voltagora.conf")
    broker.open()
    try:
        yield broker
    finally:
        broker.close()


def mosquitto_accounts(known: dict[str, Grant]) -> dict[str, Account]:
    return {user: Account(grant, files.mosquitto_hash(user)) for user, grant in known.items()}


BROKERS = [hub, mosquitto]
