"""The rights of a market hold on a RabbitMQ that asks our HTTP backend; `make test-rabbit` runs this.

RabbitMQ speaks MQTT 3.1.1: it hangs up on who publishes or subscribes without right.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from market_rights import HEARS_ALL, OWNED, TABLE, owners

from brokers import program
from voltagora.brokers.rabbitmq import QUESTIONS, RabbitRights, RabbitServer
from voltagora.hub.passwords import hash_password
from voltagora.hub.rights import Grant
from voltagora.hub.users import KnownUsers
from voltagora.live import mqtt_packets as packets
from voltagora.live.rights import grants
from voltagora.live.transport import Publication

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
V311 = 4
CONNACK_BYTES = 4
ROOT = "root"
"""Of the test alone: it may do everything."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def rights() -> KnownUsers:
    known = {**grants(owners()), ROOT: Grant(("#",), ("#",))}
    return KnownUsers(known, {user: hash_password(user, salt=bytes(16)) for user in known})


@pytest.fixture(scope="module")
def port(rights: KnownUsers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    if not SERVER.exists():
        pytest.skip("rabbitmq-server is missing: `make test-rabbit` as root installs it")
    folder = tmp_path_factory.mktemp("rabbit")
    with RabbitServer(RabbitRights(rights)) as backend, _rabbit(folder, backend.port) as mqtt:
        yield mqtt


@contextlib.contextmanager
def _rabbit(folder: Path, backend: int) -> Iterator[int]:
    mqtt, amqp = free_port(), free_port()
    url = f"http://127.0.0.1:{backend}/auth"
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = 127.0.0.1:{amqp}\nmqtt.listeners.tcp.1 = 127.0.0.1:{mqtt}\n"
        "mqtt.allow_anonymous = false\nauth_backends.1 = http\n"
        + "".join(f"auth_http.{word}_path = {url}/{word}\n" for word in QUESTIONS)
    )
    (folder / "plugins").write_text("[rabbitmq_mqtt,rabbitmq_auth_backend_http].\n")
    environment = os.environ | {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"market{amqp}@localhost",
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(free_port()),
    }
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(
            [str(SERVER)], env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        until = time.monotonic() + 90
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", mqtt), 1).close()
                break
            assert process.poll() is None, (folder / "out").read_text()
            assert time.monotonic() < until, (folder / "out").read_text()
            time.sleep(0.2)
        yield mqtt
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        _end_port_mapper(environment)
        shutil.rmtree(folder / "data", ignore_errors=True)


def _end_port_mapper(environment: dict[str, str]) -> None:
    """End what outlives the node that started it, once it has noticed that the node is gone."""
    command = [program("epmd"), "-kill"]
    until = time.monotonic() + 20
    while subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL).returncode != 0:
        assert time.monotonic() < until
        time.sleep(0.1)


class Line:
    """A connection that one can hang up on and be hung up on."""

    def __init__(self, port: int, user: str, client: str, *, password: str = "", clean: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.socket.sendall(
            packets.connect(
                V311,
                client,
                user=user,
                password=password or user,
                will=None,
                clean=clean,
                keepalive=0,
                given={},
            )
        )
        # What waited for the session may follow in the same breath.
        self.code = (self._read(CONNACK_BYTES) or b"....")[3]

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def publish(self, topic: str) -> bool:
        """Publish; tell whether it was acknowledged."""
        publication = Publication(number=1, topic=topic, payload=b"secret")
        self.socket.sendall(packets.publish(V311, 1, publication, again=False))
        return self._read()[:1] == b"\x40"

    def subscribe(self, text: str) -> bool:
        """Subscribe; tell whether it was granted."""
        self.socket.sendall(packets.subscribe(V311, 1, [text], only_new=False))
        told = self._read()
        return told[:1] == b"\x90" and told[4] < packets.REFUSED

    def hears(self, seconds: float) -> bytes:
        self.socket.settimeout(seconds)
        try:
            return self._read()
        except TimeoutError:
            return b""

    def _read(self, most: int = 1_024) -> bytes:
        """Give the next bytes; none if the broker hangs up."""
        try:
            return self.socket.recv(most)
        except ConnectionResetError:
            return b""


def _allowed(port: int, wish: Callable[[Line, str], bool]) -> set[tuple[str, str]]:
    """Try every topic as every user: on a line each, as RabbitMQ hangs up on who may not."""

    def tried(user: str, topic: str) -> bool:
        with Line(port, user, f"{user}+{topic.replace('/', '-')}") as line:
            assert line.code == 0
            return wish(line, topic)

    pairs = [(user, topic) for user in OWNED for topic in TABLE]
    with ThreadPoolExecutor(8) as threads:
        answers = threads.map(lambda pair: tried(*pair), pairs)
    return {(topic, user) for (user, topic), answer in zip(pairs, answers, strict=True) if answer}


def test_a_password_is_asked_for(port: int) -> None:
    for password, is_right in (("ev", True), ("wrong", False)):
        with Line(port, "ev", "ev", password=password) as line:
            assert (line.code == 0) == is_right


def test_who_may_publish_where(port: int) -> None:
    allowed = _allowed(port, Line.publish)

    assert allowed == {(topic, user) for topic, (writers, _) in TABLE.items() for user in writers}


def test_who_may_read_what(port: int) -> None:
    allowed = _allowed(port, Line.subscribe)

    assert allowed == {(topic, user) for topic, (_, readers) in TABLE.items() for user in readers | HEARS_ALL}


@pytest.mark.parametrize("text", ["#", "+/+/+", "EV/#", "EV/+/ReservationOutcome", "+/v1/ReservationOutcome"])
def test_greed_is_refused(port: int, text: str) -> None:
    with Line(port, "ev", "ev+greedy") as line:
        assert not line.subscribe(text)


def test_nobody_takes_the_session_of_another(port: int) -> None:
    with Line(port, "ev", "ev+car", clean=False) as line:
        assert line.subscribe("EV/v1/ReservationOutcome")
    with Line(port, ROOT, ROOT) as root:
        assert root.publish("EV/v1/ReservationOutcome")

    for client in ("ev+car", "ev"):
        with Line(port, "ev2", client, clean=False) as thief:
            assert thief.code != 0
    with Line(port, "ev", "ev+car", clean=False) as line:
        assert b"secret" in line.hears(10)
