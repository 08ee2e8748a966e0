"""The smallest market in which two want the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from doomed import DoomedMarket
from live_market import a_scenario

from voltagora.domain.fleet import Need
from voltagora.scenario.horizon import Horizon
from voltagora.scenario.population import population


def a_tiny_market(folder: Path, **more: Any) -> DoomedMarket:
    """Two vehicles that want one connector at the same time, twice; one of them cancels."""
    scenario = a_scenario(
        "vehicles.count=2",
        "stations.count=1",
        "stations.connectors_per_kind=1",
        "days=1",
        "scheduling.strategy=lowest_price",
    )
    people = population(scenario)
    (plan,) = people.areas
    (station,) = plan.stations
    connector = station.connectors[2]
    begin = Horizon(scenario).start

    def need(asks: float, arrives: float, leaves: float, **changes: Any) -> Need:
        hours = (asks, arrives, leaves)
        asks_at, arrival, departure = (begin + int(each * 3600) for each in hours)
        return Need(
            asks_at=asks_at,
            arrival=arrival,
            departure=departure,
            energy_kwh=3.0,
            soc=0.5,
            connector_type=connector.connector_type,
            power_kw=connector.power_kw,
            **changes,
        )

    cancels = {"changes_at": begin + int(3.5 * 3600), "cancels": True}
    needs = (
        (need(2.5, 4, 5), need(2.8, 6, 7, **cancels)),
        (need(2.55, 4.5, 5.5), need(3.1, 6.5, 7.5)),
    )
    replace = msgspec.structs.replace
    vehicles = [
        replace(each, network=None, needs=own) for each, own in zip(plan.vehicles, needs, strict=True)
    ]
    smaller = replace(plan, vehicles=tuple(vehicles), stations=(replace(station, connectors=(connector,)),))
    more = {"speed": 240.0, "end": begin + 9 * 3600} | more
    return DoomedMarket(scenario, replace(people, areas=(smaller,)), folder, **more)
