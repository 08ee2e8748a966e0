"""The tables of a run: what `sessions.parquet`, `slots.parquet` and the others hold.

The columns are documented in docs/kpis.md. Rows are ordered by area, then by the key that
names them, so that the bytes do not depend on the order in which areas were computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from voltagora.domain.records import (
    DayRecord,
    LedgerRecord,
    MessageCountRecord,
    MessageRecord,
    NeedRecord,
    RefusalRecord,
    StationRecord,
    VehicleRecord,
)
from voltagora.domain.units import ENERGY_DECIMALS, Floats, round_array
from voltagora.results.collector import Collector
from voltagora.results.sessions import SERIES, SessionColumns

UTC = pa.timestamp("ms", tz="UTC")
TEXT, NUMBER, COUNT, FLAG, LIST = pa.string(), pa.float64(), pa.int64(), pa.bool_(), pa.list_(pa.float64())

SESSIONS = pa.schema(
    [
        *((name, TEXT) for name in ("reservation", "area", "network", "vehicle", "station", "connector")),
        *((name, UTC) for name in ("arrival", "departure")),
        *((name, NUMBER) for name in ("energy_kwh", "capacity_kwh", "soc_at_arrival", "power_kw")),
        ("v2g", FLAG),
        ("state", TEXT),
        ("revision", COUNT),
        ("first_slot", UTC),
        ("step_minutes", COUNT),
        *((name, LIST) for name in SERIES),
        *((name, NUMBER) for name in ("charged_kwh", "discharged_kwh", "compensation_eur", "cost_eur")),
        *((name, NUMBER) for name in ("charge_efficiency", "discharge_efficiency")),
        *((name, NUMBER) for name in ("charged_by_end_kwh", "discharged_by_end_kwh")),
        *((name, NUMBER) for name in ("gained_by_end_kwh", "cost_by_end_eur")),
    ]
)
SLOTS = pa.schema(
    [
        ("area", TEXT),
        ("start", UTC),
        *((name, NUMBER) for name in ("supply_kwh", "demand_kwh", "base_supply_kwh", "base_demand_kwh")),
        *((name, NUMBER) for name in ("charging_kwh", "discharging_kwh")),
        *((name, NUMBER) for name in ("buy_eur_per_kwh", "sell_eur_per_kwh")),
        ("step_minutes", COUNT),
    ]
)
VEHICLES = pa.schema(
    [
        *((name, TEXT) for name in ("area", "vehicle", "vehicle_type")),
        ("capacity_kwh", NUMBER),
        *((name, COUNT) for name in ("bookings_asked", "bookings_made")),
        *((name, NUMBER) for name in ("charged_kwh", "discharged_kwh", "cost_eur", "full_cycles")),
    ]
)
REFUSALS = pa.schema(
    [
        ("area", TEXT),
        ("at", UTC),
        ("vehicle", TEXT),
        ("need", COUNT),
        *((name, TEXT) for name in ("protocol", "responder", "reason", "field")),
        ("possible_kwh", NUMBER),
    ]
)
NEEDS = pa.schema(
    [
        ("area", TEXT),
        ("vehicle", TEXT),
        ("need", COUNT),
        *((name, UTC) for name in ("asked_at", "arrival", "departure")),
        ("energy_kwh", NUMBER),
        ("rounds", COUNT),
        *((name, TEXT) for name in ("reservation", "outcome")),
    ]
)
STATIONS = pa.schema(
    [
        *((name, TEXT) for name in ("area", "station", "network")),
        ("connectors", COUNT),
        ("grid_limit_kw", NUMBER),
    ]
)
LEDGER = pa.schema([("area", TEXT), ("account", TEXT), ("balance_eur", NUMBER)])
MESSAGE_COUNTS = pa.schema([("area", TEXT), ("protocol", TEXT), ("count", COUNT)])
MESSAGES = pa.schema(
    [
        ("area", TEXT),
        ("at", UTC),
        ("wave", COUNT),
        *((name, TEXT) for name in ("protocol", "topic", "sender", "payload")),
    ]
)


def build(collector: Collector) -> dict[str, pa.Table]:
    """Make every table of a run from its records.

    Returns:
        By file name without its ending: `sessions`, `slots`, `vehicles`, `refusals`, `needs`,
        `stations`, `ledger`, `message_counts`, and `messages` if the collector kept them.
    """
    collector.settle()
    take = collector.records
    tables = {
        "sessions": sessions_table(collector.session_columns, series=collector.session_series),
        "slots": slots_table(take(DayRecord), collector.span.end),
        "refusals": _rows(REFUSALS, take(RefusalRecord), _refusal_key),
        "needs": _needs_table(take(NeedRecord)),
        "stations": _rows(STATIONS, take(StationRecord), lambda it: (it.area, it.station)),
        "ledger": _rows(LEDGER, take(LedgerRecord), lambda it: (it.area, it.account)),
        "message_counts": _counts_table(take(MessageCountRecord)),
    }
    tables["vehicles"] = vehicles_table(take(VehicleRecord), tables["sessions"], tables["needs"])
    if collector.messages:
        tables["messages"] = _messages_table(take(MessageRecord))
    return tables


def slots_of(collector: Collector) -> pa.Table:
    """Make only the slots table of a run: what another run is compared with."""
    return slots_table(collector.records(DayRecord), collector.span.end)


def sessions_table(chunks: Sequence[SessionColumns], *, series: bool) -> pa.Table:
    """One row a reservation, by area, arrival and name."""
    schema = SESSIONS if series else _without(SESSIONS, SERIES)
    parts = [_sessions_part(chunk, schema) for chunk in chunks]
    table = pa.concat_tables(parts).combine_chunks() if parts else schema.empty_table()
    keys = [(name, "ascending") for name in ("area", "arrival", "reservation")]
    return table.take(pc.sort_indices(table, sort_keys=keys))


def _sessions_part(chunk: SessionColumns, schema: pa.Schema) -> pa.Table:
    columns: dict[str, pa.Array] = {name: pa.array(values, TEXT) for name, values in chunk.texts.items()}
    columns |= {name: pa.array(values, COUNT) for name, values in chunk.integers.items()}
    columns |= {name: pa.array(values, NUMBER) for name, values in chunk.numbers.items()}
    columns |= {name: _instants(chunk.integers[name]) for name in ("arrival", "departure", "first_slot")}
    columns["v2g"] = pa.array(chunk.v2g, FLAG)
    if chunk.series is not None:
        offsets = pa.array(np.concatenate([[0], np.cumsum(chunk.lengths)]), pa.int32())
        columns |= {
            name: pa.ListArray.from_arrays(offsets, pa.array(values)) for name, values in chunk.series.items()
        }
    return pa.table([columns[name] for name in schema.names], schema=schema)


def slots_table(days: Iterable[DayRecord], end: int) -> pa.Table:
    """One row an area and slot, of those that start before `end`; an unknown price is null."""
    ordered = sorted(days, key=lambda day: (day.area, day.start))

    def column(name: str) -> Floats:
        return np.concatenate([getattr(day, name) for day in ordered]) if ordered else np.zeros(0)

    lengths = [len(day.production_kwh) for day in ordered]
    starts = [
        day.start + place * day.step_minutes * 60
        for day in ordered
        for place in range(len(day.production_kwh))
    ]
    production, consumption = column("production_kwh"), column("consumption_kwh")
    charging, discharging = column("charging_kwh"), column("discharging_kwh")
    table = pa.table(
        [
            pa.array(
                [day.area for day, slots in zip(ordered, lengths, strict=True) for _ in range(slots)], TEXT
            ),
            _instants(np.array(starts, dtype=np.int64)),
            # Sums are rounded as the wire does, so that no noise of addition reaches a file.
            pa.array(round_array(production + discharging, ENERGY_DECIMALS)),
            pa.array(round_array(consumption + charging, ENERGY_DECIMALS)),
            pa.array(production),
            pa.array(consumption),
            pa.array(charging),
            pa.array(discharging),
            pa.array(column("buy_eur_per_kwh"), from_pandas=True),
            pa.array(column("sell_eur_per_kwh"), from_pandas=True),
            pa.array(np.repeat([day.step_minutes for day in ordered], lengths).astype(np.int64)),
        ],
        schema=SLOTS,
    )
    return table.filter(pa.array(np.array(starts, dtype=np.int64) < end)).combine_chunks()


def vehicles_table(records: Iterable[VehicleRecord], sessions: pa.Table, needs: pa.Table) -> pa.Table:
    """One row a vehicle, with its sums to the last day's end."""
    ordered = sorted(records, key=lambda vehicle: (vehicle.area, vehicle.vehicle))
    names = pa.array([vehicle.vehicle for vehicle in ordered], TEXT)
    capacity = np.array([vehicle.capacity_kwh for vehicle in ordered], dtype=np.float64)
    of_session, of_need = _owner(sessions, names), _owner(needs, names)

    def total(column: str) -> Floats:
        return _sum_by(of_session, sessions[column].to_numpy(), len(ordered))

    charged, discharged = total("charged_by_end_kwh"), total("discharged_by_end_kwh")
    made = needs["reservation"].is_valid().to_numpy().astype(np.float64)
    return pa.table(
        [
            pa.array([vehicle.area for vehicle in ordered], TEXT),
            names,
            pa.array([vehicle.vehicle_type for vehicle in ordered], TEXT),
            pa.array(capacity, from_pandas=True),
            pa.array(_sum_by(of_need, np.ones(len(needs)), len(ordered)).astype(np.int64)),
            pa.array(_sum_by(of_need, made, len(ordered)).astype(np.int64)),
            pa.array(charged),
            pa.array(discharged),
            pa.array(total("cost_by_end_eur")),
            # Of a record a capacity may be unknown; whoever never moved a kWh made no cycle all the same.
            pa.array(np.where(charged + discharged > 0, (charged + discharged) / (2 * capacity), 0.0)),
        ],
        schema=VEHICLES,
    )


