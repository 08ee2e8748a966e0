"""The charging stations of a grid area."""

from __future__ import annotations

import numpy as np

from voltagora.domain.fleet import StationPlan
from voltagora.domain.location import Location
from voltagora.domain.station import CONNECTOR_KINDS, Connector
from voltagora.domain.units import round_energy
from voltagora.scenario.areas import Area, in_turn
from voltagora.scenario.draws import Draws
from voltagora.scenario.listed import ListedStation
from voltagora.scenario.place import Places
from voltagora.scenario.settings import Scenario


def stations(scenario: Scenario, area: Area) -> list[StationPlan]:
    """Make an area's stations: first the drawn ones, then the listed ones.

    A drawn station has `connectors_per_kind` connectors of each of the eight kinds and a grid
    limit that is a share of the sum of their powers; its network comes in turn.
    """
    settings = scenario.stations
    numbers = np.arange(area.stations)
    locations = Places(scenario, area, "station").of(numbers)
    networks = in_turn(area.stations, [network.station_share for network in area.networks])
    plans = []
    for number, location, network in zip(numbers.tolist(), locations, networks, strict=True):
        connectors = _connectors(scenario, area, number)
        limit = sum(connector.power_kw for connector in connectors) * settings.grid_limit_share
        plans.append(
            StationPlan(
                id=area.station_name(number),
                network=area.networks[network].id,
                location=location,
                connectors=connectors,
                grid_limit_kw=round_energy(limit),
            )
        )
    return plans + [_listed(station, area) for station in settings.list if _is_in(station, area, scenario)]


def _connectors(scenario: Scenario, area: Area, number: int) -> tuple[Connector, ...]:
    settings = scenario.stations
    count = settings.connectors_per_kind * len(CONNECTOR_KINDS)
    if settings.v2g_share in (0, 1):
        capable = [settings.v2g_share == 1] * count
    else:
        drawn = Draws(scenario.seed, "connector", area.id).uniform(number, np.arange(count))
        capable = (drawn < settings.v2g_share).tolist()
    return tuple(
        Connector(
            id=f"c{place:0{len(str(count - 1))}d}",
            connector_type=kind.connector_type,
            power_kw=kind.power_kw,
            level=kind.level,
            v2g_capable=capable[place],
        )
        for place, kind in enumerate(
            kind for kind in CONNECTOR_KINDS for _ in range(settings.connectors_per_kind)
        )
    )


def _is_in(station: ListedStation, area: Area, scenario: Scenario) -> bool:
    return area.id == (station.area or (scenario.areas[0].id if scenario.areas else area.id))


def _listed(station: ListedStation, area: Area) -> StationPlan:
    plugs = [plug for plug in station.connectors for _ in range(plug.count)]
    connectors = tuple(
        Connector(
            id=f"c{place:0{len(str(len(plugs) - 1))}d}",
            connector_type=plug.connector_type,
            power_kw=round_energy(plug.power_kw),
            level=plug.level,
            v2g_capable=plug.v2g_capable,
        )
        for place, plug in enumerate(plugs)
    )
    return StationPlan(
        id=station.id,
        network=station.network or area.networks[0].id,
        location=Location(latitude=station.latitude, longitude=station.longitude),
        connectors=connectors,
        grid_limit_kw=round_energy(station.grid_limit_kw or sum(plug.power_kw for plug in connectors)),
    )
