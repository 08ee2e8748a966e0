"""What a vehicle is and what its driver asks for."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from voltagora.domain.units import (
    CapacityKwh,
    Efficiency,
    EurPerKwh,
    Id,
    Kw,
    Kwh,
    Minutes,
    RatedKw,
    Share,
    Time,
    Word,
)

LONGEST_STAY_SECONDS = 31 * 86_400
"""A longer stay is a mistake or an attack; no series of ours reaches so far."""

FARTHEST_AHEAD_SECONDS = 62 * 86_400
"""Nobody plans a stay that ends later than this from now; calendars end in the year 9999."""


class Battery(msgspec.Struct, frozen=True, kw_only=True):
    """A traction battery: capacity in kWh, powers in kW at the connector, SoC 0 to 1 as at arrival."""

    capacity_kwh: CapacityKwh
    soc: Share
    min_soc: Share
    max_soc: Share
    max_charge_kw: Kw
    max_discharge_kw: Kw
    charge_efficiency: Efficiency = 1.0
    discharge_efficiency: Efficiency = 1.0

    def __post_init__(self) -> None:
        if self.min_soc > self.max_soc:
            raise ValueError(f"min_soc: got {self.min_soc}, must be at most max_soc ({self.max_soc})")


class Preferences(msgspec.Struct, frozen=True, kw_only=True):
    """What a driver asks for: a stay, the energy the battery must gain in it, and on what terms."""

    arrival: Time
    departure: Time
    energy_kwh: Kwh
    connector_type: Word
    power_kw: RatedKw
    v2g_allowed: bool
    min_soc: Share
    desired_soc: Share | UnsetType = UNSET
    network: Id | UnsetType = UNSET
    min_sell_eur_kwh: EurPerKwh | UnsetType = UNSET
    arrival_std_min: Minutes | UnsetType = UNSET
    departure_std_min: Minutes | UnsetType = UNSET
    soc_std: Share | UnsetType = UNSET

    def __post_init__(self) -> None:
        check_stay(self.arrival, self.departure)


def check_stay(arrival: Time, departure: Time) -> None:
    """Refuse a stay that ends before it begins or lasts beyond any horizon.

    Raises:
        ValueError: naming the field.
    """
    if departure <= arrival:
        raise ValueError(f"departure: got {departure}, must be after arrival ({arrival})")
    if departure - arrival > LONGEST_STAY_SECONDS:
        raise ValueError(f"departure: got {departure}, must be within 31 days of arrival ({arrival})")
