from __future__ import annotations

import itertools
from fractions import Fraction

import msgspec
import numpy as np
import pytest

from voltagora.strategies.scheduling import single
from voltagora.strategies.scheduling.decision import Infeasible, Planned, Session, SessionBatch
from voltagora.strategies.scheduling.v2g import V2g


def test_cost_equals_highs_over_thousands_of_sessions(draw, programme):
    rng = np.random.default_rng(1)
    planned = refused = churning = 0
    for _ in range(2000):
        session = draw(rng)
        answer = V2g().plan(session)
        best = programme([session]).solve()
        if isinstance(answer, Infeasible):
            assert best is None
            refused += 1
            continue
        assert best is not None
        assert answer.objective_eur == pytest.approx(best, abs=1e-9, rel=0)
        planned += 1
        churning += bool((session.buy < session.sell - 0.001).any() and session.discharge_kw)
    assert planned > 1200
    assert refused > 100
    assert churning > 150


@pytest.mark.parametrize("slots", [12, 24])
def test_many_slots_that_would_pay_to_churn_are_solved_exactly(programme, slots):
    rng = np.random.default_rng(slots)
    for case in range(2 if slots == 24 else 4):
        price = np.full(slots, -0.1) if case % 2 else np.round(-0.2 * rng.random(slots), 5)
        session = Session(
            arrival=0,
            departure=slots * 3600,
            first_slot=0,
            step_seconds=3600,
            buy=price,
            sell=price,
            energy_kwh=3.0,
            start_kwh=5.0,
            low_kwh=2.0,
            high_kwh=12.0 + case,
            charge_kw=11.0,
            discharge_kw=7.0,
            charge_efficiency=0.9,
            discharge_efficiency=0.9,
        )
        answer = V2g().plan(session)
        assert answer.objective_eur == pytest.approx(programme([session]).solve(), abs=1e-9, rel=0)


def test_even_a_subset_sum_ends_and_comes_close(a_session, programme):
    # As many distinct limits as slots at one negative price: exactly, the pieces would double with each.
    slots = 288
    room = 0.9 * np.random.default_rng(0).random(slots)
    session = a_session(
        departure=slots * 3600,
        buy=np.full(slots, -0.1),
        sell=np.full(slots, -0.1),
        energy_kwh=5.0,
        start_kwh=20.0,
        discharge_kw=7.0,
        charge_efficiency=0.93,
        discharge_efficiency=0.91,
        headroom_charge_kwh=room,
        headroom_discharge_kwh=room,
    )

    answer = V2g().plan(session)

    bound = programme([session]).solve(mixing=True)
    assert bound - 1e-9 <= answer.objective_eur <= bound + 1e-3


def test_binaries_elsewhere_change_nothing(draw, programme):
    # domain.md: charging and discharging at once cannot pay where no binary is asked for.
    rng = np.random.default_rng(2)
    for _ in range(60):
        session = draw(rng, slots=6)
        answer = V2g().plan(session)
        if isinstance(answer, Planned):
            assert answer.objective_eur == pytest.approx(
                programme([session]).solve(everywhere=True), abs=1e-9
            )


def every_schedule(ups, downs, low, high, start, need):
    """List every schedule in whole stored kWh that keeps the bounds and meets the need."""
    ranges = [range(-down, up + 1) for up, down in zip(ups, downs, strict=True)]
    moves = np.array(list(itertools.product(*ranges)))
    held = start + np.cumsum(moves, axis=1)
    return moves[(held >= low).all(axis=1) & (held <= high).all(axis=1) & (held[:, -1] == start + need)]


@pytest.mark.parametrize(("eta_in", "eta_out"), [("1", "1"), ("0.5", "0.5"), ("0.5", "1"), ("0.8", "0.625")])
def test_equal_costs_take_least_throughput_then_charge_early(eta_in, eta_out):
    # With whole limits in stored kWh all vertices are whole, so enumeration sees the best of all schedules.
    eta_in, eta_out = Fraction(eta_in), Fraction(eta_out)
    rng = np.random.default_rng(int(100 * eta_in + eta_out))
    checked = ties = 0
    for _ in range(150):
        n = int(rng.integers(1, 6))
        ups, downs = rng.integers(0, 3, n), rng.integers(0, 3, n)
        low, start = 0, int(rng.integers(0, 4))
        high = start + int(rng.integers(0, 4))
        need = int(rng.integers(0, high - start + 1))
        cents = int(rng.integers(1, 4))
        buy = [Fraction(int(p), 10) for p in rng.integers(-cents, cents + 1, n)]
        sell = [price + Fraction(int(k), 10) for price, k in zip(buy, rng.integers(-1, 2, n), strict=True)]
        found = every_schedule(ups, downs, low, high, start, need)
        session = Session(
            arrival=0,
            departure=n * 3600,
            first_slot=0,
            step_seconds=3600,
            buy=np.array([float(p) for p in buy]),
            sell=np.array([float(p + Fraction(1, 1000)) for p in sell]),
            energy_kwh=float(need),
            start_kwh=float(start),
            low_kwh=float(low),
            high_kwh=float(high),
            charge_kw=100.0,
            discharge_kw=100.0,
            charge_efficiency=float(eta_in),
            discharge_efficiency=float(eta_out),
            headroom_charge_kwh=np.array([float(up / eta_in) for up in map(int, ups)]),
            headroom_discharge_kwh=np.array([float(down * eta_out) for down in map(int, downs)]),
        )
        answer = V2g(wear_eur_per_kwh=0.001).plan(session)
        if isinstance(answer, Infeasible):
            assert not len(found)
            continue
        ranked = []
        for moves in found.tolist():
            schedule = [x / eta_in if x > 0 else x * eta_out for x in map(Fraction, moves)]
            cost = sum(k * (b if k > 0 else s) for k, b, s in zip(schedule, buy, sell, strict=True))
            ranked.append((cost, sum(map(abs, schedule)), [-k for k in schedule]))
        ranked.sort()
        assert answer.schedule_kwh == pytest.approx([float(-k) for k in ranked[0][2]], abs=1e-6), session
        checked += 1
        ties += len(ranked) > 1 and ranked[1][0] == ranked[0][0]
    assert checked > 60
    assert ties > 15


