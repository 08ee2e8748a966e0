"""What every single-session strategy promises."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voltagora.strategies.scheduling.decision import Infeasible, Planned, SessionBatch
from voltagora.strategies.scheduling.first_slot import FirstSlot
from voltagora.strategies.scheduling.lowest_price import LowestPrice
from voltagora.strategies.scheduling.station import Station
from voltagora.strategies.scheduling.v2g import V2g

ALL = [FirstSlot(), LowestPrice(), V2g(), Station()]


@pytest.mark.parametrize("strategy", ALL, ids=lambda s: s.name)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_rounded_schedule_keeps_every_bound(strategy, draw, limits_of, seed):
    session = draw(np.random.default_rng(seed))
    answer = strategy.plan(session)
    if isinstance(answer, Infeasible):
        return
    net = answer.schedule_kwh
    slot = limits_of(session)
    # A slot's rounding, seen from the battery, is at most 1e-6 kWh over its efficiency.
    allowed = 1e-6 / min(1.0, session.discharge_efficiency) * np.arange(1, len(net) + 1)
    stored = np.where(net > 0, net * session.charge_efficiency, net / session.discharge_efficiency)
    held = session.start_kwh + np.cumsum(stored)
    assert net.shape == session.buy.shape
    assert (net <= slot.hours * slot.charge_kw + 1e-6).all()
    assert (-net <= slot.hours * slot.discharge_kw + 1e-6).all()
    assert (held >= session.low_kwh - allowed).all()
    assert (held <= session.high_kwh + allowed).all()
    assert held[-1] == pytest.approx(session.start_kwh + session.energy_kwh, abs=allowed[-1])


@pytest.mark.parametrize("strategy", ALL, ids=lambda s: s.name)
def test_all_refuse_the_same_needs_with_the_same_number(strategy, draw):
    rng = np.random.default_rng(3)
    for _ in range(200):
        session = draw(rng)
        answer, other = strategy.plan(session), V2g().plan(session)
        assert isinstance(answer, Infeasible) == isinstance(other, Infeasible)
        if isinstance(answer, Infeasible):
            assert answer == other


@pytest.mark.parametrize("strategy", [FirstSlot(), LowestPrice()], ids=lambda s: s.name)
def test_slots_are_filled_in_order(strategy, draw, limits_of):
    rng = np.random.default_rng(8)
    for _ in range(400):
        session = draw(rng)
        answer = strategy.plan(session)
        if isinstance(answer, Infeasible):
            continue
        slot = limits_of(session)
        order = range(len(session.buy))
        if strategy.name == "lowest_price":
            order = sorted(order, key=lambda t: (session.buy[t], t))
        wanted, missing = np.zeros(len(session.buy)), session.energy_kwh / session.charge_efficiency
        for t in order:
            wanted[t] = min(missing, slot.hours[t] * slot.charge_kw[t])
            missing -= wanted[t]
        assert answer.schedule_kwh == pytest.approx(wanted, abs=2e-6)
        assert answer.objective_eur == pytest.approx(float(wanted @ session.buy), abs=1e-5)


@pytest.mark.parametrize("strategy", ALL, ids=lambda s: s.name)
def test_a_batch_gives_what_one_by_one_gives(strategy, draw):
    rng = np.random.default_rng(9)
    drawn = [draw(rng) for _ in range(60)]
    batch = strategy.plan_batch(SessionBatch.of(drawn))
    for i, session in enumerate(drawn):
        answer = strategy.plan(session)
        if isinstance(answer, Planned):
            assert batch.cost_eur[i] == answer.cost_eur
        else:
            assert batch.possible_kwh[i] == answer.possible_kwh


@pytest.mark.parametrize("strategy", ALL, ids=lambda s: s.name)
def test_a_need_is_refused_only_beyond_a_millionth_kwh(strategy, a_session):
    assert isinstance(strategy.plan(a_session(energy_kwh=28.0 + 9e-7)), Planned)
    refusal = strategy.plan(a_session(energy_kwh=28.0 + 2e-6))
    assert refusal == Infeasible(28.0)


@pytest.mark.parametrize("strategy", ALL, ids=lambda s: s.name)
def test_the_grid_limit_less_what_is_booked_caps_each_slot(strategy, a_session):
    headroom = np.array([1.0, -2.0, 5.0, 100.0])
    session = a_session(headroom_charge_kwh=headroom, energy_kwh=13.0)

    assert strategy.plan(session).schedule_kwh == pytest.approx([1.0, 0.0, 5.0, 7.0])
    assert strategy.plan(msgspec.structs.replace(session, energy_kwh=13.5)) == Infeasible(13.0)


def test_read_only_prices_are_taken(a_session):
    session = a_session()
    session.buy.flags.writeable = False
    session.sell.flags.writeable = False

    answer = V2g().plan(session)

    assert answer.schedule_kwh.tolist() == [0.0, 7.0, 0.0, 3.0]
    assert not answer.schedule_kwh.flags.writeable


def test_neither_numba_nor_highs_is_imported_before_it_runs():
    names = ", ".join(f"voltagora.strategies.scheduling.{s.name}" for s in ALL)
    code = f"import sys, {names}; sys.exit(bool({{'numba', 'highspy'}} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
