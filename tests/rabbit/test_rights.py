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
from collections.abc import Iterator
from pathlib import Path

import pytest
from market_rights import HEARS_ALL, OWNED, TABLE, owners

from voltagora.brokers.rabbitmq import RabbitRights, RabbitServer
from voltagora.hub.passwords import hash_password
from voltagora.hub.users import KnownUsers
from voltagora.live import mqtt_packets as packets
from voltagora.live.rights import grants
from voltagora.live.transport import Publication

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
V311 = 4
QUESTIONS = ("user", "vhost", "resource", "topic")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    if not SERVER.exists():
        pytest.skip("rabbitmq-server is missing: `make test-rabbit` as root installs it")
    folder = tmp_path_factory.mktemp("rabbit")
    known = KnownUsers(grants(owners()), {user: hash_password(user, salt=bytes(16)) for user in OWNED})
    with RabbitServer(RabbitRights(known)) as backend, _rabbit(folder, backend.port) as mqtt:
        yield mqtt


@contextlib.contextmanager
def _rabbit(folder: Path, backend: int) -> Iterator[int]:
    mqtt, amqp = free_port(), free_port()
    url = f"http://127.0.0.1:{backend}/auth"
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = 127.0.0.1:{amqp}\nmqtt.listeners.tcp.1 = 127.0.0.1:{mqtt}\n"
        "mqtt.allow_anonymous = false\nauth_backends.1 = http\n"
        + "".join(
            f"auth_http.{word}_path = {url}/{word}\n" for word in ("user", "vhost", "resource", "topic")
        )
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
        shutil.rmtree(folder / "data", ignore_errors=True)


def _admitted(port: int, user: str, password: str) -> tuple[socket.socket, int]:
    line = socket.create_connection(("127.0.0.1", port), 10)
    line.sendall(
        packets.connect(
            V311, f"of-{user}", user=user, password=password, will=None, clean=True, keepalive=0, given={}
        )
    )
    return line, line.recv(4)[3]


def _is_answered(line: socket.socket, words: bytes) -> bytes:
    """Say something; give the answer, empty if the broker hangs up."""
    line.settimeout(10)
    line.sendall(words)
    try:
        return line.recv(64)
    except ConnectionResetError:
        return b""


def test_a_password_is_asked_for(port: int) -> None:
    for password, code in (("ev", 0), ("wrong", 4)):
        line, got = _admitted(port, "ev", password)
        line.close()
        assert got in (code, 5 if code else 0)


def test_who_may_publish_where(port: int) -> None:
    allowed = set()
    for user in OWNED:
        for topic in TABLE:
            line, code = _admitted(port, user, user)
            assert code == 0
            publication = Publication(number=1, topic=topic, payload=b"x")
            with line:
                if _is_answered(line, packets.publish(V311, 1, publication, again=False))[:1] == b"\x40":
                    allowed.add((topic, user))

    assert allowed == {(topic, user) for topic, (writers, _) in TABLE.items() for user in writers}


def test_who_may_read_what(port: int) -> None:
    allowed = set()
    for user in OWNED:
        for topic in TABLE:
            line, code = _admitted(port, user, user)
            assert code == 0
            with line:
                told = _is_answered(line, packets.subscribe(V311, 1, [topic], only_new=False))
                if told[:1] == b"\x90" and told[-1] < packets.REFUSED:
                    allowed.add((topic, user))

    assert allowed == {(topic, user) for topic, (_, readers) in TABLE.items() for user in readers | HEARS_ALL}
