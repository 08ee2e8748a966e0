"""`two_prices`: cheap while supply covers demand, dear while it does not."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta

from voltagora.domain.units import MONEY_DECIMALS, Floats, round_array
from voltagora.strategies.pricing.decision import PricingDay, PricingStrategy

Price = Annotated[float, Meta(ge=0, le=1e6)]


class TwoPrices(PricingStrategy, frozen=True, kw_only=True):
    """Price a slot by whether its supply covers its demand.

    buy = sell = the surplus price where S ≥ D, else the deficit price.

    Source: made up for the example.
    """

    surplus_eur_per_kwh: Annotated[
        float, Meta(ge=0, description="price where supply covers demand, EUR/kWh")
    ] = 0.1
    deficit_eur_per_kwh: Annotated[float, Meta(ge=0, description="price where it does not, EUR/kWh")] = 0.5

    def price(self, day: PricingDay) -> tuple[Floats, Floats]:
        """See `PricingStrategy.price`."""
        prices = np.where(
            day.supply_kwh >= day.demand_kwh, self.surplus_eur_per_kwh, self.deficit_eur_per_kwh
        )
        rounded = round_array(prices, MONEY_DECIMALS)
        return rounded, rounded
