"""The decision: what energy costs and earns in each slot of a day."""

from __future__ import annotations

import msgspec

from voltagora.domain.errors import InputError, Verbatim
from voltagora.domain.units import Floats
from voltagora.strategies.strategy import Strategy


class PricingStrategy(Strategy, frozen=True, kw_only=True):
    """Sets the prices of the slots of a day."""

    @property
    def uses_history(self) -> bool:
        """Whether the day before matters; if not, the caller may leave it out."""
        return True

    def price(self, day: PricingDay) -> tuple[Floats, Floats]:
        """Price every slot.

        Args:
            day: supply and demand of the slots, and what else is known of the day.

        Returns:
            `buy` (what a vehicle pays to charge) and `sell` (what it earns for discharging),
            EUR/kWh, of the shape of `day.supply_kwh`, rounded to 5 decimals as the wire does.

        Raises:
            InputError: the day lacks what this strategy needs.
        """
        raise NotImplementedError


class PricingDay(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One day, or several days of equally many slots, to be priced.

    Shapes are (slots,), or (days, slots) for several days at once. No energy is negative.
    """

    start: int  # of the first slot, seconds UTC
    step_minutes: int
    supply_kwh: Floats
    demand_kwh: Floats
    local_hours: Floats | None = None  # the local clock hour, 0 to 24, at which each slot begins
    history_prices: Floats | None = None  # the day before, (slots,): EUR/kWh
    history_charging_kwh: Floats | None = None  # and what the fleet charged in it
    market_eur_per_kwh: Floats | None = None  # the day-ahead price of each slot


def check_shapes(day: PricingDay) -> None:
    """Refuse a day whose demand does not answer its supply slot by slot.

    Raises:
        InputError: the shapes differ.
    """
    if day.supply_kwh.shape != day.demand_kwh.shape:
        raise InputError(
            "demand",
            Verbatim(f"{day.demand_kwh.size} slots"),
            f"as many slots as supply has ({day.supply_kwh.size})",
        )
