"""What messages tell is what the agents recorded: a report on a record is the report on the run."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from voltagora.domain.errors import InputError
from voltagora.domain.units import Time
from voltagora.live.clock import ClockNews
from voltagora.live.record import Recorder, Rotation
from voltagora.live.transport import Arrival
from voltagora.results.result import Result
from voltagora.scenario.read import read_scenario
from voltagora.scenario.recorded import report_recorded, result_of
from voltagora.scenario.recorded_read import recorded_messages
from voltagora.scenario.recorded_sieve import Heard
from voltagora.scenario.run import run

PAPER = ("paper-2020", "vehicles.count=12", "days=3")
CITY = (
    "city",
    *("days=3", "step_minutes=60", "vehicles.count=60", "stations.count=15", "scheduling.strategy=station"),
    *("stations.grid_limit_share=0.1", "drivers.absent_share=0.1", "drivers.cancel_share=0.1"),
    *("drivers.late_share=0.3", "drivers.early_share=0.3", "drivers.change_share=0.4"),
)
MARKETS = {"quickstart": ("quickstart",), "paper-2020": PAPER, "city": CITY}
OF_ALL_VEHICLES = {"average_cost_eur_per_vehicle", "cost_gini", "cost_p50_eur", "cost_p95_eur", "full_cycles"}
"""Metrics with every vehicle in their denominator: messages know those that spoke."""


@lru_cache(maxsize=8)
def played(*scenario: str) -> Result:
    name, *changes = scenario
    return run(name, set=changes, messages=True)


def heard(result: Result) -> list[Heard]:
    rows = result.tables["messages"].sort_by([("at", "ascending"), ("wave", "ascending")]).to_pylist()
    return [
        Heard(
            at=int(row["at"].timestamp()),
            real=row["at"].timestamp(),
            topic=row["topic"],
            payload=row["payload"].encode(),
            sender=row["sender"],
        )
        for row in rows
    ]


def alone_in(folder: Path, result: Result) -> Path:
    folder.mkdir()
    pq.write_table(result.tables["messages"], folder / "messages.parquet")
    return folder


def without(metrics: dict[str, Any], names: set[str]) -> dict[str, Any]:
    kept = {name: value for name, value in metrics.items() if name not in names and name != "areas"}
    # The word `start` is nobody's, so an area's own counts of it depend on which is called the first.
    areas = {
        area: {
            name: value for name, value in own.items() if name not in {*names, "messages", "messages_total"}
        }
        for area, own in metrics.get("areas", {}).items()
    }
    return {**kept, "areas": areas}


def rows(result: Result, table: str) -> list[dict[str, Any]]:
    return [
        {name: round(cell, 9) if isinstance(cell, float) else cell for name, cell in row.items()}
        for row in result.tables[table].to_pylist()
    ]


@pytest.mark.parametrize("market", MARKETS)
def test_with_the_scenario_beside_it_a_record_gives_every_metric_of_the_run(
    market: str, tmp_path: Path
) -> None:
    simulated = played(*MARKETS[market])
    name, *changes = MARKETS[market]
    scenario = read_scenario(name, changes, None)

    found = result_of(recorded_messages(alone_in(tmp_path / "r", simulated)), scenario)

    assert found.metrics == simulated.metrics
    assert found.span == simulated.span
    for table in ("sessions", "slots", "vehicles", "refusals", "needs", "stations", "ledger"):
        assert rows(found, table) == rows(simulated, table), table


@pytest.mark.parametrize("market", MARKETS)
def test_messages_alone_give_every_metric_that_they_can_tell(market: str, tmp_path: Path) -> None:
    simulated = played(*MARKETS[market])

    found = report_recorded(alone_in(tmp_path / "r", simulated))

    spoke = {row["vehicle"] for row in rows(simulated, "vehicles") if row["bookings_asked"]}
    untold = set() if len(spoke) == len(simulated.tables["vehicles"]) else OF_ALL_VEHICLES
    assert without(found.metrics, untold) == without(simulated.metrics, untold)
    assert {row["vehicle"] for row in rows(found, "vehicles")} == spoke
    assert {row["vehicle_type"] for row in rows(found, "vehicles")} == {"unknown"}
    assert (found.span.start, found.span.end) == (simulated.span.start, simulated.span.end)
    for table in ("sessions", "slots", "refusals", "needs", "stations", "ledger"):
        assert rows(found, table) == rows(simulated, table), table


def test_the_markets_compared_have_everything_in_them() -> None:
    """Else the two tests above would prove less than they say."""
    city = played(*CITY)
    states = set(city.tables["sessions"]["state"].to_pylist())
    assert states >= {"completed", "cancelled", "no_show"}
    assert {"CP3", "CP11", "CP12"} <= {p for p, count in city.metrics["messages"].items() if count}
    assert any(value for value in city.tables["sessions"]["compensation_eur"].to_pylist())
    assert max(city.tables["sessions"]["revision"].to_pylist()) > 2
    assert "CP3" in city.tables["refusals"]["protocol"].to_pylist()
    assert len(city.metrics["areas"]) == 3


def test_prices_that_were_never_published_are_not_guessed() -> None:
    """In quarter hours MD settles slots of its first two hours at prices that it has not published yet."""
    simulated = played("city", "days=2", "vehicles.count=30", "stations.count=9")

    found = result_of(heard(simulated))

    untold = {*OF_ALL_VEHICLES, "md_balance_eur"}
    assert without(found.metrics, untold) == without(simulated.metrics, untold)
    unpriced = [row for row in rows(found, "slots") if row["buy_eur_per_kwh"] is None]
    # 00:00 to 02:00 of the first day in Athens.
    assert {(row["start"].day, row["start"].hour) for row in unpriced} == {(22, 22), (22, 23)}
    assert any(f"{len(unpriced)} slots had no price" in notice for notice in found.manifest["notices"])


def test_repeats_leftovers_and_garbage_change_nothing_and_are_counted() -> None:
    messages = heard(played(*PAPER))
    clean = result_of(messages)

    found = result_of(spoilt(messages, random.Random(3)))

    assert found.metrics == clean.metrics
    for table in ("sessions", "slots", "refusals", "needs", "ledger", "message_counts"):
        assert rows(found, table) == rows(clean, table), table
    counted = found.manifest["recorded"]
    assert counted["messages"] == clean.manifest["recorded"]["messages"]
    assert counted["repeats"] > 100
    assert counted["leftovers"] > 10
    assert counted["wrong payloads"] > 100
    assert counted["on other topics"] > 10
    assert len(found.manifest["wrong_payloads"]) == 100
    assert all(fault["topic"] and fault["wrong"] for fault in found.manifest["wrong_payloads"])


GARBAGE = (
    b"",
    b"\xff\xfe",
    b"null",
    b"[]",
    b"{}",
    b"[" * 10_000,
    b'{"msg_id": NaN}',
    b'{"msg_id": "a", "msg_id": "b"}',
    b'"' + b"x" * 300_000 + b'"',
)


def spoilt(messages: Sequence[Heard], chance: random.Random) -> Iterator[Heard]:
    """What a public broker may add to a market: doubles at once and later, leftovers, strangers' nonsense."""
    for place, it in enumerate(messages):
        yield it
        if it.topic == "timer":
            continue
        draw = chance.random()
        if draw < 0.2:
            yield it
        elif draw < 0.3:
            earlier = messages[chance.randrange(place + 1)]
            if earlier.topic != "timer":
                yield msgspec.structs.replace(earlier, at=it.at, real=it.real)
        elif draw < 0.4:
            yield msgspec.structs.replace(it, retained=True, payload=messages[place - 1].payload)
        elif draw < 0.6:
            yield msgspec.structs.replace(it, payload=chance.choice(GARBAGE))
        elif draw < 0.65:
            yield msgspec.structs.replace(it, topic=chance.choice(("a/b", "EV/e v/x", "presence/ev-1", "EV")))


