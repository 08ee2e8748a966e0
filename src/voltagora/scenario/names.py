"""The names in a scenario: unique over all kinds of agents, and none that refers to nothing."""

from __future__ import annotations

from collections.abc import Iterator

from voltagora.domain.errors import InputError
from voltagora.scenario.areas import Area, areas
from voltagora.scenario.settings import Scenario
from voltagora.strategies.parameters import nearest_of

LONGEST_AREA_ID = 40
"""Names of agents hold their area's and must stay within 64 characters."""


def name_errors(scenario: Scenario) -> list[InputError]:
    """List the names that are taken twice, too long, or of no such area or network."""
    if scenario.vehicles.count + scenario.stations.count == 0 and not (
        scenario.areas or scenario.vehicles.list or scenario.stations.list
    ):
        return []
    resolved = areas(scenario)
    errors = list(_area_errors(scenario))
    errors.extend(_agent_errors(scenario, resolved))
    errors.extend(_reference_errors(scenario, resolved))
    return errors


def _area_errors(scenario: Scenario) -> Iterator[InputError]:
    area_at: dict[str, str] = {}
    network_at: dict[str, str] = {}
    for place, area in enumerate(scenario.areas):
        path = f"areas[{place}]"
        if len(area.id) > LONGEST_AREA_ID:
            yield InputError(f"{path}.id", area.id, f"at most {LONGEST_AREA_ID} characters long")
        yield from _taken(area_at, area.id, f"{path}.id")
        for number, network in enumerate(area.networks):
            # A recommender answers for its network alone: two of one name could not be told apart.
            yield from _taken(network_at, network.id, f"{path}.networks[{number}].id")


def _agent_errors(scenario: Scenario, resolved: list[Area]) -> Iterator[InputError]:
    named_at: dict[str, str] = {}
    for area in resolved:
        for made in (area.imbalance, area.pricing, *(name for name, _ in area.recommenders)):
            named_at[made] = "the scenario's areas"
        for source in scenario.grid.producers:
            named_at[area.named("ep", source)] = "the scenario's areas"
        named_at[area.named("ec", "load")] = "the scenario's areas"
    listed = [(f"stations.list[{i}].id", each.id) for i, each in enumerate(scenario.stations.list)]
    listed += [(f"vehicles.list[{i}].id", each.id) for i, each in enumerate(scenario.vehicles.list)]
    for path, name in listed:
        if any(_is_drawn(name, area) for area in resolved):
            yield InputError(path, name, "no name that a drawn vehicle or station has")
        yield from _taken(named_at, name, path)


def _taken(known: dict[str, str], name: str, path: str) -> Iterator[InputError]:
    if name in known:
        yield InputError(path, name, f"a name of its own; it is already at {known[name]}")
    known.setdefault(name, path)


def _is_drawn(name: str, area: Area) -> bool:
    digits = name[len(name.rstrip("0123456789")) :]
    if not digits or len(digits) > 12:
        return False
    number = int(digits)
    return (number < area.vehicles and name == area.vehicle_name(number)) or (
        number < area.stations and name == area.station_name(number)
    )


def _reference_errors(scenario: Scenario, resolved: list[Area]) -> Iterator[InputError]:
    by_id = {area.id: area for area in resolved}
    things = [
        (f"stations.list[{i}]", each.area, each.network) for i, each in enumerate(scenario.stations.list)
    ]
    things += [
        (f"vehicles.list[{i}]", each.area, each.network) for i, each in enumerate(scenario.vehicles.list)
    ]
    for path, area_id, network in things:
        if area_id is not None and area_id not in by_id:
            yield InputError(f"{path}.area", area_id, nearest_of(area_id, by_id))
            continue
        area = by_id[area_id] if area_id is not None else resolved[0]
        known = [each.id for each in area.networks]
        if network is not None and network not in known:
            yield InputError(f"{path}.network", network, nearest_of(network, known))
