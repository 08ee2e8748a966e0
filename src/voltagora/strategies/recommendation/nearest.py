"""`nearest`: by distance to the metre, then by station id."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from voltagora.domain.units import Floats, Integers
from voltagora.strategies.recommendation.decision import RankingRequest, RecommendationStrategy


class Nearest(RecommendationStrategy, frozen=True, kw_only=True):
    """Propose the nearest station first; of those equally far to the metre, the one with the lower id.

    Source: domain.md section 3.

    """

    uses_price: ClassVar[bool] = False
    uses_load: ClassVar[bool] = False

    def rank(self, request: RankingRequest) -> Integers:
        """See `RecommendationStrategy.rank`."""
        return np.argsort(metres(request.distance_km), kind="stable").astype(np.int64, copy=False)


def metres(distance_km: Floats) -> Floats:
    """Round distances to whole metres: nobody drives elsewhere for less."""
    rounded: Floats = np.rint(distance_km * 1000.0)
    return rounded
