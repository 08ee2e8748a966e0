"""Vehicles that are driven to work, on errands and on long trips, each in its own way.

A vehicle has a home, perhaps a place of work, and a car of one of five classes. Day by day its
battery is emptied by driving; it is plugged in at work or at home overnight once it is low
enough, and fast on the way of a long trip. What it plans is what it asks for: energy up to its
driver's usual target, a stay as long as its car stands there anyway.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from voltagora.domain.fleet import Need, VehiclePlan
from voltagora.domain.station import CONNECTOR_KINDS
from voltagora.domain.units import Floats, Integers
from voltagora.scenario.areas import Area
from voltagora.scenario.deviation import Stays, deviate, deviations
from voltagora.scenario.draws import Draws
from voltagora.scenario.horizon import Horizon
from voltagora.scenario.place import Places
from voltagora.scenario.settings import Scenario
from voltagora.scenario.traits import Traits
from voltagora.scenario.trips import Occasion, Trips


class CarClass(NamedTuple):
    """Cars that are alike."""

    name: str
    share: float
    capacity_kwh: float
    kind: int  # place in CONNECTOR_KINDS of the connector it uses where it stands for hours
    fast_kind: int | None  # ...and on the way; None: it has no fast charging
    discharge_kw: float


CAR_CLASSES: tuple[CarClass, ...] = (
    CarClass("plug-in-hybrid", 0.10, 14.0, 1, None, 3.7),
    CarClass("small", 0.27, 36.0, 2, 6, 7.4),
    CarClass("compact", 0.33, 58.0, 3, 6, 11.0),
    CarClass("large", 0.20, 77.0, 3, 7, 11.0),
    CarClass("van", 0.10, 90.0, 4, 7, 22.0),
)


class _Column(IntEnum):
    CAR = 0


def trip_fleet(scenario: Scenario, area: Area, horizon: Horizon) -> list[VehiclePlan]:
    """Draw an area's vehicles with all their stays."""
    if not area.vehicles:
        return []
    numbers = np.arange(area.vehicles)
    drawn = Draws(scenario.seed, "car", area.id).uniform(numbers, _Column.CAR)
    limits = np.cumsum([car.share for car in CAR_CLASSES])
    classes = np.minimum(np.searchsorted(limits, drawn, side="right"), len(CAR_CLASSES) - 1)
    fleet = _Fleet(scenario, area, horizon, classes)
    return [fleet.plan(number) for number in range(area.vehicles)]


class _Fleet:
    """An area's vehicles while they are drawn: all stays as arrays of shape (vehicles, stays)."""

    def __init__(self, scenario: Scenario, area: Area, horizon: Horizon, classes: Integers) -> None:
        self.scenario = scenario
        self.area = area
        self.classes = classes
        numbers = np.arange(len(classes))
        self.homes = Places(scenario, area, "vehicle").of(numbers)
        self.works = Places(scenario, area, "work").of(numbers)
        self.ways = Places(scenario, area, "way").of(numbers)
        self.traits = Traits(scenario, area)
        self.deviate = deviate(scenario.drivers)
        self.deviation = Draws(scenario.seed, "deviation", area.id)
        self.trips = Trips(scenario, area, horizon, *_powers(classes))
        arrival, departure = self.trips.arrival, self.trips.departure
        self.kept = self.trips.wanted & horizon.bookable(arrival, departure) & _apart(self.trips)
        occasions = np.arange(arrival.shape[1])
        notice = Draws(scenario.seed, "notice", area.id).uniform(numbers[:, None], occasions[None, :])
        self.asks_at = horizon.asks_at(arrival, departure, notice)

    def plan(self, number: int) -> VehiclePlan:
        """Make the vehicle of this number."""
        car = CAR_CLASSES[self.classes[number]]
        kind = CONNECTOR_KINDS[car.kind]
        fastest = CONNECTOR_KINDS[car.kind if car.fast_kind is None else car.fast_kind]
        return VehiclePlan(
            id=self.area.vehicle_name(number),
            vehicle_type=car.name,
            location=self.homes[number],
            connector_type=kind.connector_type,
            power_kw=kind.power_kw,
            capacity_kwh=car.capacity_kwh,
            max_soc=1.0,
            max_charge_kw=fastest.power_kw,
            max_discharge_kw=car.discharge_kw,
            needs=self._needs(number, car),
            **self.traits.of(number),
        )

    def _needs(self, number: int, car: CarClass) -> tuple[Need, ...]:
        places = np.flatnonzero(self.kept[number])
        trips = self.trips
        stays = Stays(
            self.asks_at[number, places],
            trips.arrival[number, places],
            trips.departure[number, places],
            trips.energy_kwh[number, places],
        )
        others: list[dict[str, Any]] = [{}] * len(places)
        if self.deviate:
            others = deviations(self.scenario.drivers, self.deviation, number, stays, places)
        needs = [
            Need(
                asks_at=asks_at,
                arrival=arrival,
                departure=departure,
                energy_kwh=energy_kwh,
                soc=soc,
                **self._where(number, car, Occasion(place % len(Occasion))),
                **other,
            )
            for asks_at, arrival, departure, energy_kwh, soc, place, other in zip(
                stays.asks_at.tolist(),
                stays.arrival.tolist(),
                stays.departure.tolist(),
                stays.energy_kwh.tolist(),
                trips.soc[number, places].tolist(),
                places.tolist(),
                others,
                strict=True,
            )
        ]
        needs.sort(key=lambda need: need.asks_at)
        return tuple(needs)

    def _where(self, number: int, car: CarClass, occasion: Occasion) -> dict[str, Any]:
        if occasion is Occasion.WORK:
            return {"location": self.works[number]}
        if occasion is Occasion.WAY and car.fast_kind is not None:
            kind = CONNECTOR_KINDS[car.fast_kind]
            return {
                "location": self.ways[number],
                "connector_type": kind.connector_type,
                "power_kw": kind.power_kw,
            }
        return {}


def _powers(classes: Integers) -> tuple[Floats, Floats, Floats]:
    """Give each vehicle's capacity, kWh, and its usual and fast power, kW (0: no fast charging)."""
    cars = [
        (
            car.capacity_kwh,
            CONNECTOR_KINDS[car.kind].power_kw,
            0.0 if car.fast_kind is None else CONNECTOR_KINDS[car.fast_kind].power_kw,
        )
        for car in CAR_CLASSES
    ]
    capacity, usual, fast = np.array(cars, dtype=np.float64)[classes].T
    return capacity, usual, fast


def _apart(trips: Trips) -> np.ndarray:
    """Leave out a stay that would begin before the vehicle's last one ends."""
    kept = trips.wanted.copy()
    free_from = np.zeros(len(kept), dtype=np.int64)
    for place in range(kept.shape[1]):
        kept[:, place] &= trips.arrival[:, place] >= free_from
        free_from = np.where(kept[:, place], trips.departure[:, place], free_from)
    return kept
