"""`cheapest`: by expected price."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from msgspec import UNSET

from voltagora.domain.station import Recommendation
from voltagora.domain.vehicle import Battery, Preferences
from voltagora.strategies.choice.decision import ChoiceStrategy


class Cheapest(ChoiceStrategy, frozen=True, kw_only=True):
    """Take the lowest expected price, of equals the nearest, of those the first that came.

    Offers without an expected price come last.

    Source: domain.md section 3.

    """

    def order(
        self,
        offers: Sequence[Recommendation],
        preferences: Preferences,  # noqa: ARG002
        battery: Battery,  # noqa: ARG002
        draws: Sequence[float],  # noqa: ARG002
    ) -> list[int]:
        """See `ChoiceStrategy.order`."""

        def rank(place: int) -> tuple[float, float]:
            price = offers[place].expected_price_eur_kwh
            return inf if price is UNSET else price, offers[place].distance_km

        return sorted(range(len(offers)), key=rank)
