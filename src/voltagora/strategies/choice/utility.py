"""`utility`: by what a stay is worth, in EUR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import UNSET, Meta

from voltagora.domain.station import Recommendation
from voltagora.domain.vehicle import Battery, Preferences
from voltagora.strategies.choice.decision import ChoiceStrategy


class Utility(ChoiceStrategy, frozen=True, kw_only=True):
    """Take the offer with the greatest utility, the money a driver is left with.

    U = −p·E/η_c − travel·distance + bonus·(1 if energy can be sold there and may be), where E is
    the energy the battery gains, η_c its charging efficiency and p the expected price. Equals are
    taken as they came.

    Source: a quasi-linear utility; domain.md section 3.

    """

    travel_eur_per_km: Annotated[
        float, Meta(ge=0, le=1e6, description="what a kilometre to the station costs the driver, EUR/km")
    ] = 0.3
    v2g_bonus_eur: Annotated[
        float, Meta(ge=0, le=1e6, description="what being able to sell energy during the stay is worth, EUR")
    ] = 0.5
    unknown_price_eur_per_kwh: Annotated[
        float, Meta(ge=-1e6, le=1e6, description="the price assumed where none is known, EUR/kWh")
    ] = 0.3

    def order(
        self,
        offers: Sequence[Recommendation],
        preferences: Preferences,
        battery: Battery,
        draws: Sequence[float],  # noqa: ARG002
    ) -> list[int]:
        """See `ChoiceStrategy.order`."""
        may_sell = preferences.v2g_allowed and battery.max_discharge_kw > 0
        utilities = [self._utility(offer, may_sell, battery.charge_efficiency) for offer in offers]
        return sorted(range(len(offers)), key=lambda place: -utilities[place])

    def _utility(self, offer: Recommendation, may_sell: bool, charge_efficiency: float) -> float:
        price = offer.expected_price_eur_kwh
        if price is UNSET:
            price = self.unknown_price_eur_per_kwh
        bonus = self.v2g_bonus_eur if may_sell and offer.v2g_capable else 0.0
        return (
            bonus - price * offer.energy_kwh / charge_efficiency - self.travel_eur_per_km * offer.distance_km
        )
