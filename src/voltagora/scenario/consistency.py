"""What no single key of a scenario shows: keys that contradict each other or the strategies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from zoneinfo import ZoneInfo

from voltagora.domain.errors import InputError, InputErrors
from voltagora.scenario.horizon import Horizon
from voltagora.scenario.listed import ListedNeed, ListedVehicle
from voltagora.scenario.listed_fleet import seconds
from voltagora.scenario.names import name_errors
from voltagora.scenario.settings import STRATEGY_SECTIONS, Scenario, StrategySection
from voltagora.strategies import registry
from voltagora.strategies.parameters import nearest_of


def inconsistencies(scenario: Scenario) -> list[InputError]:
    """List everything about a scenario that cannot be."""
    errors = list(_time_errors(scenario))
    errors.extend(strategy_errors({kind: getattr(scenario, kind) for kind in STRATEGY_SECTIONS}))
    errors.extend(_share_errors(scenario))
    errors.extend(name_errors(scenario))
    if not errors:
        errors.extend(_listed_errors(scenario))
    return errors


def _time_errors(scenario: Scenario) -> Iterator[InputError]:
    try:
        ZoneInfo(scenario.time_zone)
    except (KeyError, ValueError, OSError):
        yield InputError("time_zone", scenario.time_zone, "an IANA time zone, like UTC or Europe/Athens")
        return
    try:
        Horizon(scenario)
    except InputError as error:
        yield error
    except OverflowError:
        yield InputError("start", str(scenario.start), "so early that the run ends before the year 10000")
    if not 1971 <= scenario.start.year <= 9900:
        yield InputError("start", str(scenario.start), "a date from 1971 to 9900")
    vehicles = scenario.vehicles
    if vehicles.behaviour == "drivers" and vehicles.idle_hours >= 24 * scenario.horizon_days:
        needed = int(vehicles.idle_hours // 24) + 1
        yield InputError(
            "horizon_days",
            scenario.horizon_days,
            f"at least {needed} with vehicles.idle_hours {vehicles.idle_hours:g}: a stay must end before the "
            "last slot whose price is known",
        )


def strategy_errors(sections: Mapping[str, StrategySection]) -> Iterator[InputError]:
    """Build each section's strategy to see whether it and its parameters exist."""
    for kind, section in sections.items():
        try:
            registry.build(kind, section.strategy, section.parameters)
        except InputErrors as several:
            yield from (_with_section_keys(error, kind, section) for error in several.errors)
        except InputError as error:
            yield _with_section_keys(error, kind, section)


def _with_section_keys(error: InputError, kind: str, section: StrategySection) -> InputError:
    """Name among the right keys of an unknown one also those of the section itself."""
    key = error.field.removeprefix(f"{kind}.")
    if key not in section.parameters:
        return error
    parameters = registry.find(kind, section.strategy).__struct_fields__
    if key in parameters:
        return error
    known = {*parameters, *type(section).__struct_fields__} - {"parameters"}
    return InputError(error.field, error.got, f"a known key, {nearest_of(key, known)}")


def _share_errors(scenario: Scenario) -> Iterator[InputError]:
    for key in ("vehicle_share", "station_share", "generation_share", "load_share"):
        if scenario.areas and not any(getattr(area, key) for area in scenario.areas):
            yield InputError(f"areas[0].{key}", 0.0, "above 0 in at least one area")
    for place, area in enumerate(scenario.areas):
        if area.networks and not any(network.station_share for network in area.networks):
            yield InputError(f"areas[{place}].networks[0].station_share", 0.0, "above 0 in one network")
    repeated = [p for i, p in enumerate(scenario.grid.producers) if p in scenario.grid.producers[:i]]
    if repeated:
        yield InputError("grid.producers", repeated[0], "named once")


def _listed_errors(scenario: Scenario) -> Iterator[InputError]:
    horizon = Horizon(scenario)
    for place, vehicle in enumerate(scenario.vehicles.list):
        path = f"vehicles.list[{place}]"
        if vehicle.min_soc > vehicle.max_soc:
            yield InputError(f"{path}.min_soc", vehicle.min_soc, f"at most max_soc ({vehicle.max_soc:g})")
        for number, need in enumerate(vehicle.needs):
            yield from _need_errors(need, f"{path}.needs[{number}]", horizon)
        yield from _overlaps(vehicle, path, horizon)


def _need_errors(need: ListedNeed, path: str, horizon: Horizon) -> Iterator[InputError]:
    zone = horizon.calendar.zone
    for key in ("arrival", "departure", "asks_at", "plugs_in_at", "unplugs_at", "changes_at"):
        moment = getattr(need, key)
        if moment is not None and moment.microsecond:
            yield InputError(f"{path}.{key}", moment.isoformat(), "a whole second")
    arrival, departure = seconds(need.arrival, zone), seconds(need.departure, zone)
    if departure <= arrival:
        yield InputError(
            f"{path}.departure", need.departure.isoformat(), f"after arrival ({need.arrival.isoformat()})"
        )
    if not horizon.start <= arrival < horizon.end:
        yield InputError(f"{path}.arrival", need.arrival.isoformat(), "within the days of the run")
    if need.asks_at is not None and not horizon.start <= seconds(need.asks_at, zone) <= arrival:
        yield InputError(f"{path}.asks_at", need.asks_at.isoformat(), "within the run and not after arrival")


def _overlaps(vehicle: ListedVehicle, path: str, horizon: Horizon) -> Iterator[InputError]:
    """A vehicle is at one place at a time."""
    zone = horizon.calendar.zone
    stays = sorted(
        (seconds(need.arrival, zone), seconds(need.departure, zone), place)
        for place, need in enumerate(vehicle.needs)
    )
    for (_, departure, _), (arrival, _, place) in pairwise(stays):
        if arrival < departure:
            yield InputError(
                f"{path}.needs[{place}].arrival",
                vehicle.needs[place].arrival.isoformat(),
                "not before the vehicle's stay before it ends",
            )
