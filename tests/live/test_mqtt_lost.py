"""The transport when brokers die, forget or fall silent, and when we do."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mqtt_stage import (
    SECONDS,
    Ear,
    HubProcess,
    MosquittoProcess,
    Proxy,
    at,
    connack,
    joined,
    mosquitto,
    say,
    settled,
    until,
)

from brokers import running_hub
from voltagora.live import mqtt
from voltagora.live.mqtt import MqttTransport


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits half a minute in a test."""
    monkeypatch.setattr(mqtt, "LONGEST_PAUSE_SECONDS", 0.3)


@pytest.fixture(params=["hub", "mosquitto"])
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    if request.param == "hub":
        with running_hub() as hub:
            yield hub.port
    else:
        with mosquitto(tmp_path) as found:
            yield found.port


@pytest.fixture(params=[5, 4], ids=["v5", "v311"])
def version(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


def numbers(ear: Ear) -> list[int]:
    return [int(payload) for payload in ear.payloads]


def test_killing_the_hub_loses_nothing(tmp_path: Path) -> None:
    many, kills = 6_000, 3

    async def scene(hub: HubProcess) -> None:
        async with joined(hub.port, "in", "a/#") as (_, ear), joined(hub.port, "out") as (out, mouth):
            for kill in range(kills + 1):
                for number in range(kill * many, (kill + 1) * many):
                    say(out, number)
                if kill < kills:
                    taken = kill * many + many // 3
                    await until(lambda taken=taken: len(mouth.taken_numbers) > taken)
                    hub.kill()
                    hub.open()
            await settled(out)
            everything = set(range(many * (kills + 1)))
            await until(lambda: everything <= set(numbers(ear)))
            assert set(mouth.taken_numbers) == everything
            assert len(mouth.losses) >= kills

    hub = HubProcess(tmp_path).open()
    try:
        asyncio.run(scene(hub))
    finally:
        hub.close()


def test_a_mosquitto_that_forgot_us_is_told_again(tmp_path: Path, version: int) -> None:
    async def scene(broker: MosquittoProcess) -> None:
        async with (
            joined(broker.port, "in", "a/#", version=version) as (_, ear),
            joined(broker.port, "out", version=version) as (out, mouth),
        ):
            for kill in range(3):
                for number in range(kill * 100, kill * 100 + 100):
                    say(out, number)
                broker.kill()
                for number in range(1_000 + kill * 100, 1_000 + kill * 100 + 100):
                    say(out, number)
                await asyncio.sleep(0.05)
                broker.open()
                await until(lambda kill=kill: len(ear.connections) == kill + 2)
                await settled(out)
            assert set(mouth.taken_numbers) == {*range(300), *range(1_000, 1_300)}
            assert not any(present for present, _ in ear.connections)
            say(out, 5_000)
            await until(lambda: ear.arrivals and numbers(ear)[-1] == 5_000)

    with mosquitto(tmp_path) as broker:
        asyncio.run(scene(broker))


def test_a_line_that_is_cut_loses_nothing_and_keeps_the_order(port: int, version: int) -> None:
    async def scene() -> None:
        async with (
            Proxy(port) as proxy,
            joined(proxy.port, "in", "a/#", version=version) as (_, ear),
            joined(proxy.port, "out", version=version) as (out, mouth),
        ):
            for number in range(5_000):
                say(out, number)
            for cut in range(5):
                await until(lambda cut=cut: len(ear.arrivals) > 500 * (cut + 1))
                proxy.cut()
            await settled(out)
            await until(lambda: set(numbers(ear)) == set(range(5_000)))
            first = list(dict.fromkeys(numbers(ear)))
            assert first == sorted(first), "each comes first after all that were said before it"
            assert set(mouth.taken_numbers) == set(range(5_000))

    asyncio.run(scene())


def test_a_broker_that_falls_silent_is_noticed_and_a_quiet_one_kept(port: int) -> None:
    async def silent(version: int) -> None:
        async with Proxy(port) as proxy:
            options = {"version": version, "keepalive_seconds": 1}
            async with joined(proxy.port, f"silent{version}", "a/#", **options) as (transport, ear):
                proxy.is_silent = True
                say(transport, 1)
                await until(lambda: ear.losses)
                assert "nothing was heard" in ear.losses[0]
                proxy.is_silent = False
                await until(lambda: ear.payloads)
                await settled(transport)
                assert ear.taken_numbers == [1]

    async def quiet(version: int) -> None:
        async with joined(port, f"quiet{version}", version=version, keepalive_seconds=1) as (_, ear):
            await asyncio.sleep(2.0)
            assert not ear.losses

    async def scene() -> None:
        await asyncio.gather(silent(5), silent(4), quiet(5), quiet(4))

    asyncio.run(scene())


def test_closing_does_not_wait_for_a_broker_that_is_silent(port: int) -> None:
    async def scene() -> None:
        async with Proxy(port) as proxy:
            async with joined(proxy.port, "x") as (transport, _):
                proxy.is_silent = True
                say(transport, 1, payload=bytes(100_000))
                await asyncio.wait_for(transport.close(), SECONDS)
            proxy.is_refusing = True
            async with Proxy(port) as other, joined(other.port, "y") as (transport, ear):
                other.is_refusing = True
                other.cut()
                await until(lambda: ear.losses)
                await asyncio.wait_for(transport.close(), SECONDS)
        await asyncio.sleep(0.01)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scene())