def test_batch_gives_what_one_by_one_gives(draw):
    rng = np.random.default_rng(4)
    drawn = [draw(rng) for _ in range(400)]
    batch = V2g().plan_batch(SessionBatch.of(drawn))
    end = 0
    for i, session in enumerate(drawn):
        begin, end = end, end + len(session.buy)
        answer = V2g().plan(session)
        assert batch.feasible[i] == isinstance(answer, Planned)
        if isinstance(answer, Planned):
            assert batch.schedule_kwh[begin:end].tobytes() == answer.schedule_kwh.tobytes()
            assert batch.cost_eur[i] == answer.cost_eur
            assert batch.objective_eur[i] == answer.objective_eur
            assert np.isnan(batch.possible_kwh[i])
        else:
            assert batch.possible_kwh[i] == answer.possible_kwh
            assert np.isnan(batch.cost_eur[i])
            assert not batch.schedule_kwh[begin:end].any()


def test_the_plain_twin_agrees_to_the_bit(draw, monkeypatch):
    rng = np.random.default_rng(5)
    drawn = [draw(rng) for _ in range(150)]
    compiled = [V2g().plan(session) for session in drawn]
    batch = V2g().plan_batch(SessionBatch.of(drawn))
    directions = [single.directions_of(s, s.discharge_kw, 0.001) for s in drawn if s.energy_kwh <= 1e-9]
    monkeypatch.setattr(single, "compiled", lambda kernel, signature=None: kernel)
    plain = [V2g().plan(session) for session in drawn]
    for fast, slow in zip(compiled, plain, strict=True):
        assert type(fast) is type(slow)
        if isinstance(fast, Planned):
            assert fast.schedule_kwh.tobytes() == slow.schedule_kwh.tobytes()
            assert (fast.cost_eur, fast.objective_eur) == (slow.cost_eur, slow.objective_eur)
        else:
            assert fast == slow
    plain_batch = V2g().plan_batch(SessionBatch.of(drawn))
    assert plain_batch.schedule_kwh.tobytes() == batch.schedule_kwh.tobytes()
    assert plain_batch.objective_eur.tobytes() == batch.objective_eur.tobytes()
    again = [single.directions_of(s, s.discharge_kw, 0.001) for s in drawn if s.energy_kwh <= 1e-9]
    assert [d.tolist() for d in again] == [d.tolist() for d in directions]


def test_cost_is_settled_on_the_rounded_schedule_without_wear(draw):
    rng = np.random.default_rng(6)
    for _ in range(200):
        session = draw(rng)
        answer = V2g().plan(session)
        if isinstance(answer, Planned):
            paid = sum(
                Fraction(float(k)) * Fraction(float(b if k > 0 else s))
                for k, b, s in zip(answer.schedule_kwh, session.buy, session.sell, strict=True)
            )
            assert answer.cost_eur == pytest.approx(float(paid), abs=5.01e-6)
            assert answer.cost_eur == round(answer.cost_eur, 5)
            assert np.array_equal(answer.schedule_kwh, np.round(answer.schedule_kwh, 6))
            assert not np.signbit(answer.schedule_kwh[answer.schedule_kwh == 0]).any()


def test_a_refusal_says_what_would_be_possible(draw, programme):
    rng = np.random.default_rng(7)
    refused = 0
    for _ in range(200):
        session = draw(rng)
        answer = V2g().plan(msgspec.structs.replace(session, energy_kwh=1e4))
        assert isinstance(answer, Infeasible)
        most = programme([session]).solve(most_of_last=True)
        assert answer.possible_kwh == pytest.approx(most, abs=2e-6)
        assert isinstance(
            V2g().plan(msgspec.structs.replace(session, energy_kwh=answer.possible_kwh)), Planned
        )
        assert isinstance(
            V2g().plan(msgspec.structs.replace(session, energy_kwh=answer.possible_kwh + 2e-6)), Infeasible
        )
        refused += 1
    assert refused


def test_no_sale_below_the_least_price_the_driver_takes(a_session):
    session = a_session(
        discharge_kw=7.0, energy_kwh=0.0, sell=np.array([0.5, 0.4, 0.3, 0.3]), min_sell_eur_kwh=0.4
    )

    answer = V2g().plan(session)

    assert (answer.schedule_kwh[:2] < 0).any()
    assert (answer.schedule_kwh[2:] >= 0).all()


def test_it_sells_only_above_the_wear(a_session):
    buy, sell = np.array([0.1, 0.2]), np.array([0.1, 0.15])
    session = a_session(discharge_kw=7.0, energy_kwh=0.0, buy=buy, sell=sell, departure=7200)

    assert V2g(wear_eur_per_kwh=0.049).plan(session).schedule_kwh.tolist() == [7.0, -7.0]
    assert V2g(wear_eur_per_kwh=0.05).plan(session).schedule_kwh.tolist() == [0.0, 0.0]


def test_a_battery_above_its_top_may_stay_there_but_not_rise(a_session):
    session = a_session(start_kwh=39.0, high_kwh=39.0, energy_kwh=0.0, discharge_kw=7.0, buy=np.full(4, -1.0))

    held = 39.0 + np.cumsum(V2g().plan(session).schedule_kwh)

    assert held.max() <= 39.0 + 1e-9
