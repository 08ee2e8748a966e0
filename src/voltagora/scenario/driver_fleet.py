"""Vehicles that copy the drivers of a file, or the ten synthetic ones: the published experiment.

Source: domain.md section 4, "The experiment to reproduce first".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from voltagora.domain.fleet import Need, VehiclePlan
from voltagora.domain.units import Floats, Integers, round_energy
from voltagora.scenario.areas import Area
from voltagora.scenario.deviation import Stays, deviate, deviations
from voltagora.scenario.draws import Draws
from voltagora.scenario.driver import Driver
from voltagora.scenario.horizon import FIRST_NOTICE_SECONDS, Horizon
from voltagora.scenario.place import Places
from voltagora.scenario.settings import Scenario
from voltagora.scenario.traits import Traits


def driver_fleet(
    scenario: Scenario, area: Area, horizon: Horizon, drivers: Sequence[Driver]
) -> list[VehiclePlan]:
    """Draw an area's vehicles: vehicle n of N copies driver ⌊n·drivers/N⌋."""
    fleet = _Fleet(scenario, area, horizon)
    plans: list[VehiclePlan] = []
    for place, driver in enumerate(drivers):
        # The first n with ⌊n·drivers/N⌋ ≥ place is the ceiling of place·N/drivers.
        first = -(-place * area.vehicles // len(drivers))
        stop = -(-(place + 1) * area.vehicles // len(drivers))
        plans.extend(fleet.copies(driver, np.arange(first, stop)))
    return plans


class _Fleet:
    """What all vehicles of an area share while they are drawn."""

    def __init__(self, scenario: Scenario, area: Area, horizon: Horizon) -> None:
        self.scenario = scenario
        self.area = area
        self.horizon = horizon
        self.idle = Draws(scenario.seed, "idle", area.id)
        self.notice = Draws(scenario.seed, "notice", area.id)
        self.deviation = Draws(scenario.seed, "deviation", area.id)
        self.traits = Traits(scenario, area)
        self.places = Places(scenario, area, "vehicle")
        self.deviate = deviate(scenario.drivers)

    def copies(self, driver: Driver, numbers: Integers) -> list[VehiclePlan]:
        """Make the vehicles of these numbers, all of one driver."""
        sessions = [s for s in driver.sessions if self.horizon.start <= s.arrival < self.horizon.end]
        arrival = np.array([s.arrival for s in sessions], dtype=np.int64)
        charging = np.array([s.charging_seconds for s in sessions], dtype=np.int64)
        occasions = (arrival - self.horizon.start) // 3600
        idle_seconds = int(self.scenario.vehicles.idle_hours * 3600)
        idle = self.idle.whole(0, idle_seconds, numbers[:, None], occasions[None, :])
        departure = arrival + charging + idle
        kept = self._kept(arrival, departure)
        asks_at = self._asks_at(numbers, arrival, departure, occasions, kept)
        templates = [
            _template(driver, s.starting_soc, s.ending_soc, s.connector_type, s.power_kw) for s in sessions
        ]
        energy_kwh = np.array([t["energy_kwh"] for t in templates], dtype=np.float64)
        locations = self.places.of(numbers)
        plans = []
        for row, number in enumerate(numbers.tolist()):
            places = np.flatnonzero(kept[row])
            stays = Stays(asks_at[row, places], arrival[places], departure[row, places], energy_kwh[places])
            needs = self._needs(number, stays, occasions[places], [templates[p] for p in places])
            plans.append(self._plan(driver, number, locations[row], needs))
        return plans

    def _kept(self, arrival: Integers, departure: Integers) -> np.ndarray:
        """Leave out stays without prices in time, and those that begin before the last one ends."""
        kept = self.horizon.bookable(np.broadcast_to(arrival, departure.shape), departure)
        free_from = np.zeros(len(departure), dtype=np.int64)
        for place in range(len(arrival)):
            kept[:, place] &= arrival[place] >= free_from
            free_from = np.where(kept[:, place], departure[:, place], free_from)
        return kept

    def _asks_at(
        self, numbers: Integers, arrival: Integers, departure: Integers, occasions: Integers, kept: np.ndarray
    ) -> Integers:
        """Draw when each stay is asked for; shape (vehicles, stays)."""
        drawn = self.notice.uniform(numbers[:, None], occasions[None, :])
        asks_at = self.horizon.asks_at(np.broadcast_to(arrival, departure.shape), departure, drawn)
        rows = np.flatnonzero(kept.any(axis=1))
        if not len(rows):
            return asks_at  # Nobody has a stay, and then there may not even be a column for one.
        first = kept[rows].argmax(axis=1)
        # Vehicles of a type are told apart by the second at which they first ask, lest they
        # all ask in one wave.
        soonest = self.horizon.prices_known_at(departure[rows, first])
        asks_at[rows, first] = np.maximum(
            arrival[first] - FIRST_NOTICE_SECONDS + numbers[rows] % 3600, soonest
        )
        return asks_at

    def _needs(
        self, number: int, stays: Stays, occasions: Integers, templates: Sequence[dict[str, Any]]
    ) -> tuple[Need, ...]:
        rows = zip(
            stays.asks_at.tolist(), stays.arrival.tolist(), stays.departure.tolist(), templates, strict=True
        )
        if self.deviate:
            others = deviations(self.scenario.drivers, self.deviation, number, stays, occasions)
            needs = [
                Need(asks_at=asks, arrival=arrival, departure=departure, **template, **other)
                for (asks, arrival, departure, template), other in zip(rows, others, strict=True)
            ]
        else:
            needs = [
                Need(asks_at=asks, arrival=arrival, departure=departure, **template)
                for asks, arrival, departure, template in rows
            ]
        needs.sort(key=lambda need: need.asks_at)
        return tuple(needs)

    def _plan(self, driver: Driver, number: int, location: Any, needs: tuple[Need, ...]) -> VehiclePlan:
        return VehiclePlan(
            id=self.area.vehicle_name(number),
            vehicle_type=driver.model,
            location=location,
            connector_type=driver.connector_type,
            power_kw=driver.power_kw,
            capacity_kwh=driver.capacity_kwh,
            max_soc=1.0,
            max_charge_kw=driver.power_kw,
            max_discharge_kw=driver.power_kw,
            needs=needs,
            **self.traits.of(number),
        )


def _template(
    driver: Driver, starting_soc: float, ending_soc: float, connector_type: str | None, power_kw: float | None
) -> dict[str, Any]:
    """Give the fields of a need that all copies of a driver share."""
    fields: dict[str, Any] = {
        "soc": starting_soc,
        "energy_kwh": round_energy((ending_soc - starting_soc) * driver.capacity_kwh),
    }
    if connector_type is not None:
        fields["connector_type"] = connector_type
    if power_kw is not None:
        fields["power_kw"] = power_kw
    return fields


def mean_bookings(plans: Sequence[VehiclePlan]) -> float:
    """Count the stays a vehicle will want to book, on average; 0 without vehicles."""
    counts: Floats = np.array([len(plan.needs) for plan in plans], dtype=np.float64)
    return float(counts.mean()) if len(counts) else 0.0