def test_closing_does_not_wait_for_a_broker_that_reads_no_more() -> None:
    async def scene() -> None:
        ended = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(65_536)
            writer.write(connack())
            await ended.wait()
            writer.transport.abort()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server, joined(server.sockets[0].getsockname()[1], "x") as (transport, _):
            for number in range(100):
                say(transport, number, payload=bytes(1_000_000))
            await asyncio.sleep(0.1)
            await asyncio.wait_for(transport.close(), SECONDS / 2)
            assert transport.waiting == 100
            ended.set()
        await asyncio.sleep(0.01)

    asyncio.run(scene())


def test_who_begins_before_the_broker_waits_for_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        broker = MosquittoProcess(tmp_path)
        transport, ear = MqttTransport(at(broker.port), client_id="x"), Ear()
        say(transport, 1)
        opening = asyncio.create_task(transport.open(ear))
        await asyncio.sleep(0.5)
        broker.open()
        try:
            await opening
            await settled(transport)
            await transport.close()
        finally:
            broker.close()
        assert ear.taken_numbers == [1]
        assert caplog.text.count("cannot be reached") == 1

    with caplog.at_level(logging.WARNING):
        asyncio.run(scene())


_LEAVES = """
import asyncio, sys
port, version, *sys.path[1:1] = sys.argv[1:]
from mqtt_stage import joined
async def main():
    async with joined(int(port), "leaver", will=("presence/x", b"offline"), version=int(version)):
        print("open", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
asyncio.run(main())
"""


@pytest.mark.parametrize("killed", [True, False])
def test_a_will_is_published_for_who_is_killed_and_not_for_who_leaves(
    port: int, version: int, killed: bool
) -> None:
    async def scene() -> None:
        async with joined(port, "in", "presence/#", "end") as (transport, ear):
            stages = [path for path in sys.path if path.endswith("stage")]
            command = [sys.executable, "-c", _LEAVES, str(port), str(version), *stages]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                assert process.stdin is not None
                await asyncio.to_thread(process.stdout.readline)
                if killed:
                    process.send_signal(signal.SIGKILL)
                else:
                    process.stdin.write(b"\n")
                    process.stdin.flush()
                await asyncio.to_thread(process.wait)
            if killed:
                await until(lambda: ear.arrivals)
                assert ear.payloads == [b"offline"]
            else:
                say(transport, 1, "end")
                await until(lambda: ear.arrivals)
                assert ear.payloads == [b"1"]
        async with joined(port, "later", "presence/#") as (_, ear):
            if killed:
                await until(lambda: ear.arrivals)
                assert ear.arrivals[0].retained

    asyncio.run(scene())
