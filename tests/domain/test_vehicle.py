"""Stays and batteries that cannot be."""

from __future__ import annotations

import pytest

from voltagora.domain.station import CONNECTOR_KINDS
from voltagora.domain.units import Time
from voltagora.domain.vehicle import LONGEST_STAY_SECONDS, Battery, check_stay


@pytest.mark.parametrize("stay", [0, -1, -86_400, LONGEST_STAY_SECONDS + 1, 10 * 365 * 86_400])
def test_a_stay_lasts_and_ends_within_a_month(stay: int) -> None:
    arrival = Time.parse("2020-01-01T08:00:00Z")
    with pytest.raises(ValueError, match=r"departure: got .*, must be"):
        check_stay(arrival, Time(arrival + stay))


@pytest.mark.parametrize("stay", [1, 3600, LONGEST_STAY_SECONDS])
def test_any_other_stay_is_fine(stay: int) -> None:
    check_stay(Time(0), Time(stay))


def test_a_battery_has_its_floor_below_its_ceiling() -> None:
    with pytest.raises(ValueError, match=r"min_soc: got 0\.9, must be at most max_soc \(0\.8\)"):
        Battery(capacity_kwh=40, soc=0.5, min_soc=0.9, max_soc=0.8, max_charge_kw=7, max_discharge_kw=7)


def test_the_eight_kinds_of_connectors() -> None:
    assert [(kind.power_kw, kind.level) for kind in CONNECTOR_KINDS] == [
        (3, 1),
        (3.7, 1),
        (7.4, 2),
        (11, 2),
        (22, 2),
        (43, 3),
        (50, 3),
        (120, 3),
    ]
