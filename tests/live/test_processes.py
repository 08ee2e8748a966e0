"""Several processes make one market, in whatever order they start, and their journals tell all of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from live_market import FAST, PARTS, a_scenario, check_books, part
from loopback import LoopbackBroker, LoopbackTransport
from mqtt_stage import mosquitto

from voltagora.domain.errors import InputError, RunError
from voltagora.live.broker_url import BrokerUrl
from voltagora.live.mqtt import MqttTransport
from voltagora.results.result import Result
from voltagora.scenario.live import LiveRun
from voltagora.scenario.replay import replay

SCENARIO = a_scenario("vehicles.count=15", "days=1")


async def _together(runs: list[LiveRun], transports: list[object], pause: float) -> None:
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for run, transport in zip(runs, transports, strict=True):
            group.create_task(run.play(transport))  # type: ignore[arg-type]
            await asyncio.sleep(pause)


@pytest.mark.parametrize(
    ("order", "speed"),
    # Who comes after the word `start` waits for a tick, and the day must not be over by then.
    [((0, 1, 2), FAST / 4), ((2, 1, 0), FAST), ((1, 2, 0), FAST)],
)
def test_a_market_over_processes_is_told_again_by_its_journals(
    order: tuple[int, ...], speed: float, tmp_path: Path
) -> None:
    broker = LoopbackBroker()
    runs = [part(SCENARIO, PARTS[each], tmp_path / str(each), speed=speed) for each in order]
    asyncio.run(_together(runs, [LoopbackTransport(broker) for _ in runs], 0.05))
    for run in runs:
        run.close()

    replayed = replay([tmp_path / str(each) for each in (0, 1, 2)]).result

    check_books(replayed)
    assert replayed.metrics["bookings_made"] > 0
    live = {(row["reservation"], row["cost_eur"]) for row in _sessions(runs)}
    assert live == {(row["reservation"], row["cost_eur"]) for row in replayed.tables["sessions"].to_pylist()}
    assert len(replayed.tables["slots"]) == 24


def _sessions(runs: list[LiveRun]) -> list[dict[str, object]]:
    station = next(run for run in runs if "station" in PARTS[1] and run.stage.part.kinds[0] == "CS")
    station.collector.settle()
    return Result.of(station.collector, {}).tables["sessions"].to_pylist()


def test_the_same_over_mosquitto(tmp_path: Path) -> None:
    runs = [part(SCENARIO, kinds, tmp_path / str(place)) for place, kinds in enumerate(PARTS)]
    with mosquitto(tmp_path) as broker:
        url = BrokerUrl.parse(f"mqtt://127.0.0.1:{broker.port}")
        transports = [MqttTransport(url, client_id=f"p{place}") for place in range(3)]
        asyncio.run(_together(runs, list(transports), 0.1))
    for run in runs:
        run.close()

    replayed = replay([tmp_path / str(place) for place in range(3)]).result

    check_books(replayed)
    assert {(row["reservation"], row["cost_eur"]) for row in _sessions(runs)} == {
        (row["reservation"], row["cost_eur"]) for row in replayed.tables["sessions"].to_pylist()
    }


def test_a_journal_of_another_market_or_other_agents_is_refused(tmp_path: Path) -> None:
    part(SCENARIO, PARTS[0], tmp_path / "a").close()

    with pytest.raises(InputError, match="--data"):
        part(a_scenario("vehicles.count=16", "days=1"), PARTS[0], tmp_path / "a")
    with pytest.raises(InputError, match="--data"):
        part(SCENARIO, PARTS[1], tmp_path / "a")


def test_two_processes_cannot_share_a_journal(tmp_path: Path) -> None:
    first = part(SCENARIO, PARTS[0], tmp_path)
    try:
        with pytest.raises(RunError, match="another process"):
            part(SCENARIO, PARTS[0], tmp_path)
    finally:
        first.close()


def test_the_journal_is_for_its_owner_alone(tmp_path: Path) -> None:
    part(SCENARIO, PARTS[0], tmp_path).close()

    assert (tmp_path / "journal.sqlite").stat().st_mode & 0o777 == 0o600


def test_an_agent_that_says_something_else_than_it_said_stops_the_replay(tmp_path: Path) -> None:
    broker = LoopbackBroker()
    run = part(SCENARIO, PARTS[0], tmp_path / "a", speed=FAST)
    asyncio.run(_together([run], [LoopbackTransport(broker)], 0))
    assert run.journal is not None
    run.journal._database.execute("UPDATE facts SET value = ? WHERE name = 'scenario'", (_richer(),))
    run.close()

    with pytest.raises(RunError, match="made with another scenario, strategy or version"):
        replay([tmp_path / "a"])


def _richer() -> bytes:
    return msgspec.json.encode(a_scenario("vehicles.count=15", "days=1", "grid.load_share=0.2"))
