"""Every figure that a run is judged by, under the names of run.json; docs/kpis.md defines them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from voltagora.domain.records import SessionState
from voltagora.domain.units import Floats
from voltagora.results.balance import Balance, Number, seconds, share, tidy
from voltagora.results.collector import Span
from voltagora.results.tables import protocol_order

Metrics = dict[str, Any]
Tables = Mapping[str, pa.Table]

PROTOCOLS = tuple(f"CP{number}" for number in range(1, 13))
RELEASED = (SessionState.CANCELLED.value, SessionState.NO_SHOW.value)
OPEN = (SessionState.BOOKED.value, SessionState.CHARGING.value)


def compute(tables: Tables, span: Span, first_slot: pa.Table | None = None) -> Metrics:
    """Compute every metric of a run, and of each of its areas if there are several.

    Args:
        tables: as `tables.build` gives them.
        span: the time that counts.
        first_slot: the slots table of the same fleet charging at once, for `with_first_slot`.
    """
    metrics = _of(tables, span, first_slot)
    areas = sorted({*pc.unique(tables["slots"]["area"]).to_pylist(), *_areas(tables)})
    if len(areas) > 1:
        metrics["areas"] = {
            area: _of(
                {name: _in_area(table, area) for name, table in tables.items()},
                span,
                None if first_slot is None else _in_area(first_slot, area),
            )
            for area in areas
        }
    return metrics


def _of(tables: Tables, span: Span, first_slot: pa.Table | None) -> Metrics:
    balance = Balance.of(tables["slots"])
    metrics = energy_and_cost(tables)
    metrics |= bookings(tables, span)
    metrics |= balance.metrics()
    metrics["charging_in_surplus_share"] = balance.charging_in_surplus_share()
    metrics |= money(tables)
    metrics["occupancy_share"] = occupancy_share(tables, span)
    metrics |= fairness(tables["vehicles"])
    metrics |= messages(tables["message_counts"])
    metrics["without_vehicles"] = balance.metrics_without_vehicles()
    if first_slot is not None:
        metrics["with_first_slot"] = Balance.of(first_slot).metrics()
    return metrics


def energy_and_cost(tables: Tables) -> Metrics:
    """What was charged and discharged at the connectors, and what a kWh and a vehicle cost."""
    sessions, vehicles = tables["sessions"], tables["vehicles"]
    charged = _sum(sessions["charged_by_end_kwh"])
    cost = _sum(sessions["cost_by_end_eur"])
    return {
        "average_cost_eur_per_vehicle": share(_sum(vehicles["cost_eur"]), len(vehicles)),
        "cost_eur_per_kwh_charged": share(cost, charged),
        "charged_kwh": tidy(charged),
        "discharged_kwh": tidy(_sum(sessions["discharged_by_end_kwh"])),
    }


def bookings(tables: Tables, span: Span) -> Metrics:
    """What was asked for, what came of it, and each `no` on the way."""
    needs = tables["needs"]
    made = needs["reservation"].is_valid()
    return {
        "bookings_asked": len(needs),
        "bookings_made": int(pc.sum(made).as_py() or 0),
        "bookings_given_up": _count_by(needs.filter(pc.invert(made))["outcome"]),
        "refusals": _count_by(tables["refusals"]["reason"]),
        "need_met_share": need_met_share(needs, tables["sessions"], span.end),
    }


def need_met_share(needs: pa.Table, sessions: pa.Table, end: int) -> Number:
    """Divide what batteries gained by what was asked, over the stays that depart by the end of the run."""
    asked = needs.filter(pa.array(seconds(needs["departure"]) <= end))
    place = pc.index_in(sessions["reservation"], value_set=asked["reservation"].drop_null().combine_chunks())
    gained = sessions.filter(place.is_valid())["gained_by_end_kwh"]
    return share(_sum(gained), _sum(asked["energy_kwh"]))


def money(tables: Tables) -> Metrics:
    """What the market keeps, and what stations billed for sessions that are over."""
    ledger, sessions = tables["ledger"], tables["sessions"]
    market = ledger.filter(pc.equal(ledger["account"], "MD"))
    over = sessions.filter(pc.invert(pc.is_in(sessions["state"], value_set=pa.array(OPEN))))
    return {
        "md_balance_eur": tidy(_sum(market["balance_eur"])) if len(market) else None,
        "station_revenue_eur": tidy(_sum(over["cost_eur"])),
    }


def occupancy_share(tables: Tables, span: Span) -> Number:
    """Divide connector-hours reserved within the run by those there are; released reservations hold none."""
    sessions = tables["sessions"]
    held = sessions.filter(pc.invert(pc.is_in(sessions["state"], value_set=pa.array(RELEASED))))
    start = np.maximum(seconds(held["arrival"]), span.start)
    end = np.minimum(seconds(held["departure"]), span.end)
    reserved_hours = float(np.maximum(end - start, 0).sum()) / 3600
    return share(reserved_hours, int(pc.sum(tables["stations"]["connectors"]).as_py() or 0) * span.hours)


def fairness(vehicles: pa.Table) -> Metrics:
    """How cost and wear spread over the vehicles."""
    cost = np.sort(vehicles["cost_eur"].to_numpy())
    if not len(cost):
        return dict.fromkeys(("full_cycles", "cost_gini", "cost_p50_eur", "cost_p95_eur"))
    return {
        "full_cycles": tidy(vehicles["full_cycles"].to_numpy().mean()),
        "cost_gini": gini(cost),
        "cost_p50_eur": tidy(np.percentile(cost, 50)),
        "cost_p95_eur": tidy(np.percentile(cost, 95)),
    }


def gini(ascending: Floats) -> Number:
    """Compute ΣΣ|x_i − x_j| / (2·n²·|mean|) of sorted values; None where the mean is 0.

    Of sorted values ΣΣ|x_i − x_j| is 2·Σ(2i − n + 1)·x_i with i from 0, which needs no pairs.
    """
    n = len(ascending)
    weights = 2.0 * np.arange(n) - n + 1
    return share(float((weights * ascending).sum()), float(n * abs(ascending.sum())))


def messages(counts: pa.Table) -> Metrics:
    """Publications by protocol, those without any included."""
    found = dict.fromkeys(PROTOCOLS, 0)
    for protocol, count in zip(counts["protocol"].to_pylist(), counts["count"].to_pylist(), strict=True):
        found[protocol] = found.get(protocol, 0) + count
    ordered = {name: found[name] for name in sorted(found, key=protocol_order)}
    return {"messages": ordered, "messages_total": sum(found.values())}


def _areas(tables: Tables) -> set[str]:
    return {area for name in ("vehicles", "stations") for area in pc.unique(tables[name]["area"]).to_pylist()}


def _in_area(table: pa.Table, area: str) -> pa.Table:
    return table.filter(pc.equal(table["area"], area))


def _count_by(words: pa.ChunkedArray) -> dict[str, int]:
    counted = pc.value_counts(words)
    pairs = zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
    return dict(sorted(pairs))


def _sum(values: pa.ChunkedArray) -> float:
    return float(values.to_numpy().sum()) if len(values) else 0.0
