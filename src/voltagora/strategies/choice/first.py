"""`first`: as they came."""

from __future__ import annotations

from collections.abc import Sequence

from voltagora.domain.station import Recommendation
from voltagora.domain.vehicle import Battery, Preferences
from voltagora.strategies.choice.decision import ChoiceStrategy


class First(ChoiceStrategy, frozen=True, kw_only=True):
    """Trust the recommenders: take the offers in the order in which they came.

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
        return list(range(len(offers)))
