"""Great-circle distances."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voltagora.domain.location import Location, distance_km

RADIUS = 6371.0088
points = st.builds(Location, latitude=st.floats(-90, 90), longitude=st.floats(-180, 180))


def by_vectors(a: Location, b: Location) -> float:
    """Measure the angle between two unit vectors by their cross and dot product."""

    def unit(point: Location) -> np.ndarray:
        phi, lam = math.radians(point.latitude), math.radians(point.longitude)
        return np.array([math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi)])

    u, v = unit(a), unit(b)
    return RADIUS * math.atan2(float(np.linalg.norm(np.cross(u, v))), float(u @ v))


@given(points, points)
def test_the_distance_is_the_angle_between_the_points(a: Location, b: Location) -> None:
    # Near the antipode the haversine loses digits: half a metre there, nothing elsewhere.
    assert distance_km(a, b) == pytest.approx(by_vectors(a, b), rel=1e-9, abs=5e-4)


@given(points, points)
def test_it_is_the_same_both_ways(a: Location, b: Location) -> None:
    assert distance_km(a, b) == pytest.approx(distance_km(b, a), abs=1e-9)
    assert distance_km(a, a) == 0


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0), (1, 0), RADIUS * math.pi / 180),  # a degree of a meridian
        ((0, 0), (90, 0), RADIUS * math.pi / 2),  # equator to pole
        ((0, 0), (0, 180), RADIUS * math.pi),  # half way round
        ((0, 179.5), (0, -179.5), RADIUS * math.pi / 180),  # across the date line
        ((90, 0), (90, 123), 0),  # a pole has every longitude
        ((37.9838, 23.7275), (40.6401, 22.9444), 302.9),  # Athens to Thessaloniki
    ],
)
def test_known_distances(a: tuple[float, float], b: tuple[float, float], expected: float) -> None:
    here, there = (Location(latitude=lat, longitude=lon) for lat, lon in (a, b))
    assert distance_km(here, there) == pytest.approx(expected, abs=0.5 if expected == 302.9 else 1e-6)