def test_who_speaks_for_another_vehicle_is_not_heard() -> None:
    """On a station's topic anybody may publish; a broker that stamps tells who it was."""
    messages = heard(played(*PAPER))
    clean = result_of(messages)
    spoken: list[Heard] = []
    for it in messages:
        spoken.append(it)
        if it.topic.endswith("/ReserveChargingSlot"):
            request = msgspec.json.decode(it.payload)
            forged = {**request, "msg_id": "forged"}
            spoken.append(
                msgspec.structs.replace(it, payload=msgspec.json.encode(forged), sender="somebody-else")
            )
            refusal = {"in_reply_to": "forged", "responder": it.topic.split("/")[1], "accepted": False}
            vehicle = request["recommendation"]["vehicle"]
            answer = msgspec.json.encode({**refusal, "reason": "not_authentic"})
            topic = f"EV/{vehicle}/ReservationOutcome"
            spoken.append(msgspec.structs.replace(it, topic=topic, payload=answer, sender="cs"))

    found = result_of(spoken)

    assert found.metrics["refusals"] == clean.metrics["refusals"]
    assert found.metrics["bookings_asked"] == clean.metrics["bookings_asked"]
    assert found.metrics["bookings_made"] == clean.metrics["bookings_made"]


def test_silence_is_a_timeout_but_not_before_it_has_lasted() -> None:
    messages = heard(played(*PAPER))
    place = next(n for n, it in enumerate(messages) if it.topic.endswith("/ReservationOutcome"))
    unanswered = [*messages[:place], *messages[place + 1 :]]

    assert result_of(unanswered).metrics["refusals"]["timeout"] == 1
    assert "timeout" not in result_of(messages[:place]).metrics["refusals"]


