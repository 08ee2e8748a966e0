"""`time_of_use`: dear at the peak hours of the local clock, cheap at the others."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta

from voltagora.domain.errors import NOTHING, InputError
from voltagora.domain.units import Floats, round_money
from voltagora.strategies.pricing.decision import PricingDay, PricingStrategy

Hour = Annotated[float, Meta(ge=0, le=24)]
Price = Annotated[float, Meta(ge=-1e6, le=1e6)]


class TimeOfUse(PricingStrategy, frozen=True, kw_only=True):
    """Price by the local clock hour at which a slot begins.

    A window [from, to) holds its first hour and not its last; one whose `to` is not after its
    `from` goes over midnight. A slot has one price, that of the hour at which it begins.

    Source: a baseline; domain.md section 3.

    """

    peak_windows: Annotated[
        tuple[tuple[Hour, Hour], ...],
        Meta(description="peak hours as [from, to) in hours of the local clock"),
    ] = ((7.0, 11.0), (17.0, 21.0))
    peak_buy_eur_per_kwh: Annotated[Price, Meta(description="charging at peak, EUR/kWh")] = 0.4
    peak_sell_eur_per_kwh: Annotated[Price, Meta(description="discharging at peak, EUR/kWh")] = 0.3
    off_peak_buy_eur_per_kwh: Annotated[Price, Meta(description="charging off peak, EUR/kWh")] = 0.2
    off_peak_sell_eur_per_kwh: Annotated[Price, Meta(description="discharging off peak, EUR/kWh")] = 0.1

    @property
    def uses_history(self) -> bool:
        """See `PricingStrategy.uses_history`."""
        return False

    def price(self, day: PricingDay) -> tuple[Floats, Floats]:
        """See `PricingStrategy.price`."""
        peak = self._at_peak(day)
        buy = np.where(
            peak, round_money(self.peak_buy_eur_per_kwh), round_money(self.off_peak_buy_eur_per_kwh)
        )
        sell = np.where(
            peak, round_money(self.peak_sell_eur_per_kwh), round_money(self.off_peak_sell_eur_per_kwh)
        )
        return buy, sell

    def _at_peak(self, day: PricingDay) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        hours = day.local_hours
        if hours is None or np.shape(hours)[-1:] != day.supply_kwh.shape[-1:]:
            raise InputError(
                "local_hours",
                NOTHING if hours is None else hours,
                "the local clock hour at which each slot begins",
            )
        peak = np.zeros(day.supply_kwh.shape, dtype=np.bool_)
        for begin, end in self.peak_windows:
            after, before = hours >= begin, hours < end
            peak |= (after & before) if begin < end else (after | before)
        return peak
