"""`adaptive`: one price that falls in a straight line as supply exceeds demand."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta

from voltagora.domain.errors import InputError
from voltagora.domain.units import Floats
from voltagora.strategies.kernels.compilation import compiled
from voltagora.strategies.kernels.prices import ADAPTIVE_SIGNATURE, adaptive_prices
from voltagora.strategies.pricing.decision import PricingDay, PricingStrategy, check_shapes


class Adaptive(PricingStrategy, frozen=True, kw_only=True):
    """Price each slot in proportion to its imbalance: buy = sell = K + 2·α·(S − D).

    K is the parameter, or with `mean_price` whatever makes that the mean of the day. α is the
    parameter, or with `estimate_alpha` how the price answered the fleet's charging the day
    before. Prices may be negative.

    Source: domain.md section 3.

    """

    K: Annotated[float, Meta(ge=-1e6, le=1e6, description="price of a balanced slot, EUR/kWh")] = 0.6
    alpha: Annotated[
        float, Meta(ge=-1e6, lt=0, description="half the slope of price over imbalance, EUR/kWh²")
    ] = -0.00015069
    mean_price: Annotated[
        Annotated[float, Meta(ge=-1e6, le=1e6)] | None,
        Meta(description="mean price of the day, EUR/kWh; if given, K is set to meet it"),
    ] = None
    estimate_alpha: Annotated[
        bool, Meta(description="estimate α from the prices and charging of the day before")
    ] = False

    @property
    def uses_history(self) -> bool:
        """See `PricingStrategy.uses_history`."""
        return self.estimate_alpha

    def price(self, day: PricingDay) -> tuple[Floats, Floats]:
        """See `PricingStrategy.price`; both arrays are one."""
        check_shapes(day)
        prices = np.empty(day.supply_kwh.shape)
        compiled(adaptive_prices, ADAPTIVE_SIGNATURE)(
            day.supply_kwh.ravel(),
            day.demand_kwh.ravel(),
            self.K if self.mean_price is None else self.mean_price,
            self._slope(day),
            self.mean_price is not None,
            day.supply_kwh.shape[-1] or 1,
            prices.ravel(),
        )
        return prices, prices

    def _slope(self, day: PricingDay) -> float:
        if not self.estimate_alpha or day.history_prices is None or day.history_charging_kwh is None:
            return self.alpha
        return estimated_alpha(day.history_prices, day.history_charging_kwh) or self.alpha


def estimated_alpha(prices: Floats, charging_kwh: Floats) -> float:
    """Estimate the slope from how the price differed between the first slot and each other one.

    α = −|mean over t ≥ 2 with d_t ≠ d_1 of (P_1 − P_t) / (2·(d_1 − d_t))|.

    Args:
        prices: P of a day gone by, EUR/kWh, shape (slots,).
        charging_kwh: d, what the fleet charged in the same slots, kWh.

    Returns:
        α, EUR/kWh², at most 0; 0 if no slot tells.

    Raises:
        InputError: the shapes differ.
    """
    if prices.shape != charging_kwh.shape:
        raise InputError(
            "history.charging_kwh",
            f"{charging_kwh.size} slots",
            f"as many slots as prices has ({prices.size})",
        )
    differs = charging_kwh != charging_kwh[:1]
    if not differs.any():
        return 0.0
    slopes = (prices[0] - prices[differs]) / (2.0 * (charging_kwh[0] - charging_kwh[differs]))
    return -abs(float(slopes.mean()))
