"""The hub as a server: opening, closing, users, logs, metrics, `$SYS`, WebSocket and the library's API."""

from __future__ import annotations

import asyncio
import logging
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from hub_line import ALICE, Line, run, subscribe, users_file
from hub_stage import V3, V5, connect, decode, packet, publish, text

import voltagora
from voltagora.hub.errors import HubError, SetupError, StoreError
from voltagora.hub.faults import FaultLog
from voltagora.hub.limits import Limits
from voltagora.hub.options import Options, host_and_port, is_loopback
from voltagora.hub.server import Hub

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
