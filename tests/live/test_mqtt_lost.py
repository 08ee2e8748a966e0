"""The transport when brokers die, forget, fall silent, are full, or say no."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from mqtt_stage import (
    SECONDS,
    Authority,
    Ear,
    HubProcess,
    MosquittoProcess,
    Proxy,
    Scripted,
    at,
    connack,
    identifier,
    joined,
    mosquitto,
    program,
    say,
    settled,
    until,
)
from users import users_file

from brokers import running_hub
from voltagora.domain.errors import VoltAgoraError
from voltagora.live import mqtt
from voltagora.live.broker_url import BrokerUrl, Tls
from voltagora.live.mqtt import MqttTransport

PUBACK = b"\x40\x02"


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


# Death and return.


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


# Who says no.


@pytest.mark.parametrize("who", ["alice:hunter2", "mallory:secret"])
def test_a_wrong_password_is_refused_in_words_and_not_tried_again(
    tmp_path: Path, version: int, who: str
) -> None:
    async def scene(port: int) -> None:
        transport = MqttTransport(at(port, f"{who}@"), client_id="x", version=version)
        with pytest.raises(
            VoltAgoraError, match=r"does not let us in: (wrong user or password|no right)"
        ) as caught:
            await asyncio.wait_for(transport.open(Ear()), SECONDS)
        assert who.partition(":")[2] not in str(caught.value)

    with running_hub(users=users_file(tmp_path, alice="secret")) as hub:
        asyncio.run(scene(hub.port))
    file = tmp_path / "passwords"
    file.touch(0o600)
    command = [program("mosquitto_passwd"), "-b", str(file), "alice", "secret"]
    subprocess.run(command, check=True, capture_output=True)
    with mosquitto(tmp_path, f"password_file {file}\nallow_anonymous false") as broker:
        asyncio.run(scene(broker.port))


def test_who_was_let_in_once_is_patient_and_says_it_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        users_file(tmp_path, alice="secret")
        with running_hub(users=tmp_path / "users.toml") as hub:
            async with joined(at(hub.port, "alice:secret@"), "x", "a/#") as (transport, ear):
                users_file(tmp_path, alice="other")
                await until(lambda: "still no connection" in caplog.text)
                say(transport, 1)
                users_file(tmp_path, alice="secret")
                await until(lambda: ear.payloads)
                await settled(transport)
        assert caplog.text.count("wrong user or password") == 1

    with caplog.at_level(logging.WARNING, "voltagora.live"):
        asyncio.run(scene())


@pytest.mark.parametrize("refusal", [connack(1, version=4), connack(1), connack(0x84)])
def test_a_broker_that_does_not_know_mqtt_5_is_spoken_to_in_3_1_1(refusal: bytes) -> None:
    async def scene() -> None:
        async with Scripted(refusal, connack(version=4)) as broker, joined(broker.port, "x") as (_, ear):
            assert ear.connections == [(False, False)]
            assert [packets[0][1][6] for packets in broker.packets] == [5, 4]

    asyncio.run(scene())


def test_a_broker_that_is_only_busy_is_tried_again() -> None:
    async def scene() -> None:
        async with (
            Scripted(connack(0x89), connack(0x97), connack()) as broker,
            joined(broker.port, "x") as (_, ear),
        ):
            assert len(broker.packets) == 3
            assert len(ear.connections) == 1

    asyncio.run(scene())


# What stands in the packets.


@pytest.mark.parametrize("present", [True, False])
def test_what_was_not_acknowledged_is_sent_again_as_a_repeat_with_its_identifier(present: bool) -> None:
    async def scene() -> None:
        async with (
            Scripted(connack(), connack(present=present)) as broker,
            joined(broker.port, "x") as (transport, ear),
        ):
            for number in range(5):
                say(transport, number)
            await until(lambda: len(broker.packets[0]) == 6)
            before = broker.packets[0][1:]
            broker.cut()
            await until(lambda: ear.losses)
            say(transport, 5)
            await until(lambda: len(broker.packets) == 2 and len(broker.packets[1]) == 7)
            again = broker.packets[1][1:6]
            assert [body for _, body in again] == [body for _, body in before]
            assert [first for first, _ in before] == [0x32] * 5
            assert [first for first, _ in again] == [0x3A] * 5
            new = broker.packets[1][6]
            assert new[0] == 0x32
            assert identifier(new[1]) not in {identifier(body) for _, body in before}
            assert not ear.taken_numbers

    asyncio.run(scene())


def test_no_more_is_under_way_than_the_broker_wants() -> None:
    async def scene() -> None:
        async with (
            Scripted(connack(given=b"\x21\x00\x03")) as broker,
            joined(broker.port, "x") as (transport, _),
        ):
            for number in range(10):
                say(transport, number)
            await asyncio.sleep(0.1)
            assert len(broker.packets[0]) == 1 + 3
            broker.answer = lambda first, body: PUBACK + identifier(body).to_bytes(2, "big")
            broker.cut()
            await settled(transport)

    asyncio.run(scene())


def test_a_broker_that_is_full_is_given_it_again_until_it_takes_it(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        tries: list[int] = []

        def answer(first: int, body: bytes) -> bytes:
            if first & 0xF0 != 0x30:
                return b""
            tries.append(int(body[-1:]))
            full = len(tries) <= 6
            head = b"\x40\x03" if full else PUBACK
            return head + identifier(body).to_bytes(2, "big") + (b"\x97" if full else b"")

        async with Scripted(connack()) as broker:
            broker.answer = answer
            async with joined(broker.port, "x") as (transport, ear):
                for number in range(3):
                    say(transport, number)
                await settled(transport)
                assert ear.taken_numbers == [0, 1, 2]
                assert tries == [0, 1, 2] * 3
                assert not ear.refusals
                assert not ear.losses
        assert caplog.text.count("is full") == 1

    with caplog.at_level(logging.WARNING):
        asyncio.run(scene())


def test_a_broker_that_wants_to_hear_of_us_more_often_does() -> None:
    async def scene() -> None:
        async with Scripted(connack(given=b"\x13\x00\x01")) as broker, joined(broker.port, "x"):
            await until(lambda: (0xC0, b"") in broker.packets[0], 5)

    asyncio.run(scene())


@pytest.mark.parametrize(
    "nonsense", [b"\x30\xff\xff\xff\xff", b"\x40\x00", b"\x90\x01\x00", b"\x32\x03\x00\x05a"]
)
def test_a_broker_that_breaks_the_protocol_is_left_and_joined_again(nonsense: bytes) -> None:
    async def scene() -> None:
        async with Scripted(connack()) as broker:
            broker.answer = lambda first, _: nonsense if first == 0x32 and len(broker.packets) == 1 else b""
            async with joined(broker.port, "x") as (transport, ear):
                say(transport, 1)
                await until(lambda: len(ear.connections) == 2)
                assert "broke the protocol" in ear.losses[0]

    asyncio.run(scene())


def test_two_with_one_client_id_do_not_fight_at_full_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "LONGEST_PAUSE_SECONDS", 30.0)

    async def scene() -> None:
        with running_hub() as hub:
            async with joined(hub.port, "same") as (_, one), joined(hub.port, "same") as (_, two):
                await asyncio.sleep(1.5)
            assert "session taken over" in one.losses[0]
            assert len(one.losses + two.losses) < 16

    asyncio.run(scene())


# TLS.


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("strange"), "stranger")


async def _round(port: int, tls: Tls, version: int = 5) -> Ear:
    async with joined(at(port, scheme="mqtts", tls=tls), "x", "a/#", version=version) as (transport, ear):
        for number in range(300):
            say(transport, number)
        await until(lambda: len(ear.arrivals) == 300)
    return ear


@contextlib.contextmanager
def _secured(kind: str, folder: Path, authority: Authority, more: str = "") -> Iterator[int]:
    cert, key = authority.certify("broker")
    if kind == "hub":
        with running_hub(tls_cert=cert, tls_key=key) as hub:
            yield hub.port
    else:
        # The listener line comes first; what follows here is of the same listener.
        lines = f"cafile {authority.ca}\ncertfile {cert}\nkeyfile {key}\n{more}"
        with mosquitto(folder, lines) as broker:
            yield broker.port


@pytest.mark.parametrize("kind", ["hub", "mosquitto"])
def test_a_broker_with_a_certificate_is_trusted_by_its_authority_only(
    kind: str, tmp_path: Path, authority: Authority, stranger: Authority, version: int
) -> None:
    with _secured(kind, tmp_path, authority) as port:
        asyncio.run(_round(port, Tls(ca=authority.ca), version))
        for tls in (Tls(ca=stranger.ca), Tls()):
            with pytest.raises(VoltAgoraError, match=r"no secure connection: .*certificate verify failed"):
                asyncio.run(asyncio.wait_for(_round(port, tls, version), SECONDS))


def test_a_certificate_for_another_host_is_not_taken(tmp_path: Path, authority: Authority) -> None:
    with _secured("mosquitto", tmp_path, authority) as port:
        url = BrokerUrl.parse(f"mqtts://127.0.0.2:{port}", tls=Tls(ca=authority.ca))

        async def scene() -> None:
            # Who is led to it under a name that its certificate does not bear must not stay.
            async with Proxy(port, "127.0.0.2") as proxy:
                misled = msgspec.structs.replace(url, port=proxy.port)
                with pytest.raises(
                    VoltAgoraError, match=r"no secure connection: .*not valid for '127\.0\.0\.2'"
                ):
                    await asyncio.wait_for(MqttTransport(misled, client_id="x").open(Ear()), SECONDS)

        asyncio.run(scene())


def test_a_client_can_show_a_certificate_and_is_refused_without(
    tmp_path: Path, authority: Authority, stranger: Authority
) -> None:
    cert, key = authority.certify("me")
    false_cert, false_key = stranger.certify("me")
    with _secured("mosquitto", tmp_path, authority, "require_certificate true") as port:
        asyncio.run(_round(port, Tls(ca=authority.ca, cert=cert, key=key)))
        for tls in (Tls(ca=authority.ca), Tls(ca=authority.ca, cert=false_cert, key=false_key)):
            with pytest.raises(VoltAgoraError, match="no secure connection"):
                asyncio.run(asyncio.wait_for(_round(port, tls), SECONDS))


def test_secrets_are_never_sent_to_a_broker_without_tls_in_its_place() -> None:
    async def scene() -> None:
        seen: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await reader.read(65_536))
            writer.write(connack())
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            url = at(server.sockets[0].getsockname()[1], "me:hunter2@", "mqtts")
            with pytest.raises(VoltAgoraError, match="no secure connection"):
                await asyncio.wait_for(MqttTransport(url, client_id="x").open(Ear()), SECONDS)
        await asyncio.sleep(0.01)
        assert seen
        assert b"hunter2" not in b"".join(seen)

    asyncio.run(scene())
