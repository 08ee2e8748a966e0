"""The transport on the hub and on mosquitto, MQTT 5 and 3.1.1: what it promises while all is well."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from mqtt_stage import Ear, at, joined, mosquitto, say, settled, until
from users import users_file

from brokers import Mosquitto, RunningHub, running_hub
from voltagora.domain.errors import InputError, RunError, VoltAgoraError
from voltagora.hub.limits import Limits
from voltagora.hub.rights import Grant, Login, Table
from voltagora.live.mqtt import MqttTransport
from voltagora.live.transport import Publication

Broker = RunningHub | Mosquitto


@pytest.fixture(params=["hub", "mosquitto"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    if request.param == "hub":
        with running_hub(limits=Limits(subscriptions_per_session=50_000)) as hub:
            yield hub
    else:
        with mosquitto(tmp_path) as found:
            yield found


@pytest.fixture(params=[5, 4], ids=["v5", "v311"])
def version(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


def test_all_that_is_published_arrives_in_order_and_is_taken(broker: Broker, version: int) -> None:
    async def scene() -> None:
        async with (
            joined(broker.port, "in", "a/#", version=version) as (_, ear),
            joined(broker.port, "out", version=version) as (out, mouth),
        ):
            for number in range(3_000):
                say(out, number)
            await settled(out)
            assert sorted(mouth.taken_numbers) == list(range(3_000))
            await until(lambda: len(ear.arrivals) >= 3_000)
            assert ear.payloads == [str(number).encode() for number in range(3_000)]
            assert len(ear.batches) < 1_500, "what comes in one piece is one batch"

    asyncio.run(scene())


def test_what_could_not_be_saved_is_not_acknowledged_and_comes_again(
    broker: Broker, version: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        ear = Ear()
        failures = iter([RunError("the disk is full")] * 3)
        ear.fails = lambda arrivals: next(failures, None) if arrivals else None
        async with (
            joined(broker.port, "in", "a/#", ear=ear, version=version),
            joined(broker.port, "out", version=version) as (out, _),
        ):
            say(out, 1)
            await until(lambda: ear.payloads)
            assert [arrival.redelivered for arrival in ear.arrivals] == [True]
            say(out, 2)
            await until(lambda: len(ear.payloads) == 2)
        assert ear.payloads == [b"1", b"2"]
        assert next(failures, None) is None, "it was offered each time"
        assert ear.connections[0][0] is False
        assert all(present for present, _ in ear.connections[1:])
        assert len(ear.losses) == len(ear.connections) - 1
        assert caplog.text.count("the disk is full") == 1

    with caplog.at_level(logging.WARNING):
        asyncio.run(scene())


def test_what_is_said_while_we_are_away_waits_for_us(broker: Broker, version: int) -> None:
    async def scene() -> None:
        async with joined(broker.port, "in", "a/#", version=version):
            pass
        async with joined(broker.port, "out", version=version) as (out, _):
            for number in range(100):
                say(out, number)
            await settled(out)
        async with joined(broker.port, "in", "a/#", version=version) as (_, ear):
            await until(lambda: len(ear.arrivals) >= 100)
            assert ear.connections[0][0]
            assert ear.payloads == [str(number).encode() for number in range(100)]

    asyncio.run(scene())


def test_a_clean_connection_knows_nothing_of_before_and_leaves_nothing(broker: Broker) -> None:
    async def scene() -> None:
        async with joined(broker.port, "in", "a/#"):
            pass
        async with joined(broker.port, "in", "a/#", clean=True) as (_, ear):
            assert not ear.connections[0][0]
        async with joined(broker.port, "in", "a/#") as (_, ear):
            assert not ear.connections[0][0]

    asyncio.run(scene())


def test_what_is_retained_is_told_from_news(broker: Broker, version: int) -> None:
    async def scene() -> None:
        async with joined(broker.port, "out", version=version) as (out, _):
            say(out, 1, retain=True)
            await settled(out)
            async with joined(broker.port, "in", "a/#", version=version) as (_, ear):
                await until(lambda: ear.arrivals)
                say(out, 2, retain=True)
                await until(lambda: len(ear.arrivals) == 2)
            assert [arrival.retained for arrival in ear.arrivals] == [True, False]

    asyncio.run(scene())


@pytest.mark.parametrize("many", [40_000])
def test_forty_thousand_filters_are_subscribed(broker: Broker, version: int, many: int) -> None:
    async def scene() -> None:
        filters = [f"EV/vehicle-{number}/ChargingRecommendations" for number in range(many)]
        async with (
            joined(broker.port, "in", *filters, version=version) as (_, ear),
            joined(broker.port, "out", version=version) as (out, _),
        ):
            for number in range(0, many, 997):
                say(out, number, filters[number])
            await until(lambda: len(ear.arrivals) == len(range(0, many, 997)))

    asyncio.run(scene())


def test_filters_may_be_added_at_any_time(broker: Broker, version: int) -> None:
    async def scene() -> None:
        transport, ear = MqttTransport(at(broker.port), client_id="in", version=version), Ear()
        transport.subscribe(["before"])
        opening = asyncio.create_task(transport.open(ear))
        for number in range(20):
            transport.subscribe([f"during/{number}"])
            await asyncio.sleep(0)
        await opening
        transport.subscribe(["after"])
        async with joined(broker.port, "out", version=version) as (out, _):
            topics = ["before", *(f"during/{number}" for number in range(20))]
            for topic in topics:
                say(out, 1, topic)
            await until(lambda: [arrival.topic for arrival in ear.arrivals] == topics)
            await until(lambda: say(out, 2, "after") or ear.arrivals[-1].topic == "after")
        await transport.close()

    asyncio.run(scene())


def test_what_is_no_filter_is_refused_before_a_broker_sees_it() -> None:
    transport = MqttTransport(at(1), client_id="in")
    for wrong in ("a/#/b", "", "a+", "\0"):
        with pytest.raises(InputError, match="filter: "):
            transport.subscribe(["good", wrong])
    assert not transport.filters


def test_what_no_broker_would_take_is_refused_and_the_rest_goes_on(broker: Broker, version: int) -> None:
    async def scene() -> None:
        async with (
            joined(broker.port, "in", "a/#", version=version) as (_, ear),
            joined(broker.port, "out", version=version) as (out, mouth),
        ):
            say(out, 1, "a/#")
            say(out, 2, "a/" + "x" * 70_000)
            say(out, 3)
            await settled(out)
            await until(lambda: len(mouth.refusals) == 2)
            assert set(mouth.refusals) == {1, 2}
            await until(lambda: ear.arrivals)
            assert ear.payloads == [b"3"]
            assert not mouth.losses

    asyncio.run(scene())


@pytest.mark.parametrize("over", [-40, 1, 100_000])
def test_what_is_above_the_brokers_size_is_refused_and_nothing_else(
    tmp_path: Path, version: int, over: int
) -> None:
    largest = 256 * 1024

    async def scene(port: int) -> None:
        async with joined(port, "out", version=version) as (out, mouth):
            say(out, 1, payload=bytes(largest + over), properties={"x": "y" * 2_000} if over > 0 else {})
            say(out, 2)
            await settled(out)
            await until(lambda: 2 in mouth.taken_numbers)
            assert (set(mouth.refusals) == {1}) == (over > 0), mouth.refusals
            assert not mouth.losses

    with running_hub() as hub:
        asyncio.run(scene(hub.port))
    with mosquitto(tmp_path, f"max_packet_size {largest}") as found:
        asyncio.run(scene(found.port))


def test_what_is_too_large_to_be_taken_does_not_stand_in_the_way(
    broker: Broker, version: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with (
            joined(broker.port, "in", "a/#", version=version, largest_arrival=10_000) as (_, ear),
            joined(broker.port, "out") as (out, _),
        ):
            say(out, 1)
            for number in range(3):
                say(out, 2 + number, payload=bytes(200_000))
            say(out, 5)
            await until(lambda: len(ear.arrivals) == 2)
        async with (
            joined(broker.port, "in", "a/#", version=version) as (_, later),
            joined(broker.port, "out") as (out, _),
        ):
            say(out, 6)
            await until(lambda: later.arrivals)
        assert ear.payloads + later.payloads == [b"1", b"5", b"6"], "the large ones are not kept for later"
        assert caplog.text.count("larger than 10000 bytes on a/b") == (version == 4)

    with caplog.at_level(logging.WARNING):
        asyncio.run(scene())


def test_a_sender_is_believed_only_where_the_broker_says_that_it_stamps(tmp_path: Path) -> None:
    async def scene(port: int, version: int = 5, who: str = "") -> tuple[list[str | None], bool | None]:
        url = at(port, who)
        async with joined(url, "in", "a/#", version=version) as (_, ear), joined(url, "out") as (out, _):
            say(out, 1, properties={"sender": "admin"})
            say(out, 2, correlation=b"\x26\x00\x06sender\x00\x05admin")
            await until(lambda: len(ear.arrivals) == 2)
        return [arrival.sender for arrival in ear.arrivals], ear.connections[0][1]

    with running_hub(users=users_file(tmp_path, alice="secret")) as hub:
        assert asyncio.run(scene(hub.port, 5, "alice:secret@")) == (["alice", "alice"], True)
        assert asyncio.run(scene(hub.port, 4, "alice:secret@")) == ([None, None], False)
    with mosquitto(tmp_path) as found:
        assert asyncio.run(scene(found.port)) == ([None, None], False)


class _Few(Table):
    """Whoever comes may read and write a little."""

    def __init__(self) -> None:
        super().__init__({"me": Grant(("a/#",), ("a/#",))})

    def may_connect(self, login: Login) -> str | None:
        return "me"


def test_a_filter_that_is_refused_is_named(version: int) -> None:
    async def scene(port: int) -> None:
        with pytest.raises(VoltAgoraError, match="does not let us read b/#, one of 1 filters"):
            async with joined(port, "in", "a/#", "b/#", version=version):
                pass

    with running_hub(rights=_Few()) as hub:
        asyncio.run(scene(hub.port))


def test_a_publication_without_right_is_refused_in_words() -> None:
    async def scene(port: int) -> None:
        async with joined(port, "out") as (out, mouth):
            say(out, 1, "b/secret")
            say(out, 2, "a/b")
            await settled(out)
            assert mouth.taken_numbers == [2]
            assert mouth.refusals == {1: "b/secret: not authorized (0x87)"}

    with running_hub(rights=_Few()) as hub:
        asyncio.run(scene(hub.port))


def test_publishing_is_bounded_and_draining_waits(broker: Broker) -> None:
    async def scene() -> None:
        transport = MqttTransport(at(broker.port), client_id="out", most_waiting=10, window=3)
        for number in range(10):
            say(transport, number)
        with pytest.raises(RunError, match="10 publications wait for the broker already"):
            say(transport, 10)
        assert transport.waiting == 10
        ear = Ear()
        await transport.open(ear)
        await transport.drain(4)
        assert transport.waiting <= 4
        await settled(transport)
        assert sorted(ear.taken_numbers) == list(range(10))
        await transport.close()

    asyncio.run(scene())


def test_who_waits_for_a_broker_that_is_left_is_told() -> None:
    async def scene() -> None:
        transport = MqttTransport(at(1), client_id="out")
        transport.publish(Publication(number=1, topic="a", payload=b""))
        waits = asyncio.create_task(transport.drain(0))
        await asyncio.sleep(0)
        await transport.close()
        with pytest.raises(RunError, match="closed while 1 publications"):
            await waits

    asyncio.run(scene())


def test_closing_leaves_nothing_behind(broker: Broker, version: int) -> None:
    async def scene() -> None:
        transport = MqttTransport(at(broker.port), client_id="x", version=version)
        for turns in range(8):
            opening = asyncio.create_task(transport.open(Ear()))
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            await asyncio.wait({opening})
            await transport.close()
        async with joined(broker.port, "x", "a/#", version=version) as (transport, _):
            say(transport, 1)
        await transport.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scene())