def _messages_table(records: Iterable[MessageRecord]) -> pa.Table:
    ordered = sorted(records, key=lambda message: (message.area, message.at, message.wave))
    table = _rows(_without(MESSAGES, ["payload"]), ordered, lambda _: 0)
    payloads = [message.payload.decode("utf-8", "backslashreplace") for message in ordered]
    return table.append_column(MESSAGES.field("payload"), pa.array(payloads, TEXT))


def _needs_table(records: Iterable[NeedRecord]) -> pa.Table:
    """One row a need, as its last record tells; what was booked stays named when it is cancelled."""
    latest: dict[tuple[str, str, int], NeedRecord] = {}
    for record in records:
        key = (record.area, record.vehicle, record.need)
        earlier = latest.get(key)
        if earlier is not None and record.reservation is None:
            record = msgspec.structs.replace(record, reservation=earlier.reservation)
        latest[key] = record
    return _rows(NEEDS, latest.values(), lambda need: (need.area, need.vehicle, need.need))


def _counts_table(records: Iterable[MessageCountRecord]) -> pa.Table:
    """Add up counts of one area and protocol, so that an area may be counted in parts."""
    counts: dict[tuple[str, str], int] = {}
    for record in records:
        key = (record.area, record.protocol)
        counts[key] = counts.get(key, 0) + record.count
    rows = [MessageCountRecord(area=area, protocol=name, count=n) for (area, name), n in counts.items()]
    return _rows(MESSAGE_COUNTS, rows, lambda it: (it.area, protocol_order(it.protocol)))


