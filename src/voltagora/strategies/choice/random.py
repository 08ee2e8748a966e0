"""`random`: any of them, by the vehicle's own seeded stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from voltagora.domain.station import Recommendation
from voltagora.domain.vehicle import Battery, Preferences
from voltagora.strategies.choice.decision import ChoiceStrategy


class Random(ChoiceStrategy, frozen=True, kw_only=True):
    """Take the offers in the order of their draws, the least first: every order is equally likely.

    Source: domain.md section 3; the choice of the published experiment.

    """

    uses_draws: ClassVar[bool] = True

    def order(
        self,
        offers: Sequence[Recommendation],
        preferences: Preferences,  # noqa: ARG002
        battery: Battery,  # noqa: ARG002
        draws: Sequence[float],
    ) -> list[int]:
        """See `ChoiceStrategy.order`."""
        return sorted(range(len(offers)), key=draws.__getitem__)
