"""`nrgcoin`: pays most for balance, and asks least where supply abounds."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta

from voltagora.domain.units import Floats
from voltagora.strategies.kernels.compilation import compiled
from voltagora.strategies.kernels.prices import NRGCOIN_SIGNATURE, nrgcoin_prices
from voltagora.strategies.pricing.decision import PricingDay, PricingStrategy, check_shapes


class Nrgcoin(PricingStrategy, frozen=True, kw_only=True):
    """Price each slot from how far supply is from demand.

    For q kWh in a slot with supply S and demand D, with the three numbers at their defaults:
    sell(q) = 0.1·q + 0.2·q·exp(−((S − D)/D)²) and buy(q) = 0.65·q·D/(D + S).
    A slot without demand takes the limit D → 0 (sell 0.1, buy 0); one without either takes
    the price of balance (sell 0.3, buy 0.325).

    Source: Mihaylov et al. 2014, NRG-X-Change; domain.md section 3.

    """

    sell_floor_eur_per_kwh: Annotated[
        float, Meta(ge=0, le=1e6, description="what selling earns far from balance, EUR/kWh")
    ] = 0.1
    sell_bonus_eur_per_kwh: Annotated[
        float, Meta(ge=0, le=1e6, description="what balance adds to it, EUR/kWh")
    ] = 0.2
    buy_cap_eur_per_kwh: Annotated[
        float, Meta(ge=0, le=1e6, description="what buying costs where there is no supply, EUR/kWh")
    ] = 0.65
    amount_kwh: Annotated[
        float, Meta(gt=0, le=1e6, description="the amount q that is priced, kWh; market series carry 1")
    ] = 1.0

    @property
    def uses_history(self) -> bool:
        """See `PricingStrategy.uses_history`."""
        return False

    def price(self, day: PricingDay) -> tuple[Floats, Floats]:
        """See `PricingStrategy.price`."""
        check_shapes(day)
        buy, sell = np.empty((2, *day.supply_kwh.shape))
        compiled(nrgcoin_prices, NRGCOIN_SIGNATURE)(
            day.supply_kwh.ravel(),
            day.demand_kwh.ravel(),
            self.sell_floor_eur_per_kwh,
            self.sell_bonus_eur_per_kwh,
            self.buy_cap_eur_per_kwh,
            self.amount_kwh,
            buy.ravel(),
            sell.ravel(),
        )
        return buy, sell
