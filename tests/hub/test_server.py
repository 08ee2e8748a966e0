"""The hub as a server: opening, closing, users, logs, metrics, `$SYS`, WebSocket and the library's API."""

from __future__ import annotations

import asyncio
import logging
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from hub_stage import V3, V5, connect, decode, packet, publish, text
from hypothesis import given
from hypothesis import strategies as st

import voltagora
from voltagora.hub import passwords
from voltagora.hub.errors import HubError, SetupError, StoreError
from voltagora.hub.faults import FaultLog
from voltagora.hub.limits import Limits
from voltagora.hub.logins import Backoff
from voltagora.hub.options import Options, host_and_port, is_loopback
from voltagora.hub.rights import Login
from voltagora.hub.server import Hub
from voltagora.hub.users import Users, parse_users

SECONDS = 10


def run(what: Any) -> Any:
    return asyncio.run(asyncio.wait_for(what, SECONDS))


class Line:
    """A raw client of the loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, version: int) -> None:
        self.reader, self.writer, self.version, self.rest = reader, writer, version, b""
        self.heard: list[Any] = []

    @classmethod
    async def open(cls, port: int, version: int = V5, **options: Any) -> Line:
        line = cls(*await asyncio.open_connection("127.0.0.1", port), version)
        if options.pop("greet", True):
            line.writer.write(connect(version=version, **options))
        return line

    async def next(self, kind: str | None = None) -> Any:
        """Wait for a packet; None when the line ends."""
        while True:
            for each in list(self.heard):
                self.heard.remove(each)
                if kind in (None, each.kind):
                    return each
            data = await self.reader.read(65_536)
            if not data:
                return None
            found, self.rest = decode(self.rest + data, self.version)
            self.heard += found

    def close(self) -> None:
        self.writer.close()


def subscribe(topic: str, qos: int = 1) -> bytes:
    return packet(0x82, b"\0\1\0" + text(topic) + bytes((qos,)))


# Opening and closing.


def test_the_library_gives_the_hub_lazily() -> None:
    assert voltagora.Hub is Hub


def test_a_hub_opens_publishes_and_closes_without_a_socket() -> None:
    async def live() -> list[bytes]:
        async with Hub(mqtt=None) as hub:
            assert (hub.mqtt_port, hub.websocket_port, hub.addresses) == (0, 0, {})
            async with hub.messages("EV/#") as messages:
                hub.publish("EV/1/x", b"1", qos=1)
                hub.publish("EV/2/x", b"2")
                first = await anext(messages)
                second = await anext(messages)
            hub.publish("EV/3/x", b"3", retain=True)
            assert [each.payload for each in hub.last_values("EV/+/x")] == [b"3", b"2", b"1"]
            return [first.payload, second.payload]

    assert run(live()) == [b"1", b"2"]


def test_a_clean_stop_says_goodbye_and_keeps_the_will_for_itself(tmp_path: Path) -> None:
    async def live() -> tuple[Any, list[bytes], float]:
        heard: list[bytes] = []
        async with Hub(mqtt="127.0.0.1:0", data=tmp_path) as hub:
            lines = [
                await Line.open(hub.mqtt_port, client=str(each), will=("w", b"x", 0, False))
                for each in range(50)
            ]
            for line in lines:
                assert (await line.next()).code == 0
            silent = await Line.open(hub.mqtt_port, greet=False)
            hub.subscribe("w", lambda each, _: heard.append(each.payload))
            leaving = time.monotonic()
        took = time.monotonic() - leaving
        goodbye = await lines[0].next()
        for line in (*lines, silent):
            line.close()
        return goodbye, heard, took

    goodbye, heard, took = run(live())
    assert (goodbye.kind, goodbye.code) == ("disconnect", 0x8B)
    assert heard == []
    assert took < 5


def test_an_address_in_use_is_said_and_nothing_stays_open(tmp_path: Path) -> None:
    async def twice() -> None:
        async with Hub(mqtt="127.0.0.1:0") as hub:
            taken = f"127.0.0.1:{hub.mqtt_port}"
            with pytest.raises(
                SetupError, match=r"mqtt: got '127.0.0.1:\d+', must be an address that can be opened"
            ):
                async with Hub(mqtt=taken, data=tmp_path):
                    pass
        async with Hub(mqtt=taken, data=tmp_path):
            with pytest.raises(StoreError, match="another hub"):
                async with Hub(mqtt=None, data=tmp_path):
                    pass

    run(twice())


@pytest.mark.parametrize("address", ["0.0.0.0:0", "192.0.2.1:1883", "[::]:1883", "example.org:1"])
@pytest.mark.parametrize("name", ["mqtt", "websocket", "metrics"])
def test_without_users_only_loopback_addresses_are_taken(name: str, address: str) -> None:
    with pytest.raises(SetupError, match="loopback"):
        Options(**{name: address})


@pytest.mark.parametrize("text", ["1883", "localhost", "a:b", ":1", "::1:1883", "h:65536", "h:-1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SetupError):
        host_and_port("mqtt", text)


def test_addresses() -> None:
    assert host_and_port("mqtt", "[::1]:0") == ("::1", 0)
    assert [is_loopback(host) for host in ("localhost", "127.9.9.9", "::1", "10.0.0.1", "x")] == [
        True
    ] * 3 + [False] * 2


def test_options_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="tls_key"):
        Options(tls_cert=tmp_path / "x")
    with pytest.raises(SetupError, match="tls_cert"):
        Options(tls_cert=tmp_path / "x", tls_key=tmp_path / "y").tls()
    with pytest.raises(TypeError):
        Options(mqqt="127.0.0.1:1")  # type: ignore[call-arg]


# Users.


def users_file(folder: Path, *lines: str, password: str = "right") -> Path:
    path = folder / "users.toml"
    stored = passwords.hash_password(password, bytes(16))
    path.write_text(
        "\n".join(line.replace("HASH", f'password = "{stored}"') for line in lines), encoding="utf-8"
    )
    return path


ALICE = ("[users.alice]", "HASH", 'publish = ["a/#"]', 'subscribe = ["a/#"]')
BOB = ("[users.bob]", "HASH", 'publish = ["#"]', 'subscribe = ["#"]', 'deny = ["a/secret"]')


def login(user: str | None, password: bytes | None) -> Login:
    return Login(user, password, "c", "here")


def test_passwords_are_hashed_and_compared(tmp_path: Path) -> None:
    users = Users(users_file(tmp_path, *ALICE))
    for _ in range(2):
        assert users.may_connect(login("alice", b"right")) == "alice"
        assert users.may_connect(login("alice", b"wrong")) is None
        assert users.may_connect(login("bob", b"right")) is None
        assert users.may_connect(login(None, None)) is None
    assert "right" not in repr(login("alice", b"right"))
    assert passwords.hash_password("x") != passwords.hash_password("x")


@pytest.mark.parametrize(
    ("lines", "field"),
    [
        (["[user.alice]"], "user"),
        (["[users.alice]", "publish = []"], "users.alice.password"),
        (["[users.alice]", 'password = "secret"'], "users.alice.password"),
        (["[users.alice]", "HASH", 'publish = "a"'], "users.alice.publish"),
        (["[users.alice]", "HASH", 'publish = ["a", "a#"]'], r"users.alice.publish\[1\]"),
        (["[users.alice]", "HASH", 'subscribe = ["$share/g/a"]'], r"users.alice.subscribe\[0\]"),
        (["[users.alice]", "HASH", "pubish = []"], "users.alice.pubish"),
        (["users = 1"], "users"),
        (["[users"], "users.toml"),
    ],
)
def test_a_users_file_that_is_wrong_says_where_and_shows_no_secret(
    tmp_path: Path, lines: list[str], field: str
) -> None:
    with pytest.raises(SetupError, match=field) as caught:
        Users(users_file(tmp_path, *lines))
    assert "secret" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_a_users_file_or_an_error_that_says_so(some: str) -> None:
    try:
        parse_users(some)
    except SetupError:
        return


def test_the_users_file_is_read_again_and_acts_at_once(tmp_path: Path) -> None:
    async def live() -> None:
        path = users_file(tmp_path, *ALICE, *BOB)
        async with Hub(mqtt="127.0.0.1:0", users=path) as hub:
            alice = await Line.open(hub.mqtt_port, client="a", user="alice", password=b"right")
            bob = await Line.open(hub.mqtt_port, client="b", user="bob", password=b"right")
            alice.writer.write(subscribe("a/#"))
            assert (await alice.next("suback")).codes == [1]
            assert (await bob.next("connack")).code == 0

            users_file(tmp_path, "nonsense")
            hub.look_at_users()
            hub.publish("a/x", b"1")
            assert (await alice.next("publish")).payload == b"1"

            users_file(tmp_path, "[users.alice]", "HASH", 'publish = ["b"]', 'subscribe = ["b"]')
            hub.look_at_users()
            hub.publish("a/x", b"2")
            alice.writer.write(subscribe("b") + subscribe("a/#"))
            assert [(await alice.next("suback")).codes for _ in range(2)] == [[1], [0x87]]
            hub.publish("b", b"3")
            assert (await alice.next("publish")).payload == b"3"
            goodbye = await bob.next()
            assert (goodbye.kind, goodbye.code) == ("disconnect", 0x87)
            alice.close()
            bob.close()

    run(live())


def test_guessing_passwords_is_slowed_and_the_answers_tell_nothing(tmp_path: Path) -> None:
    async def live() -> list[tuple[str, int]]:
        asked: list[Login] = []

        class Counted(Users):
            def may_connect(self, login: Login) -> str | None:
                asked.append(login)
                return super().may_connect(login)

        async with Hub(mqtt="127.0.0.1:0", rights=Counted(users_file(tmp_path, *ALICE))) as hub:
            answers = []
            for user in ["alice", "nobody"] * 20:
                line = await Line.open(hub.mqtt_port, user=user, password=b"guess")
                answer = await line.next()
                answers.append((answer.kind, answer.code))
                line.close()
            assert len(asked) < 20
            return answers

    assert set(run(live())) == {("connack", 0x86)}


def test_the_wait_after_wrong_passwords_grows_and_ends() -> None:
    backoff = Backoff()
    now, waits = 0.0, []
    for _ in range(12):
        began = now
        while not backoff.may_try("1.2.3.4", "alice", now):
            now += 0.5
        waits.append(now - began)
        backoff.failed("1.2.3.4", "alice", now)
    assert waits[:6] == [0.0] * 6
    assert waits[6:] == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0]
    assert backoff.may_try("5.6.7.8", "alice", now)
    assert backoff.may_try("1.2.3.4", "bob", now)
    backoff.succeeded("1.2.3.4", "alice")
    assert backoff.may_try("1.2.3.4", "alice", now)


# Logs, metrics, `$SYS`.


def test_a_fault_is_logged_once_per_client_and_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    log = FaultLog(lambda: now[0])
    with caplog.at_level(logging.INFO, "voltagora.hub"):
        for number in range(5):
            log("fault", what="bad", detail=number, user="u", client="c\nforged line")
        log("fault", what="bad", user="u", client="other")
        now[0] = 61.0
        log("fault", what="bad", user="u", client="c\nforged line")
    assert len(caplog.records) == 3
    assert "repeated=4" in caplog.records[-1].getMessage()
    assert all("\n" not in record.getMessage() for record in caplog.records)


def test_no_payload_and_no_password_is_ever_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def live() -> None:
        async with Hub(
            mqtt="127.0.0.1:0", websocket="127.0.0.1:0", users=users_file(tmp_path, *ALICE)
        ) as hub:
            for password, said in (
                (b"right", publish("forbidden", b"canary", 1, 1)),
                (b"right", packet(0x36, text("a") + b"canary")),
                (b"canary", b""),
            ):
                line = await Line.open(hub.mqtt_port, user="alice", password=password)
                line.writer.write(said)
                await line.next("connack")
                await line.next()
                line.close()

    with caplog.at_level(logging.DEBUG):
        run(live())
    assert "not authorized" in caplog.text
    assert "canary" not in caplog.text


def test_metrics_and_sys_topics_tell_what_was_counted() -> None:
    async def live() -> str:
        async with Hub(mqtt="127.0.0.1:0", metrics="127.0.0.1:0") as hub:
            line = await Line.open(hub.mqtt_port)
            line.writer.write(subscribe("$SYS/#") + publish("a", b"x", 1, 1))
            await line.next("puback")
            names = {each.topic.name for each in hub.last_values("$SYS/#")}
            assert {"$SYS/broker/clients/connected", "$SYS/broker/uptime"} <= names
            address = hub.addresses["metrics"]
            text = await asyncio.to_thread(lambda: urllib.request.urlopen(address).read().decode())
            line.close()
            return str(text)

    text = run(live())
    assert "hub_connected 1.0" in text
    assert 'hub_published_total{qos="1"} 1.0' in text


# WebSocket.


async def _websocket(port: int, origin: str | None = None, subprotocol: str = "mqtt") -> Any:
    from websockets.asyncio.client import connect as open_websocket
    from websockets.typing import Origin, Subprotocol

    return await open_websocket(
        f"ws://127.0.0.1:{port}/anything",
        subprotocols=[Subprotocol(subprotocol)],
        origin=None if origin is None else Origin(origin),
        proxy=None,
    )


def test_websocket_frames_may_split_packets_anywhere() -> None:
    async def live() -> None:
        async with Hub(mqtt=None, websocket="127.0.0.1:0") as hub:
            socket = await _websocket(hub.websocket_port)
            assert socket.subprotocol == "mqtt"
            said = connect() + subscribe("a") + publish("a", b"x" * 300, 1, 1)
            for at in range(0, len(said), 7):
                await socket.send(said[at : at + 7])
            heard: list[Any] = []
            rest = b""
            while len(heard) < 4:
                found, rest = decode(rest + await socket.recv(), V5)
                heard += found
            assert [each.kind for each in heard] == ["connack", "suback", "publish", "puback"]
            await socket.close()

    run(live())


def test_a_text_frame_ends_a_websocket() -> None:
    async def live() -> int | None:
        async with Hub(mqtt=None, websocket="127.0.0.1:0") as hub:
            socket = await _websocket(hub.websocket_port)
            await socket.send("text")
            await socket.wait_closed()
            assert hub.broker.figures()["half_open"] == 0
            return int(socket.close_code)

    assert run(live()) == 1003


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("http://127.0.0.1:8000", True),
        ("https://known.example", True),
        ("https://evil.example", False),
        ("null", False),
        ("http://127.0.0.1.evil.example", False),
    ],
)
def test_pages_of_foreign_origins_cannot_connect(origin: str | None, allowed: bool) -> None:
    from websockets.exceptions import InvalidStatus

    async def live() -> None:
        async with Hub(mqtt=None, websocket="127.0.0.1:0", origins=("https://known.example",)) as hub:
            if allowed:
                await (await _websocket(hub.websocket_port, origin)).close()
            else:
                with pytest.raises(InvalidStatus, match="403"):
                    await _websocket(hub.websocket_port, origin)

    run(live())


def test_what_is_no_websocket_is_closed() -> None:
    async def live() -> bytes:
        async with Hub(mqtt=None, websocket="127.0.0.1:0") as hub:
            reader, writer = await asyncio.open_connection("127.0.0.1", hub.websocket_port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            data = await reader.read()
            writer.close()
            assert hub.broker.figures()["half_open"] == 0
            return data

    assert run(live()).startswith(b"HTTP/1.1 426")


# Slow readers over real sockets.


def test_a_subscriber_that_never_reads_is_bounded_and_others_are_served() -> None:
    async def live() -> None:
        limits = Limits(queued_messages=2_000, queued_qos0=100)
        async with Hub(mqtt="127.0.0.1:0", limits=limits) as hub:
            deaf = await Line.open(hub.mqtt_port, client="deaf")
            deaf.writer.write(subscribe("a", 0))
            ear = await Line.open(hub.mqtt_port, client="ear")
            ear.writer.write(subscribe("a", 1))
            await deaf.next("suback")
            await ear.next("suback")
            deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
            for number in range(3_000):
                hub.publish("a", number.to_bytes(4, "big") + bytes(5_000), qos=1)
                heard = await ear.next("publish")
                assert int.from_bytes(heard.payload[:4], "big") == number
                ear.writer.write(b"\x40\x02" + heard.packet.to_bytes(2, "big"))
            session = hub.broker.sessions.find("operator", "deaf")
            assert session is not None
            assert len(session.waiting0) == 100
            assert hub.broker.counters.dropped["slow reader"] > 0
            deaf.close()
            ear.close()

    run(live())


def test_errors_of_the_hub_are_one_tree() -> None:
    assert issubclass(SetupError, HubError)
    assert issubclass(StoreError, HubError)
    assert V3 != V5
