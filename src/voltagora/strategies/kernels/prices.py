"""Prices of many slots in one call; each function is also its own plain-Python twin.

They round as the wire does (domain.md section 2): rint(x·10⁵)/10⁵, and −0 becomes 0.
"""

from __future__ import annotations

import math

import numpy as np

from voltagora.domain.units import Floats

# One machine code for arrays that may be written and those that may not: series are read-only.
_READ = "Array(float64, 1, 'C', readonly=True)"
_WRITE = "float64[::1]"
GREATEST_PRICE = 1e9
"""EUR/kWh: the wire carries no more, either way (`domain.units.EurPerKwh`)."""
NRGCOIN_SIGNATURE = f"void({_READ}, {_READ}, float64, float64, float64, float64, {_WRITE}, {_WRITE})"
ADAPTIVE_SIGNATURE = f"void({_READ}, {_READ}, float64, float64, boolean, int64, {_WRITE})"


def nrgcoin_prices(
    supply_kwh: Floats,
    demand_kwh: Floats,
    floor: float,
    bonus: float,
    cap: float,
    amount_kwh: float,
    buy: Floats,
    sell: Floats,
) -> None:
    """Fill `buy` and `sell`, all arrays of shape (slots,); see `pricing.nrgcoin` for the formula."""
    for slot in range(supply_kwh.size):
        supply = supply_kwh[slot]
        demand = demand_kwh[slot]
        if demand > 0.0:
            distance = (supply - demand) / demand
            sold = floor * amount_kwh + bonus * amount_kwh * math.exp(-(distance * distance))
            bought = cap * amount_kwh * demand / (demand + supply)
        elif supply > 0.0:
            sold = floor * amount_kwh
            bought = 0.0
        else:
            sold = floor * amount_kwh + bonus * amount_kwh
            bought = cap * amount_kwh / 2.0
        buy[slot] = np.rint(bought * 1e5) / 1e5 + 0.0
        sell[slot] = np.rint(sold * 1e5) / 1e5 + 0.0


def adaptive_prices(
    supply_kwh: Floats,
    demand_kwh: Floats,
    level: float,
    alpha: float,
    level_is_mean: bool,
    slots: int,
    prices: Floats,
) -> None:
    """Fill `prices` for one or more days of `slots` slots each; see `pricing.adaptive` for the formula."""
    for first in range(0, supply_kwh.size, slots):
        offset = level
        if level_is_mean:
            imbalance = 0.0
            for slot in range(first, first + slots):
                imbalance += supply_kwh[slot] - demand_kwh[slot]
            offset = level - 2.0 * alpha * (imbalance / slots)
        for slot in range(first, first + slots):
            price = offset + 2.0 * alpha * (supply_kwh[slot] - demand_kwh[slot])
            price = min(max(price, -GREATEST_PRICE), GREATEST_PRICE)
            prices[slot] = np.rint(price * 1e5) / 1e5 + 0.0
