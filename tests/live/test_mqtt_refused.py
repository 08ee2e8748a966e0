"""The transport when a broker says no, not now, or nonsense, and what stands in the packets."""

from __future__ import annotations

import asyncio
import logging
import subprocess
from pathlib import Path

import pytest
from mqtt_stage import (
    SECONDS,
    Ear,
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
from voltagora.hub.limits import Limits
from voltagora.live import mqtt
from voltagora.live.mqtt import MqttTransport

PUBACK = b"\x40\x02"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits half a minute in a test."""
    monkeypatch.setattr(mqtt, "LONGEST_PAUSE_SECONDS", 0.3)


@pytest.fixture(params=[5, 4], ids=["v5", "v311"])
def version(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


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


def test_a_second_loss_amid_the_repeats_changes_neither_order_nor_identifiers() -> None:
    def answer(first: int, body: bytes) -> bytes:
        return b"\x90\x04" + body[:2] + b"\x00\x01" if first == 0x82 else b""

    def published(packets: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        return [(identifier(body), body[-1:]) for first, body in packets if first & 0xF0 == 0x30]

    async def scene() -> None:
        few = connack(present=True, given=b"\x21\x00\x02")
        async with (
            Scripted(connack(), few, connack(present=True)) as broker,
            joined(broker.port, "x") as (transport, ear),
        ):
            broker.answer = answer
            for number in range(5):
                say(transport, number)
            await until(lambda: len(published(broker.packets[0])) == 5)
            said = published(broker.packets[0])
            transport.subscribe(["a"])
            broker.cut()
            await until(lambda: len(broker.packets) == 2 and len(published(broker.packets[1])) == 2)
            broker.cut()
            await until(lambda: len(broker.packets) == 3 and len(published(broker.packets[2])) == 5)
            assert published(broker.packets[1]) == said[:2]
            assert published(broker.packets[2]) == said
            for packets in broker.packets[1:]:
                asked = {int.from_bytes(body[:2], "big") for first, body in packets if first == 0x82}
                assert asked
                assert not asked & {packet for packet, _ in said}, "an identifier that is in use"
            assert len(ear.losses) == 2

    asyncio.run(scene())


def test_connected_means_that_filters_added_meanwhile_are_subscribed_too() -> None:
    async def scene() -> None:
        transport, answered = MqttTransport(at(1), client_id="x"), []

        def answer(first: int, body: bytes) -> bytes:
            if first != 0x82:
                return b""
            answered.append(body)
            transport.subscribe(["late"])
            return b"\x90\x04" + body[:2] + b"\x00\x01"

        class Counting(Ear):
            def connected(self, *, session_present: bool, stamps: bool | None) -> None:
                super().connected(session_present=session_present, stamps=stamps)
                assert len(answered) == 2

        async with Scripted(connack()) as broker:
            broker.answer = answer
            transport.url = at(broker.port)
            transport.subscribe(["early"])
            await transport.open(Counting())
            await transport.close()

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


def test_a_quota_of_retained_messages_stands_in_nobodys_way() -> None:
    """More than the window holds are refused; what is not retained goes on, and all are kept in order."""
    many = 1_200

    async def scene(port: int) -> None:
        async with joined(port, "out") as (transport, ear):
            for number in range(many):
                say(transport, number, f"kept/{number}", retain=True)
            for number in range(many, many + 10):
                say(transport, number)
            await until(lambda: len(ear.taken_numbers) == 10)
            await asyncio.sleep(0.5)
            assert ear.taken_numbers == [*range(many, many + 10)]
            assert transport.waiting == many
            assert not ear.refusals
            await transport.close()
            waiting = [publication.number for _, publication in transport._again]
            waiting += [each.number for each in transport._full[True].take()]
            waiting += [publication.number for publication in transport._queue]
            assert sorted(waiting) == list(range(many))

    with running_hub(limits=Limits(retained=0)) as hub:
        asyncio.run(scene(hub.port))


def test_what_a_full_broker_sent_back_keeps_its_order() -> None:
    sent: list[int] = []

    async def scene() -> None:
        def answer(first: int, body: bytes) -> bytes:
            if first & 0xF0 != 0x30:
                return b""
            packet = identifier(body).to_bytes(2, "big")
            if not is_open:
                return b"\x40\x03" + packet + b"\x97"
            sent.append(int(body[-3:]))
            return PUBACK + packet

        is_open: list[bool] = []
        async with Scripted(connack()) as broker, joined(broker.port, "x", window=7) as (transport, _):
            broker.answer = answer
            for number in range(100, 300):
                say(transport, number, retain=True)
            await asyncio.sleep(0.6)
            is_open.append(True)
            await settled(transport)
        assert sent == list(range(100, 300))

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
