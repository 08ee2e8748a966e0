"""Sums of energy and money over slots, in one call each; every function is its own plain-Python twin.

Energy of a grid area is counted in whole 1e-6 kWh, so that sums are exact whatever their order.
"""

from __future__ import annotations

import numpy as np

from voltagora.domain.units import Floats, Integers

_READ = "Array(float64, 1, 'C', readonly=True)"
_COUNTS = "int64[::1]"
COUNT_SIGNATURE = f"void({_COUNTS}, {_COUNTS}, int64, {_READ}, int64, int64, int64)"
TOTALS_SIGNATURE = (
    f"float64({_COUNTS}, {_COUNTS}, {_COUNTS}, {_COUNTS}, {_READ}, {_READ}, float64[::1], float64[::1])"
)
COST_SIGNATURE = f"float64({_READ}, {_READ}, {_READ})"


def count_session(
    charging: Integers,
    discharging: Integers,
    first: int,
    schedule_kwh: Floats,
    begin: int,
    count: int,
    sign: int,
) -> None:
    """Add part of a schedule to the counts of a day, or with `sign` −1 take it away.

    Args:
        charging: whole 1e-6 kWh charged in each slot of the day, changed in place.
        discharging: the same for energy fed back.
        first: place in the day of the part's first slot.
        schedule_kwh: the whole schedule, > 0 into the vehicle, 6 decimals.
        begin: place in the schedule of the part's first slot.
        count: slots of the part.
        sign: 1 or −1.
    """
    for slot in range(count):
        energy = np.int64(np.rint(schedule_kwh[begin + slot] * 1e6))
        if energy > 0:
            charging[first + slot] += sign * energy
        else:
            discharging[first + slot] -= sign * energy


def day_totals(
    production: Integers,
    consumption: Integers,
    charging: Integers,
    discharging: Integers,
    old_supply_kwh: Floats,
    old_demand_kwh: Floats,
    supply_kwh: Floats,
    demand_kwh: Floats,
) -> float:
    """Fill supply and demand of a day, kWh; gives by how much the most changed slot differs from before.

    All arrays are of shape (slots,); the first four hold whole 1e-6 kWh.
    """
    most = 0.0
    for slot in range(production.size):
        supply = np.float64(production[slot] + discharging[slot]) / 1e6
        demand = np.float64(consumption[slot] + charging[slot]) / 1e6
        supply_kwh[slot] = supply
        demand_kwh[slot] = demand
        most = max(most, abs(supply - old_supply_kwh[slot]), abs(demand - old_demand_kwh[slot]))
    return most


def energy_cost(schedule_kwh: Floats, buy: Floats, sell: Floats) -> float:
    """Sum what charging costs less what discharging earns, EUR, unrounded; arrays of shape (slots,).

    Source: domain.md section 3, "Settlement".
    """
    cost = 0.0
    for slot in range(schedule_kwh.size):
        energy = schedule_kwh[slot]
        cost += energy * (buy[slot] if energy > 0.0 else sell[slot])
    return cost
