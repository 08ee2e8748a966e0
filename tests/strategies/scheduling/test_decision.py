from __future__ import annotations

import msgspec
import numpy as np
import pytest

from voltagora.domain.series import hours_in_slots
from voltagora.domain.units import Time
from voltagora.domain.vehicle import Battery, Preferences
from voltagora.strategies.scheduling.decision import Planned, Session, possible_departure
from voltagora.strategies.scheduling.first_slot import FirstSlot

BATTERY = Battery(
    capacity_kwh=50.0,
    soc=0.5,
    min_soc=0.1,
    max_soc=0.9,
    max_charge_kw=11.0,
    max_discharge_kw=7.0,
    charge_efficiency=0.9,
    discharge_efficiency=0.8,
)
PREFERENCES = Preferences(
    arrival=Time(600),
    departure=Time(7000),
    energy_kwh=3.0,
    connector_type="3 phase-DC",
    power_kw=22.0,
    v2g_allowed=True,
    min_soc=0.2,
)


def session_of(battery=BATTERY, preferences=PREFERENCES, power_kw=50.0, v2g=True):
    prices = np.array([0.1, 0.2])
    return Session.of(
        preferences,
        battery,
        connector_power_kw=power_kw,
        connector_v2g=v2g,
        first_slot=0,
        step_seconds=3600,
        buy=prices,
        sell=prices,
    )


def changed(value, **changes):
    return msgspec.structs.replace(value, **changes)


def test_power_is_the_least_of_connector_battery_and_wish():
    assert session_of().charge_kw == 11.0
    assert session_of(power_kw=3.7).charge_kw == 3.7
    assert session_of(preferences=changed(PREFERENCES, power_kw=5.0)).charge_kw == 5.0


def test_discharging_is_capped_by_connector_and_battery_but_not_by_the_wish():
    assert session_of().discharge_kw == 7.0
    assert session_of(power_kw=3.7).discharge_kw == 3.7
    assert session_of(preferences=changed(PREFERENCES, power_kw=5.0)).discharge_kw == 7.0


def test_no_discharging_unless_allowed_and_possible():
    assert session_of(v2g=False).discharge_kw == 0.0
    assert session_of(preferences=changed(PREFERENCES, v2g_allowed=False)).discharge_kw == 0.0


def test_the_bounds_of_the_battery_open_to_where_it_stands():
    assert (session_of().start_kwh, session_of().low_kwh, session_of().high_kwh) == (25.0, 10.0, 45.0)
    assert session_of(battery=changed(BATTERY, min_soc=0.3)).low_kwh == 15.0
    assert session_of(battery=changed(BATTERY, soc=0.05)).low_kwh == 2.5
    assert session_of(battery=changed(BATTERY, soc=1.0)).high_kwh == 50.0


def test_the_rest_is_taken_over():
    session = session_of(preferences=changed(PREFERENCES, min_sell_eur_kwh=0.25))
    assert (session.arrival, session.departure, session.energy_kwh) == (600, 7000, 3.0)
    assert type(session.arrival) is int
    assert (session.charge_efficiency, session.discharge_efficiency) == (0.9, 0.8)
    assert session.min_sell_eur_kwh == 0.25
    assert session_of().min_sell_eur_kwh == -np.inf


@pytest.mark.parametrize("seed", range(40))
def test_possible_departure_is_the_first_second_that_does(seed):
    rng = np.random.default_rng(seed)
    step, slots = 300, 6
    arrival, latest = int(rng.integers(0, step)), int(rng.integers(step, step * slots))
    room = rng.random(slots) * 1.2 * 11.0 if seed % 2 else None
    session = Session(
        arrival=arrival,
        departure=arrival + 1,
        first_slot=0,
        step_seconds=step,
        buy=np.zeros(1),
        sell=np.zeros(1),
        energy_kwh=float(rng.choice([0.0, rng.random() * 5, 0.9 * 11.0 * 60 / 3600])),
        start_kwh=10.0,
        low_kwh=2.0,
        high_kwh=10.0 + float(rng.choice([2.0, 20.0])),
        charge_kw=11.0,
        charge_efficiency=0.9,
    )

    found = possible_departure(session, latest, room)

    first = None
    for departure in range(arrival + 1, latest + 1):
        n = -(-departure // step)
        stay = changed(
            session,
            departure=departure,
            buy=np.zeros(n),
            sell=np.zeros(n),
            headroom_charge_kwh=None
            if room is None
            else room[:n] * hours_in_slots(arrival, departure, 0, step),
        )
        if isinstance(FirstSlot().plan(stay), Planned):
            first = departure
            break
    assert found == first


def test_no_departure_is_late_enough_for_a_battery_too_small(a_session):
    assert possible_departure(a_session(energy_kwh=30.1), 10**9) is None
    assert possible_departure(a_session(charge_kw=0.0), 10**6) is None
    assert possible_departure(a_session(energy_kwh=28.0), 4 * 3600 - 1) is None
    assert possible_departure(a_session(energy_kwh=28.0), 10**9) == 4 * 3600
