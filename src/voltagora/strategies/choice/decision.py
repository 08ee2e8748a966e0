"""The decision: in which order a vehicle tries what it was offered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from voltagora.domain.station import Recommendation
from voltagora.domain.vehicle import Battery, Preferences
from voltagora.strategies.strategy import Strategy


class ChoiceStrategy(Strategy, frozen=True, kw_only=True):
    """Orders the recommendations of all recommenders that answered."""

    uses_draws: ClassVar[bool] = False
    """Whether chance matters; if not, the caller may hand in no draws and so keep its stream."""

    def order(
        self,
        offers: Sequence[Recommendation],
        preferences: Preferences,
        battery: Battery,
        draws: Sequence[float],
    ) -> list[int]:
        """Order the offers.

        Args:
            offers: recommendations as they came, those of one recommender best first.
            preferences: what the driver asked for.
            battery: as it will be at arrival.
            draws: one uniform number of [0, 1) an offer, from the vehicle's own random stream.

        Returns:
            The places of all offers, the one to try first in front.
        """
        raise NotImplementedError
