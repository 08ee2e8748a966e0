"""Where things are, and how far apart."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt
from typing import Final

import msgspec

from voltagora.domain.units import Latitude, Longitude

EARTH_RADIUS_KM: Final = 6371.0088


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """A point on the globe, degrees, WGS84."""

    latitude: Latitude
    longitude: Longitude


def distance_km(a: Location, b: Location) -> float:
    """Measure the great circle between two points, km, by the haversine formula with the mean radius."""
    phi_a, phi_b = radians(a.latitude), radians(b.latitude)
    half_phi = (phi_b - phi_a) / 2
    half_lambda = radians(b.longitude - a.longitude) / 2
    chord = sin(half_phi) ** 2 + cos(phi_a) * cos(phi_b) * sin(half_lambda) ** 2
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(chord)))
