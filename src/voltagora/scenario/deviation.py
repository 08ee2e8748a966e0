"""How drivers depart from what they booked: late, early, absent, or with another plan."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

from voltagora.domain.units import Floats, Integers, round_energy
from voltagora.scenario.draws import Draws
from voltagora.scenario.settings import DriverSettings


class _Column(IntEnum):
    """One column of draws per question, so that switching one on changes no other."""

    LATE = 0
    LATE_BY = 1
    EARLY = 2
    EARLY_BY = 3
    ABSENT = 4
    CANCEL = 5
    CHANGE = 6
    CHANGE_AT = 7
    DEPARTURE_BY = 8
    ENERGY_BY = 9


class Stays:
    """The stays of one vehicle as arrays of shape (stays,); times in seconds UTC, energy in kWh."""

    def __init__(self, asks_at: Integers, arrival: Integers, departure: Integers, energy_kwh: Floats) -> None:
        self.asks_at = asks_at
        self.arrival = arrival
        self.departure = departure
        self.energy_kwh = energy_kwh


def deviate(settings: DriverSettings) -> bool:
    """Tell whether any driver ever departs from what was booked."""
    return any(
        share > 0
        for share in (
            settings.late_share,
            settings.early_share,
            settings.absent_share,
            settings.cancel_share,
            settings.change_share,
        )
    )


def deviations(
    settings: DriverSettings, draws: Draws, vehicle: int, stays: Stays, occasions: Integers
) -> list[dict[str, Any]]:
    """Draw what each stay's driver will do otherwise.

    Args:
        settings: the `[drivers]` section.
        draws: the area's draws for this purpose.
        vehicle: number of the vehicle in its area.
        stays: its stays.
        occasions: a number for each stay that stays the same when others are left out.

    Returns:
        For each stay the fields of `Need` that differ from their defaults.
    """
    table = draws.uniform(vehicle, occasions[:, None] * len(_Column) + np.arange(len(_Column)))
    return [
        _deviation(settings, row, *stay)
        for row, stay in zip(
            table.tolist(),
            zip(
                stays.asks_at.tolist(),
                stays.arrival.tolist(),
                stays.departure.tolist(),
                stays.energy_kwh.tolist(),
                strict=True,
            ),
            strict=True,
        )
    ]


def _deviation(
    settings: DriverSettings,
    drawn: list[float],
    asks_at: int,
    arrival: int,
    departure: int,
    energy_kwh: float,
) -> dict[str, Any]:
    if drawn[_Column.ABSENT] < settings.absent_share:
        return {"absent": True}
    changed = _changed_plan(settings, drawn, asks_at, arrival, departure, energy_kwh)
    if changed.get("cancels"):
        return changed
    plugs_in = arrival
    # A driver who is late still comes: at the latest when a fifth of the stay is left.
    if drawn[_Column.LATE] < settings.late_share:
        late = int(drawn[_Column.LATE_BY] * settings.late_minutes * 60)
        plugs_in = arrival + min(late, (departure - arrival) * 4 // 5)
        changed["plugs_in_at"] = plugs_in
    if drawn[_Column.EARLY] < settings.early_share:
        early = int(drawn[_Column.EARLY_BY] * settings.early_minutes * 60)
        changed["unplugs_at"] = max(departure - early, plugs_in + (departure - plugs_in) // 2)
    return changed


def _changed_plan(
    settings: DriverSettings,
    drawn: list[float],
    asks_at: int,
    arrival: int,
    departure: int,
    energy_kwh: float,
) -> dict[str, Any]:
    """Draw whether and how the plan changes, at a moment between asking and arriving."""
    cancels = drawn[_Column.CANCEL] < settings.cancel_share
    if not cancels and drawn[_Column.CHANGE] >= settings.change_share:
        return {}
    # Not in the first minute: the booking should have been made by then.
    soonest = min(asks_at + 60, arrival - 1)
    changes_at = soonest + int(drawn[_Column.CHANGE_AT] * (arrival - soonest))
    if cancels:
        return {"changes_at": changes_at, "cancels": True}
    moved = int((2 * drawn[_Column.DEPARTURE_BY] - 1) * settings.change_minutes * 60)
    factor = 1 + (2 * drawn[_Column.ENERGY_BY] - 1) * settings.change_energy_share
    return {
        "changes_at": changes_at,
        "changed_departure": max(departure + moved, arrival + (departure - arrival) // 2),
        "changed_energy_kwh": round_energy(energy_kwh * factor),
    }