def protocol_order(protocol: str) -> tuple[int, str]:
    """Sort CP2 before CP10, and what is no protocol last."""
    number = protocol.removeprefix("CP")
    return (int(number), "") if number.isdecimal() else (1000, protocol)


def _refusal_key(refusal: RefusalRecord) -> tuple[Any, ...]:
    return (refusal.area, refusal.at, refusal.vehicle, refusal.need)


def _rows(schema: pa.Schema, records: Iterable[Any], key: Callable[[Any], Any]) -> pa.Table:
    """Lay small records out in the columns of a schema; equal keys keep their order of arrival."""
    ordered = sorted(records, key=key)
    columns = []
    for field in schema:
        values = [getattr(record, field.name) for record in ordered]
        instants = field.type == UTC
        columns.append(
            _instants(np.array(values, dtype=np.int64)) if instants else pa.array(values, field.type)
        )
    return pa.table(columns, schema=schema)


def _instants(seconds: Any) -> pa.Array:
    return pa.array(np.asarray(seconds, dtype=np.int64) * 1000, pa.int64()).cast(UTC)


def _owner(table: pa.Table, names: pa.Array) -> Any:
    """Find for each row the place of its vehicle among `names`; -1 if it is none of them."""
    return pc.fill_null(pc.index_in(table["vehicle"], value_set=names), -1).to_numpy()


def _sum_by(owner: Any, values: Any, count: int) -> Floats:
    known = owner >= 0
    sums: Floats = np.bincount(owner[known], weights=values[known], minlength=count).astype(np.float64)
    return sums


def _without(schema: pa.Schema, names: Iterable[str]) -> pa.Schema:
    left_out = frozenset(names)
    return pa.schema([field for field in schema if field.name not in left_out])
