"""`balanced`: weighs distance, price and load against each other."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta

from voltagora.domain.errors import NOTHING, InputError
from voltagora.domain.units import Floats, Integers
from voltagora.strategies.recommendation.decision import RankingRequest, RecommendationStrategy, prices_of
from voltagora.strategies.recommendation.nearest import metres

Weight = Annotated[float, Meta(ge=0, le=1e6)]


class Balanced(RecommendationStrategy, frozen=True, kw_only=True):
    """Propose first the station with the least weighted sum of distance, price and load.

    Each of the three is scaled over the candidates, (x − min) / (max − min), so that 0 is the
    best and 1 the worst on offer, and 0 for all where they are equal. An unknown price counts
    as 1. Equal sums (to 1e-9) are ordered as by `nearest`.

    Source: additive weighting, Fishburn 1967; domain.md section 3.

    """

    distance_weight: Annotated[Weight, Meta(description="weight of the distance")] = 1.0
    price_weight: Annotated[Weight, Meta(description="weight of the expected price")] = 1.0
    load_weight: Annotated[Weight, Meta(description="weight of the kWh already reserved during the stay")] = (
        1.0
    )

    def rank(self, request: RankingRequest) -> Integers:
        """See `RecommendationStrategy.rank`."""
        if request.load is None:
            raise InputError("load", NOTHING, "given for each station")
        distance = metres(request.distance_km)
        score = (
            self.distance_weight * scaled(distance)
            + self.price_weight * scaled(prices_of(request))
            + self.load_weight * scaled(request.load)
        )
        # Rounded, so that the noise of the sum never decides between equals.
        return np.lexsort((distance, np.rint(score * 1e9))).astype(np.int64, copy=False)


def scaled(values: Floats) -> Floats:
    """Scale the known values to 0 (least) to 1 (greatest), all 0 if equal; unknown ones (nan) are 1."""
    known = ~np.isnan(values)
    result: Floats = np.where(known, 0.0, 1.0)
    if known.any():
        low, high = values[known].min(), values[known].max()
        if high > low:
            result[known] = (values[known] - low) / (high - low)
    return result
