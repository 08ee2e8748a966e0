"""`cheapest`: by expected price, then as `nearest`."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from voltagora.domain.units import MONEY_DECIMALS, Integers, round_array
from voltagora.strategies.recommendation.decision import RankingRequest, RecommendationStrategy, prices_of
from voltagora.strategies.recommendation.nearest import metres


class Cheapest(RecommendationStrategy, frozen=True, kw_only=True):
    """Propose the station with the lowest expected price first; those without a known price come last.

    Prices are compared as the wire carries them, to 5 decimals; equal ones are ordered by
    distance to the metre, then by id.

    Source: domain.md section 3.

    """

    uses_load: ClassVar[bool] = False

    def rank(self, request: RankingRequest) -> Integers:
        """See `RecommendationStrategy.rank`."""
        price = round_array(prices_of(request), MONEY_DECIMALS)
        # The last key counts most; nan sorts after every number, and equals keep the order of ids.
        return np.lexsort((metres(request.distance_km), price)).astype(np.int64, copy=False)
