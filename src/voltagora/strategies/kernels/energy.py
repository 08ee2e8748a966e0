"""Sums of energy and money over slots, in one call each; every function is its own plain-Python twin.

Energy of a grid area is counted in whole 1e-6 kWh, so that sums are exact whatever their order.
"""

from __future__ import annotations

import numpy as np

from voltagora.domain.units import Floats, Integers

_READ = "Array(float64, 1, 'C', readonly=True)"
_COUNTS = "int64[:, ::1]"
COUNT_SIGNATURE = f"void({_COUNTS}, int64, {_READ}, int64, int64, int64)"
TOTALS_SIGNATURE = f"float64({_COUNTS}, Array(float64, 2, 'C', readonly=True), float64[:, ::1])"
CHANGE_SIGNATURE = "float64(Array(float64, 2, 'C', readonly=True), Array(float64, 2, 'C', readonly=True))"
LARGEST_SIGNATURE = f"float64({_READ})"
COST_SIGNATURE = f"float64({_READ}, {_READ}, {_READ})"


def count_session(
    counts: Integers,
    first: int,
    schedule_kwh: Floats,
    begin: int,
    count: int,
    sign: int,
) -> None:
    """Add part of a schedule to the counts of a day, or with `sign` −1 take it away.

    Args:
        counts: a day's whole 1e-6 kWh of each slot, shape (4, slots): production, consumption,
            charging and discharging; the last two are changed in place.
        first: place in the day of the part's first slot.
        schedule_kwh: the whole schedule, > 0 into the vehicle, 6 decimals.
        begin: place in the schedule of the part's first slot.
        count: slots of the part.
        sign: 1 or −1.
    """
    for slot in range(count):
        energy = np.int64(np.rint(schedule_kwh[begin + slot] * 1e6))
        if energy > 0:
            counts[2, first + slot] += sign * energy
        else:
            counts[3, first + slot] -= sign * energy


def day_totals(counts: Integers, old_kwh: Floats, totals_kwh: Floats) -> float:
    """Fill supply and demand of a day, kWh; gives by how much the most changed slot differs from before.

    Args:
        counts: as `count_session` takes them.
        old_kwh: supply and demand as they were, shape (2, slots).
        totals_kwh: supply and demand, filled here, shape (2, slots); may be `old_kwh`.
    """
    most = 0.0
    for slot in range(counts.shape[1]):
        supply = np.float64(counts[0, slot] + counts[3, slot]) / 1e6
        demand = np.float64(counts[1, slot] + counts[2, slot]) / 1e6
        most = max(most, abs(supply - old_kwh[0, slot]), abs(demand - old_kwh[1, slot]))
        totals_kwh[0, slot] = supply
        totals_kwh[1, slot] = demand
    return most


def largest_change(old: Floats, new: Floats) -> float:
    """Give the greatest absolute difference of two arrays of shape (rows, slots)."""
    most = 0.0
    for row in range(old.shape[0]):
        for slot in range(old.shape[1]):
            most = max(most, abs(new[row, slot] - old[row, slot]))
    return most


def largest(values: Floats) -> float:
    """Give the greatest absolute value of a series."""
    most = 0.0
    for value in values:
        most = max(most, abs(value))
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
