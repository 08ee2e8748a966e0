"""Processes in any order, with any leftovers, full disks and long sleeps: the market comes to rest."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from doomed import THREE, DoomedMarket, Member, check_books
from session_broker import SessionTransport
from tiny_market import a_tiny_market
from virtual_time import run_at_once

from voltagora.live.transport import Publication

PARTS = ("imbalance,pricing,producer,consumer", "station", "recommender", "vehicle")


def a_market(folder: Path, waits: tuple[float, ...] = (0.0, 0.0, 0.0), **more: Any) -> DoomedMarket:
    market = a_tiny_market(folder, **more)
    for kinds, wait in zip(THREE, waits, strict=True):
        market.add(kinds, wait=(wait, 1.0))
    return market


def says(market: DoomedMarket, *words: tuple[float, str, bytes]) -> None:
    """Let an operator say something: after how many real seconds, on which topic, what."""

    async def speak() -> None:
        for after, topic, payload in words:
            await asyncio.sleep(after)
            market.broker.take(Publication(number=0, topic=topic, payload=payload))

    market.meanwhile.append(speak)


# In any order.


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::3])
def test_processes_may_start_in_any_order(order: tuple[int, ...], tmp_path: Path) -> None:
    market = a_tiny_market(tmp_path)
    for kinds, place in zip(PARTS, order, strict=True):
        market.add(kinds, wait=(place * 3.0, 1.0))

    check_books(market.play())


@pytest.mark.parametrize("late", range(3))
def test_who_joins_minutes_after_the_start_takes_part(late: int, tmp_path: Path) -> None:
    waits = tuple(25.0 if place == late else 0.0 for place in range(3))  # which is 100 simulated minutes
    market = a_market(tmp_path, waits)

    check_books(market.play())


def test_who_joins_late_hears_of_who_comes_back_later(tmp_path: Path) -> None:
    market = a_tiny_market(tmp_path)
    market.add(THREE[0], forgets=True)
    market.add(THREE[1], wait=(20.0, 1.0))
    market.add(THREE[2])
    market.at_hour(3.3, market.members[0].kill)

    played = market.play()

    assert market.members[0].lives == 2
    check_books(played)


def test_start_twice_pause_and_resume_change_no_books(tmp_path: Path) -> None:
    market = a_market(tmp_path)
    market.start_now = False
    says(
        market,
        (5.0, "timer", b"start"),
        (1.0, "timer", b"start"),
        (30.0, "timer", b"pause"),
        (500.0, "timer", b"resume"),
        (1.0, "timer", b"start"),
    )

    check_books(market.play())


def test_a_retained_start_is_heard_by_who_comes_later(tmp_path: Path) -> None:
    market = a_market(tmp_path, (5.0, 0.0, 9.0))
    market.start_now = False
    market.broker.retained["timer"] = b"start"

    check_books(market.play())


def test_stop_ends_it_for_all_and_everything_that_stands_is_recorded_once(tmp_path: Path) -> None:
    market = a_market(tmp_path)
    says(market, (50.0, "timer", b"stop"))

    played = market.play()

    assert all(member.node.is_finished for member in market.members)
    assert market.members[0].process.clock.now() < market.end
    assert {need.outcome for need in played.needs.values()} >= {"booked"}


def test_a_leader_killed_after_its_end_lets_the_others_go_when_it_is_back(tmp_path: Path) -> None:
    market = a_market(tmp_path)
    leader = market.members[0]

    async def kill_at_the_end() -> None:
        while not (leader.node and leader.node.is_finished):
            await asyncio.sleep(0.001)
        leader.kill()

    market.meanwhile.append(kill_at_the_end)

    check_books(market.play())


# Leftovers.


def test_what_an_earlier_run_left_behind_changes_nothing(tmp_path: Path) -> None:
    first = a_market(tmp_path / "first")
    first.play()
    left = {topic: payload for topic, payload in first.broker.retained.items() if topic != "timer"}
    for topic in ("EI/ElectricityImbalance", "MD/ElectricityPrices"):
        news = json.loads(left[topic])
        left[topic] = json.dumps(news | {"revision": 1_000_000}).encode()
    left["clock"] = b'{"start":"2023-11-14T20:00:00Z","speed":240.0,"simulated_time":"2020-06-16T21:30:00Z"}'
    left |= {topic: b"online" for topic in left if topic.startswith("presence/")}
    left["CS/cs-00/RegisterChargingStation"] = b'{"msg_id":"m1"}'
    left["EV/ev-000000/ReservationOutcome"] = b"{}"
    market = a_market(tmp_path / "second", (20.0, 0.0, 0.0))
    market.broker.retained = left

    played = market.play()

    check_books(played)
    starts = [member.process.clock.now() for member in market.members]
    assert max(starts) <= market.end + 600


@pytest.mark.parametrize("offset", [-10_000.0, 7200.0, 86_400.0 * 400])
def test_a_wall_clock_that_is_hours_off_changes_nothing(offset: float, tmp_path: Path) -> None:
    market = a_tiny_market(tmp_path)
    market.add(THREE[0])
    market.add(THREE[1], wall_offset=offset, dooms=[80])
    market.add(THREE[2], wall_offset=-offset, dooms=[70])

    check_books(market.play())


# A long sleep.


def test_after_ten_minutes_without_a_processor_all_that_was_due_happens_in_order(tmp_path: Path) -> None:
    market = a_market(tmp_path, speed=20.0)

    async def sleep_like_a_stone() -> None:
        await asyncio.sleep(300)
        asyncio.get_running_loop().now += 600  # type: ignore[attr-defined]

    market.meanwhile.append(sleep_like_a_stone)

    check_books(market.play())


# A full disk.


# The stage's transports see to it in every test that nothing unsaved is said or acknowledged.


def test_what_cannot_be_saved_is_neither_said_nor_acknowledged_and_is_done_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    market = a_market(tmp_path)
    stations = market.members[1]
    was_unsaved: list[bool] = []

    async def fill_the_disk() -> None:
        await asyncio.sleep(30)
        filled(stations)
        await asyncio.sleep(60)
        was_unsaved.append(stations.process.is_unsaved)
        emptied(stations)

    market.meanwhile.append(fill_the_disk)
    with caplog.at_level(logging.ERROR):
        played = market.play()

    assert was_unsaved == [True]
    assert not stations.process.is_unsaved
    check_books(played, costs=False)
    assert len([record for record in caplog.records if "full" in record.message]) == 1


def test_who_waited_too_long_while_nothing_could_be_saved_asks_again_afterwards(tmp_path: Path) -> None:
    market = a_tiny_market(tmp_path)
    market.add(THREE[0])
    market.add(THREE[1], wait=(45.0, 1.0))  # It never hears what is asked before.
    vehicles = market.add(THREE[2])
    was_unsaved: list[bool] = []

    def look_and_empty() -> None:
        was_unsaved.append(vehicles.process.is_unsaved)
        written_to(vehicles, may_be=True)

    # A need has been asked; the next follows at 2.8, and at 3.2 the first has waited too long.
    market.at_hour(2.6, lambda: written_to(vehicles, may_be=False))
    market.at_hour(3.6, look_and_empty)
    played = market.play()

    assert was_unsaved == [True]
    check_books(played)
    assert played.needs["ev-000000", 0].outcome == "booked"


def filled(member: Member) -> None:
    """Let there be no room on the disk of its journal."""
    assert member.process._journal is not None
    database = member.process._journal._database
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")


def written_to(member: Member, *, may_be: bool) -> None:
    """Let its journal be writable or not."""
    assert member.process._journal is not None
    member.process._journal._database.execute(f"PRAGMA query_only = {int(not may_be)}")


def emptied(member: Member) -> None:
    """Let there be room again."""
    assert member.process._journal is not None
    member.process._journal._database.execute("PRAGMA max_page_count = 1000000")


# Lost connections.


def test_lost_connections_and_lost_sessions_change_no_books(tmp_path: Path) -> None:
    market = a_market(tmp_path, repeats=0.1)

    async def cut_now_and_then() -> None:
        while True:
            await asyncio.sleep(market.chance.uniform(2, 12))
            member = market.chance.choice(market.members)
            if market.chance.random() < 0.4:
                market.broker.forget(member.folder.name)
            if member.transport is not None and not member.doom.is_dead:
                member.transport.lose()

    market.meanwhile.append(cut_now_and_then)

    check_books(market.play(), costs=False)


def test_the_end_waits_for_a_connection(tmp_path: Path) -> None:
    market = a_market(tmp_path)
    leader: Member = market.members[0]
    connect = SessionTransport._connect
    seen: list[int] = []

    async def be_away_at_the_end() -> None:
        while not leader.node or leader.process.clock.now() < market.end - 600:
            await asyncio.sleep(0.1)
        transport = leader.transport
        assert transport is not None
        transport._connect = lambda: None  # type: ignore[method-assign]
        transport.lose()
        await asyncio.sleep(60)
        seen.append(len([member for member in market.members if member.node.is_finished]))
        connect(transport)

    market.meanwhile.append(be_away_at_the_end)
    played = market.play()

    assert seen == [0]
    check_books(played)


# Nothing waits busily.


def test_a_process_with_nothing_to_do_is_not_woken_often(tmp_path: Path) -> None:
    market = a_market(tmp_path)
    woken: dict[str, int] = {}

    async def count() -> None:
        await asyncio.sleep(60)
        for member in market.members:
            tick = member.process._tick

            def counted(tick: Any = tick, name: str = member.folder.name) -> None:
                woken[name] = woken.get(name, 0) + 1
                tick()

            member.process._tick = counted  # type: ignore[method-assign]
        await asyncio.sleep(30)
        assert all(number < 400 for number in woken.values()), woken

    market.meanwhile.append(count)
    market.play()
    assert woken


def test_everything_waits_for_somebody_in_virtual_time() -> None:
    async def nothing() -> str:
        await asyncio.sleep(1_000)
        return "done"

    assert run_at_once(nothing()) == "done"
