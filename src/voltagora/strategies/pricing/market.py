"""`market`: a day-ahead price from data, passed on with a mark-up."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from voltagora.domain.errors import NOTHING, InputError, Verbatim
from voltagora.domain.units import MONEY_DECIMALS, Floats, round_array
from voltagora.strategies.pricing.decision import PricingDay, PricingStrategy


class Market(PricingStrategy, frozen=True, kw_only=True):
    """Pass a day-ahead price on: buy = price + mark-up of buying, sell = price + mark-up of selling.

    Source: a baseline; domain.md section 3.

    """

    buy_markup_eur_per_kwh: Annotated[
        float, Meta(ge=-1e6, le=1e6, description="added to the market price where vehicles charge, EUR/kWh")
    ] = 0.0
    sell_markup_eur_per_kwh: Annotated[
        float,
        Meta(
            ge=-1e6,
            le=1e6,
            description="added where they discharge, EUR/kWh; below 0 the market keeps a margin",
        ),
    ] = 0.0

    @property
    def uses_history(self) -> bool:
        """See `PricingStrategy.uses_history`."""
        return False

    def price(self, day: PricingDay) -> tuple[Floats, Floats]:
        """See `PricingStrategy.price`."""
        market = day.market_eur_per_kwh
        if market is None or market.shape != day.supply_kwh.shape:
            raise InputError(
                "market",
                NOTHING if market is None else Verbatim(f"{market.size} prices"),
                "a price for every slot",
            )
        return (
            round_array(market + self.buy_markup_eur_per_kwh, MONEY_DECIMALS),
            round_array(market + self.sell_markup_eur_per_kwh, MONEY_DECIMALS),
        )
