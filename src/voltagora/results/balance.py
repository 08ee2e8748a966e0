"""How far a grid is from balance: supply and demand per slot, and the figures drawn from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from voltagora.domain.units import ENERGY_DECIMALS, Floats, Integers, round_array

Number = float | int | None
BALANCE_METRICS = (
    "surplus_peak_kwh",
    "deficit_peak_kwh",
    "mean_abs_imbalance_kwh",
    "peak_to_average_demand",
    "largest_step_kwh",
)


@dataclass(frozen=True)
class Balance:
    """Supply and demand of each slot, kWh, shape (slots,), in order of time."""

    start: Integers  # seconds UTC
    step_seconds: int  # 0 if there is no slot
    supply_kwh: Floats
    demand_kwh: Floats
    base_supply_kwh: Floats  # without the fleet
    base_demand_kwh: Floats
    charging_kwh: Floats
    discharging_kwh: Floats

    @classmethod
    def of(cls, slots: pa.Table) -> Balance:
        """Add up the areas of a slots table, slot by slot."""
        starts, place = np.unique(seconds(slots["start"]), return_inverse=True)

        def total(name: str) -> Floats:
            weights = slots[name].to_numpy()
            sums: Floats = np.bincount(place, weights=weights, minlength=len(starts)).astype(np.float64)
            return round_array(sums, ENERGY_DECIMALS)

        step = int(slots["step_minutes"][0].as_py()) * 60 if len(slots) else 0
        names = ("supply_kwh", "demand_kwh", "base_supply_kwh", "base_demand_kwh")
        return cls(starts, step, *map(total, (*names, "charging_kwh", "discharging_kwh")))

    @property
    def imbalance_kwh(self) -> Floats:
        """Supply less demand, kWh."""
        return round_array(self.supply_kwh - self.demand_kwh, ENERGY_DECIMALS)

    @property
    def base_imbalance_kwh(self) -> Floats:
        """Supply less demand without the fleet, kWh."""
        return round_array(self.base_supply_kwh - self.base_demand_kwh, ENERGY_DECIMALS)

    def metrics(self) -> dict[str, Number]:
        """The five figures of `BALANCE_METRICS`, with the fleet."""
        return balance_metrics(self.supply_kwh, self.demand_kwh)

    def metrics_without_vehicles(self) -> dict[str, Number]:
        """The same five without the fleet."""
        return balance_metrics(self.base_supply_kwh, self.base_demand_kwh)

    def charging_in_surplus_share(self) -> Number:
        """Share of the energy charged in slots where supply covers demand without the fleet."""
        surplus = self.base_supply_kwh >= self.base_demand_kwh
        return share(float(self.charging_kwh[surplus].sum()), float(self.charging_kwh.sum()))


def balance_metrics(supply_kwh: Floats, demand_kwh: Floats) -> dict[str, Number]:
    """Measure peaks, mean and steps of supply less demand.

    Args:
        supply_kwh: kWh a slot, shape (slots,).
        demand_kwh: kWh a slot, same shape.

    Returns:
        A value for each name of `BALANCE_METRICS`; None where there is nothing to divide by or to compare.

    Source: domain.md, "Report for every run".
    """
    if not len(supply_kwh):
        return dict.fromkeys(BALANCE_METRICS)
    imbalance = supply_kwh - demand_kwh
    return {
        "surplus_peak_kwh": tidy(imbalance.max()),
        "deficit_peak_kwh": tidy((-imbalance).max()),
        "mean_abs_imbalance_kwh": tidy(np.abs(imbalance).mean()),
        "peak_to_average_demand": share(float(demand_kwh.max()), float(demand_kwh.mean())),
        "largest_step_kwh": tidy(np.abs(np.diff(imbalance)).max()) if len(imbalance) > 1 else None,
    }


def share(part: float, whole: float) -> Number:
    """Divide; None where the denominator is 0."""
    return tidy(part / whole) if whole else None


def tidy(value: float) -> float:
    """Drop what a sum leaves beyond the ninth decimal, so that a file shows figures and not noise."""
    return round(float(value), 9) + 0.0


def seconds(instants: pa.ChunkedArray) -> Integers:
    """Give timestamps as whole seconds UTC."""
    moments: Integers = instants.cast(pa.int64()).to_numpy() // 1000
    return moments
