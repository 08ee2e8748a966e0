"""The tables: their columns, their order, and that bytes depend on the records alone."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from voltagora.domain.records import MessageRecord
from voltagora.results import collector as collecting
from voltagora.results import tables
from voltagora.results.collector import Collector

SESSIONS = [
    "reservation", "area", "network", "vehicle", "station", "connector", "arrival", "departure",
    "energy_kwh", "capacity_kwh", "soc_at_arrival", "power_kw", "v2g", "state", "revision",
    "first_slot", "step_minutes", "schedule_kwh", "buy_eur_per_kwh", "sell_eur_per_kwh", "charged_kwh",
    "discharged_kwh", "compensation_eur", "cost_eur",
]  # fmt: skip
SLOTS = [
    "area", "start", "supply_kwh", "demand_kwh", "base_supply_kwh", "base_demand_kwh", "charging_kwh",
    "discharging_kwh", "buy_eur_per_kwh", "sell_eur_per_kwh",
]  # fmt: skip


def test_columns_are_those_promised_and_ours_follow(world: Any, gathered: Any) -> None:
    made = world(1)
    built = tables.build(gathered(made.records, made.span))

    assert built["sessions"].column_names[: len(SESSIONS)] == SESSIONS
    assert built["slots"].column_names[: len(SLOTS)] == SLOTS
    assert set(built) == {
        "sessions", "slots", "vehicles", "refusals", "needs", "stations", "ledger", "message_counts"
    }  # fmt: skip


def test_without_series_the_three_lists_are_left_out(world: Any, gathered: Any) -> None:
    made = world(1)
    built = tables.build(gathered(made.records, made.span, session_series=False))

    lists = {"schedule_kwh", "buy_eur_per_kwh", "sell_eur_per_kwh"}
    assert [name for name in SESSIONS if name not in lists] == built["sessions"].column_names[
        : len(SESSIONS) - 3
    ]


def test_every_fact_of_a_session_is_in_its_row(world: Any, gathered: Any) -> None:
    made = world(3, areas=2)
    rows = {
        row["reservation"]: row
        for row in tables.build(gathered(made.records, made.span))["sessions"].to_pylist()
    }

    sessions = [record for record in made.records if hasattr(record, "schedule_kwh")]
    assert len(rows) == len(sessions) > 5
    for session in sessions:
        row = rows[session.reservation]
        assert row["arrival"].timestamp() == session.arrival
        assert row["first_slot"].timestamp() == session.first_slot
        assert row["schedule_kwh"] == session.schedule_kwh.tolist()
        assert row["sell_eur_per_kwh"] == session.sell_eur_per_kwh.tolist()
        assert row["state"] == str(session.state)
        assert row["charged_kwh"] == pytest.approx(session.schedule_kwh.clip(0).sum())
        assert row["discharged_kwh"] == pytest.approx((-session.schedule_kwh).clip(0).sum())
        for name in ("area", "vehicle", "connector", "energy_kwh", "cost_eur", "compensation_eur", "v2g"):
            assert row[name] == getattr(session, name)


def test_rows_are_in_order_whatever_the_order_of_areas(world: Any) -> None:
    made = world(7, areas=3)
    by_area: dict[str, Collector] = {}
    for record in made.records:
        by_area.setdefault(record.area, Collector(made.span, messages=True))(record)
    forwards, backwards = (list(order) for order in (by_area.values(), reversed(by_area.values())))

    def built(parts: list[Collector]) -> dict[str, pa.Table]:
        # Through pickle, as they come from another process; copies, since a merge takes over.
        copies = [pickle.loads(pickle.dumps(part)) for part in parts]
        return tables.build(copies[0].merge(copies[1:]))

    one, other = built(forwards), built(backwards)

    assert one == other
    for name in ("sessions", "slots", "refusals", "messages", "vehicles"):
        assert one[name]["area"].to_pylist() == sorted(one[name]["area"].to_pylist())


def test_a_collector_that_holds_few_sessions_at_a_time_gives_the_same_tables(
    world: Any, gathered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = world(2, vehicles=12)
    whole = tables.build(gathered(made.records, made.span))
    monkeypatch.setattr(collecting, "SESSIONS_HELD", 2)

    collector = gathered(made.records, made.span)

    assert len(collector.session_columns) > 3
    assert tables.build(collector) == whole


def test_an_unknown_price_is_null(world: Any, gathered: Any) -> None:
    made = world(1, days=1)
    day = next(record for record in made.records if hasattr(record, "production_kwh"))
    day.buy_eur_per_kwh[:2] = np.nan

    slots = tables.build(gathered([day], made.span))["slots"]

    assert slots["buy_eur_per_kwh"].null_count == 2
    assert slots["sell_eur_per_kwh"].null_count == 0


def test_messages_are_kept_only_when_asked_for_and_in_order_of_sending(world: Any, gathered: Any) -> None:
    def message(at: int, wave: int, text: bytes) -> MessageRecord:
        return MessageRecord(at=at, wave=wave, area="a", protocol="CP1", topic="t", sender="s", payload=text)

    sent = [message(60, 0, b"c"), message(0, 1, b"b\xff"), message(0, 0, b"a2"), message(0, 0, b"a1")]
    span = world(1).span

    assert "messages" not in tables.build(gathered(sent, span))
    kept = tables.build(gathered(sent, span, messages=True))["messages"]
    assert kept["payload"].to_pylist() == ["a2", "a1", "b\\xff", "c"]


def test_tables_can_be_asked_in_sql(world: Any, gathered: Any, tmp_path: Path) -> None:
    made = world(4)
    built = tables.build(gathered(made.records, made.span))
    pq.write_table(built["sessions"], tmp_path / "sessions.parquet")

    with duckdb.connect() as connection:
        connection.execute(f"create view sessions as from '{tmp_path}/sessions.parquet'")
        found = connection.execute(
            """
            select (select sum(charged_kwh) from sessions),
                   (select sum(greatest(k, 0)) from (select unnest(schedule_kwh) k from sessions))
            """
        ).fetchone()

    assert found is not None
    assert found[0] == pytest.approx(found[1])


def test_nothing_recorded_gives_empty_tables_of_the_same_columns(world: Any, gathered: Any) -> None:
    made = world(1)
    full = tables.build(gathered(made.records, made.span, messages=True))
    empty = tables.build(gathered([], made.span, messages=True))

    assert {name: table.schema for name, table in empty.items()} == {
        name: t.schema for name, t in full.items()
    }
    assert all(len(table) == 0 for table in empty.values())


SCRIPT = """
import runpy, sys
from pathlib import Path
made = runpy.run_path(sys.argv[1])
world = made["World"](11, areas=2, vehicles=4)
from voltagora.results.result import Result
collector = made["gather"](world.records, world.span, messages=True)
Result.of(collector, {"name": "made-up", "seed": 11}).save(sys.argv[2])
"""


def test_files_have_the_same_bytes_under_any_hash_seed(tmp_path: Path) -> None:
    digests = []
    for hash_seed in ("0", "12345"):
        folder = tmp_path / hash_seed / "run"
        subprocess.run(
            [sys.executable, "-c", SCRIPT, str(Path(__file__).with_name("conftest.py")), str(folder)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
        )
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        digests.append(
            {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
        )

    assert len(digests[0]) > 10
    assert digests[0] == digests[1]
