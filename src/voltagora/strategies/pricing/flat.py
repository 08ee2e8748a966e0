"""`flat`: the same prices always."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta

from voltagora.domain.units import Floats, round_money
from voltagora.strategies.pricing.decision import PricingDay, PricingStrategy


class Flat(PricingStrategy, frozen=True, kw_only=True):
    """Price every slot alike, a baseline for tariffs that do not answer the grid.

    Source: a baseline; domain.md section 3.

    """

    buy_eur_per_kwh: Annotated[float, Meta(ge=-1e6, le=1e6, description="what charging costs, EUR/kWh")] = 0.3
    sell_eur_per_kwh: Annotated[
        float, Meta(ge=-1e6, le=1e6, description="what discharging earns, EUR/kWh")
    ] = 0.1

    @property
    def uses_history(self) -> bool:
        """See `PricingStrategy.uses_history`."""
        return False

    def price(self, day: PricingDay) -> tuple[Floats, Floats]:
        """See `PricingStrategy.price`."""
        shape = day.supply_kwh.shape
        return (
            np.full(shape, round_money(self.buy_eur_per_kwh)),
            np.full(shape, round_money(self.sell_eur_per_kwh)),
        )