def test_the_run_after_a_stop_is_a_run_of_its_own() -> None:
    messages = heard(played(*PAPER))
    stop = msgspec.structs.replace(messages[0], topic="timer", payload=b"stop", at=messages[-1].at)
    # The same scenario again: the same ids, and time goes back.
    found = result_of([*messages[: len(messages) // 2], stop, *by_start(messages)])

    assert found.metrics == result_of(messages).metrics


def test_what_was_said_before_anybody_told_the_time_counts() -> None:
    messages = heard(played(*PAPER))
    early = [msgspec.structs.replace(it, at=None) if it.at == messages[0].at else it for it in messages]
    assert sum(it.at is None for it in early) > 50

    assert result_of(early).metrics == result_of(messages).metrics


def by_start(messages: list[Heard]) -> list[Heard]:
    return sorted(messages, key=lambda it: it.topic != "timer")


def test_a_record_of_a_broker_gives_what_the_run_gives(tmp_path: Path) -> None:
    """The time of the agents comes from the topic `clock`; files and journal are one record."""
    simulated = played(*PAPER)
    wall = [1.6e9]
    recorder = Recorder(tmp_path / "r", rotation=Rotation(rows=400), wall=lambda: wall[0])
    leftover = ClockNews(start=Time(1_500_000_000), speed=3600.0, simulated_time=Time(1_700_000_000))
    recorder.take([Arrival(topic="clock", payload=leftover.written(), retained=True)])
    last = None
    for it in by_start(heard(simulated)):
        assert it.at is not None
        wall[0] += 0.001
        if it.at != last and it.topic != "timer":
            news = ClockNews(start=Time(int(wall[0])), speed=0.0, simulated_time=Time(it.at))
            recorder.take([Arrival(topic="clock", payload=news.written())])
            last = it.at
        recorder.take([Arrival(topic=it.topic, payload=it.payload, sender=it.sender)])

    found = report_recorded(tmp_path / "r")
    recorder.close()

    assert found.metrics == simulated.metrics
    assert rows(found, "sessions") == rows(simulated, "sessions")
    assert report_recorded(tmp_path / "r").metrics == found.metrics


def test_a_record_without_a_clock_whose_days_are_others_is_refused(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r")
    recorder.take([Arrival(topic=it.topic, payload=it.payload) for it in heard(played(*PAPER))])
    recorder.close()

    with pytest.raises(InputError, match="clock"):
        report_recorded(tmp_path / "r")


def test_a_record_of_no_market_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="record of a market"):
        result_of([Heard(at=0, real=0.0, topic="a", payload=b"b")])
    with pytest.raises(InputError, match="collect"):
        report_recorded(tmp_path)
    (tmp_path / "messages.parquet").write_bytes(b"no Parquet")
    with pytest.raises(InputError, match=r"messages\.parquet"):
        report_recorded(tmp_path)


def test_a_record_that_began_late_says_what_it_misses() -> None:
    messages = heard(played(*PAPER))
    place = next(n for n, it in enumerate(messages) if it.topic.endswith("/ReserveChargingSlot"))

    found = result_of(messages[place + 1 :])

    assert found.metrics["bookings_made"] == result_of(messages).metrics["bookings_made"] - 1
    assert found.metrics["occupancy_share"] is None  # of how many connectors is not on record
    assert any("1 session has a schedule" in notice for notice in found.manifest["notices"])
    assert any("8 stations" in notice for notice in found.manifest["notices"])
