"""The decision: in which order the stations that could serve a vehicle are proposed to it."""

from __future__ import annotations

from typing import ClassVar

import msgspec
import numpy as np

from voltagora.domain.units import Floats, Integers
from voltagora.strategies.strategy import Strategy


class RecommendationStrategy(Strategy, frozen=True, kw_only=True):
    """Orders the stations that have a fitting free connector."""

    uses_price: ClassVar[bool] = True
    """Whether `expected_price` matters; if not, the caller may leave it out."""
    uses_load: ClassVar[bool] = True
    """Whether `load` matters; if not, the caller may leave it out."""

    def rank(self, request: RankingRequest) -> Integers:
        """Order the candidates.

        Args:
            request: the candidates, by ascending id.

        Returns:
            The places of all candidates in the request's arrays, best first, shape (stations,).
            It depends on each candidate's own values and the others', never on chance; and a
            strategy that uses neither price nor load gives each two stations the same order
            whatever the other candidates are, so that a caller may keep it for a place.

        Raises:
            InputError: the request lacks what this strategy needs.
        """
        raise NotImplementedError


class RankingRequest(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The stations among which to choose for one stay; arrays are of shape (stations,)."""

    station_ids: tuple[str, ...]  # ascending, so that of equals the first is the one with the lower id
    distance_km: Floats
    expected_price: Floats | None = None  # EUR/kWh over the stay; nan where unknown, None where all are
    # kWh that the connectors reserved at the station could draw during the stay: rated power
    # times the hours each reservation shares with it, unless the caller knows better.
    load: Floats | None = None


def prices_of(request: RankingRequest) -> Floats:
    """Give the expected price of each station, EUR/kWh, nan where unknown."""
    return (
        np.full(len(request.station_ids), np.nan)
        if request.expected_price is None
        else request.expected_price
    )
