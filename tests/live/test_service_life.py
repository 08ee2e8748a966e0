"""One agent by itself: when its time begins, and that it goes when it is asked to."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from live_market import a_scenario
from loopback import LoopbackBroker, LoopbackTransport

from voltagora.domain.errors import InputError, VoltAgoraError
from voltagora.live import timekeeping
from voltagora.live.service_environment import ServiceEnvironment
from voltagora.live.transport import Listener, Publication
from voltagora.protocols.access import TIMER
from voltagora.protocols.topic import Kind
from voltagora.scenario.cast import Part
from voltagora.scenario.live import LiveRun, Pace, Stage

SMALL = ("vehicles.count=1", "stations.count=1", "days=3")
YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).date()
STATION = Part(kinds=(Kind.STATION,), ids=("cs-00",))


class Unreachable(LoopbackTransport):
    """A broker that is never there."""

    async def open(self, listener: Listener) -> None:
        await asyncio.Event().wait()


class Unwilling(LoopbackTransport):
    """A broker that refuses for good."""

    async def open(self, listener: Listener) -> None:
        raise VoltAgoraError("wrong user or password")


def a_station(*, start_now: bool = False, about: object = YESTERDAY, data: Path | None = None) -> LiveRun:
    stage = Stage(part=STATION, pace=Pace(1.0), follows=True, start_now=start_now, data=data)
    return LiveRun(a_scenario(*SMALL, f"start={about}"), stage)


@pytest.mark.parametrize("speed", [None, 3600.0])
def test_who_waits_for_a_broker_can_leave(speed: float | None) -> None:
    async def play() -> None:
        run = LiveRun(a_scenario(*SMALL), Stage(pace=Pace(speed), start_now=True))
        playing = asyncio.create_task(run.play(Unreachable(LoopbackBroker())))
        await asyncio.sleep(0.01)
        assert not playing.done()
        run.leave()
        await asyncio.wait_for(playing, 20)

    asyncio.run(play())


def test_a_broker_that_refuses_for_good_ends_it() -> None:
    with pytest.raises(VoltAgoraError, match="wrong user"):
        asyncio.run(asyncio.wait_for(a_station().play(Unwilling(LoopbackBroker())), 20))


def _no_right_to_timer(publication: Publication) -> bool:
    return publication.topic == TIMER


@pytest.mark.parametrize("start_now", [True, False])
def test_with_start_it_goes_by_real_time_at_once_whoever_may_say_it_to_all(
    start_now: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timekeeping, "PATIENCE_SECONDS", 0.05)

    async def play() -> None:
        run, broker = a_station(start_now=start_now), LoopbackBroker()
        broker.lose = _no_right_to_timer
        playing = asyncio.create_task(run.play(LoopbackTransport(broker)))
        until = time.monotonic() + (20 if start_now else 0.5)
        while time.monotonic() < until and not (run.process and run.process.has_started):
            await asyncio.sleep(0.01)
        assert run.process is not None
        assert run.process.has_started == start_now
        if start_now:
            assert abs(run.node.exchange.now - time.time()) < 60
        run.leave()
        await playing

    asyncio.run(play())


def test_a_market_of_the_past_without_a_leader_is_not_begun_and_it_is_said_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(timekeeping, "PATIENCE_SECONDS", 0.05)

    async def play() -> None:
        run = a_station(start_now=True, about="2020-06-17")
        playing = asyncio.create_task(run.play(LoopbackTransport(LoopbackBroker())))
        until = time.monotonic() + 20
        while "not started" not in caplog.text and time.monotonic() < until:
            await asyncio.sleep(0.01)
        assert run.process is not None
        assert not run.process.has_started
        run.leave()
        await playing

    asyncio.run(play())
    assert "the market is from 2020-06-16T21:00:00Z to 2020-06-19T21:00:00Z" in caplog.text
    assert "--set start=" in caplog.text


def test_asking_for_an_agent_that_there_is_not_begins_no_journal(tmp_path: Path) -> None:
    stage = Stage(part=Part(kinds=(Kind.STATION,), ids=("cs-77",)), follows=True, data=tmp_path / "data")

    with pytest.raises(InputError, match="--id: got 'cs-77'"):
        LiveRun(a_scenario(*SMALL), stage)

    assert not (tmp_path / "data").exists()


# The platform's variables.


def test_topics_are_covered_as_mqtt_covers_them() -> None:
    told = {"in_topic_1": "EV/+/ReservationOutcome", "in_topic_2": "CS/a/#", "out_topic_1": "#"}
    environment = ServiceEnvironment.read(told)

    environment.check(["EV/a/ReservationOutcome", "EV/+/ReservationOutcome", "CS/a", "CS/a/b/+/c"], ["x/+"])
    for missing in ("CS/+/b", "CS/b", "EV/#", "EV/a/b/ReservationOutcome", "timer"):
        with pytest.raises(
            InputError, match=r"in_topic_1\.\.2: got 2 topics, must be topics that also cover"
        ):
            environment.check([missing], [])


@pytest.mark.parametrize(
    ("topics", "told"),
    [
        ({"in_topic_1": "timer"}, "out_topic_1: got 0 topics"),
        ({"in_topic_1": "a/#/b", "out_topic_1": "#"}, "in_topic_1..1: got 'a/#/b', must be topics"),
        ({"in_topic_1": "", "out_topic_1": "#"}, "in_topic_1..1"),
        # Not by the platform's hand, and no topics: a number with a zero before it, of another script.
        ({"in_topic_01": "timer", "in_topic_٣": "timer", "out_topic_1": "#"}, "in_topic_1: got 0 topics"),
    ],
)
def test_topics_that_do_not_do_are_named(topics: dict[str, str], told: str) -> None:
    with pytest.raises(InputError) as caught:
        ServiceEnvironment.read(topics).check(["timer"], ["x"])
    assert told in str(caught.value)


def test_without_registered_topics_nothing_is_checked() -> None:
    ServiceEnvironment.read({"BROKER": "b"}).check(["timer"], ["x"])


def test_topics_are_in_the_order_of_their_numbers() -> None:
    environment = ServiceEnvironment.read({f"in_topic_{number}": f"t{number}" for number in (10, 9, 1)})

    assert environment.in_topics == ("t1", "t9", "t10")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("gateway.example", "mqtt://gateway.example:1883"),
        ("127.0.0.1", "mqtt://127.0.0.1:1883"),
        ("::1", "mqtt://[::1]:1883"),
        ("[::1]:1884", "mqtt://[::1]:1884"),
        ("gateway:1884", "mqtt://gateway:1884"),
        ("", None),
    ],
)
def test_the_broker_is_where_the_platform_says(host: str, url: str | None) -> None:
    assert ServiceEnvironment.read({"BROKER": host}).broker == url
