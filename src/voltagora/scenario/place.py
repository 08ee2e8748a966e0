"""Where vehicles and stations stand."""

from __future__ import annotations

from math import radians

import numpy as np

from voltagora.domain.location import Location
from voltagora.domain.units import Integers
from voltagora.scenario.areas import Area
from voltagora.scenario.draws import Draws
from voltagora.scenario.settings import Scenario

KM_PER_DEGREE = 111.195


class Places:
    """Gives the n-th thing of a kind its place, by the scenario's `placement`."""

    def __init__(self, scenario: Scenario, area: Area, kind: str) -> None:
        self._line = scenario.placement == "line"
        self._area = area.settings
        self._draws = Draws(scenario.seed, "place", kind, area.id)
        self._on_the_line = [Location(latitude=float(degrees), longitude=0.0) for degrees in range(10)]

    def of(self, numbers: Integers) -> list[Location]:
        """Give the place of each of these numbers."""
        if self._line:
            return [self._on_the_line[number % 10] for number in numbers.tolist()]
        return self._in_disc(numbers)

    def _in_disc(self, numbers: Integers) -> list[Location]:
        """Draw points evenly over the disc: of several tries in its square, the first inside."""
        centre = self._area
        tries = self._draws.between(-1.0, 1.0, numbers[:, None], np.arange(32)).reshape(-1, 16, 2)
        inside = (tries**2).sum(axis=2) <= 1.0
        # Sixteen misses in a row happen once in 10^11; such a point goes to the centre.
        found = tries[np.arange(len(tries)), inside.argmax(axis=1)] * inside.any(axis=1)[:, None]
        north_km, east_km = (found * centre.radius_km).T
        latitude = np.clip(centre.latitude + north_km / KM_PER_DEGREE, -90.0, 90.0)
        widest = KM_PER_DEGREE * max(float(np.cos(radians(centre.latitude))), 0.01)
        longitude = centre.longitude + east_km / widest
        longitude = np.where(
            longitude > 180, longitude - 360, np.where(longitude < -180, longitude + 360, longitude)
        )
        # Five decimals are about a metre.
        return [
            Location(latitude=lat, longitude=lon)
            for lat, lon in zip(np.round(latitude, 5).tolist(), np.round(longitude, 5).tolist(), strict=True)
        ]
