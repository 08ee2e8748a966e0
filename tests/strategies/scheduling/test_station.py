from __future__ import annotations

import msgspec
import numpy as np
import pytest

from voltagora.domain.errors import InputError
from voltagora.strategies.scheduling.decision import Infeasible, Planned
from voltagora.strategies.scheduling.station import Station
from voltagora.strategies.scheduling.v2g import V2g

STEP = 3600


def some_sessions(rng, draw, most=4):
    """Draw sessions whose stays lie within one another's slots."""
    sessions = []
    for _ in range(int(rng.integers(2, most + 1))):
        count = int(rng.integers(1, 6))
        first = STEP * int(rng.integers(0, 4))
        session = draw(rng, slots=count)
        arrival, departure = (
            first + int(rng.choice([0, 900])),
            first + count * STEP - int(rng.choice([0, 700])),
        )
        sessions.append(
            msgspec.structs.replace(
                session, first_slot=first, step_seconds=STEP, arrival=arrival, departure=departure
            )
        )
    return sessions


def net_of(sessions, answers):
    net = np.zeros(40)
    for session, answer in zip(sessions, answers, strict=True):
        if isinstance(answer, Planned):
            begin = session.first_slot // STEP
            net[begin : begin + len(answer.schedule_kwh)] += answer.schedule_kwh
    return net


def test_the_joint_cost_equals_an_independent_programme(draw, programme):
    rng = np.random.default_rng(1)
    binding = refused = 0
    for _ in range(120):
        sessions, limit = some_sessions(rng, draw), float(rng.choice([4.0, 9.0, 20.0]))
        answers = Station().plan_station(sessions, limit, STEP)
        assert np.abs(net_of(sessions, answers)).max() <= limit + 1e-6
        served = [s for s, a in zip(sessions, answers, strict=True) if isinstance(a, Planned)]
        refused += len(served) < len(sessions)
        if not served:
            continue
        total = sum(a.objective_eur for a in answers if isinstance(a, Planned))
        # Everywhere a binary: the limit on feeding in can make burning pay where no price does.
        best = programme(served, limit).solve(everywhere=True)
        assert best is not None
        assert total == pytest.approx(best, abs=2e-8)
        binding += total > sum(V2g().plan(s).objective_eur for s in served) + 1e-6
    assert binding > 30
    assert refused > 20


def test_a_refusal_says_what_those_earlier_in_the_list_leave(draw, programme):
    rng = np.random.default_rng(2)
    refusals = 0
    for _ in range(80):
        sessions, limit = some_sessions(rng, draw), float(rng.choice([2.0, 4.0, 9.0]))
        answers = Station().plan_station(sessions, limit, STEP)
        served = []
        for session, answer in zip(sessions, answers, strict=True):
            if isinstance(answer, Planned):
                served.append(session)
                continue
            most = programme([*served, session], limit).solve(most_of_last=True)
            assert answer.possible_kwh == pytest.approx(most, abs=2e-6)
            assert session.energy_kwh > most
            refusals += 1
    assert refusals > 20


def test_a_newcomer_never_puts_out_those_who_were_there(draw, programme):
    # Alone the first two may be infeasible, and feasible only because the third feeds them.
    rng = np.random.default_rng(4)
    newcomers = 0
    for _ in range(80):
        sessions, limit = some_sessions(rng, draw, most=5), float(rng.choice([2.0, 4.0, 9.0]))
        before = Station().plan_station(sessions[:-1], limit, STEP)
        if not all(isinstance(answer, Planned) for answer in before):
            continue
        after = Station().plan_station(sessions, limit, STEP)
        assert all(isinstance(answer, Planned) for answer in after[:-1])
        newcomers += isinstance(after[-1], Infeasible)
    assert newcomers > 5


def test_an_idle_limit_gives_what_each_would_do_alone(draw):
    rng = np.random.default_rng(3)
    for _ in range(30):
        sessions = some_sessions(rng, draw)
        alone = [V2g().plan(session) for session in sessions]
        for session, answer, joint in zip(
            sessions, alone, Station().plan_station(sessions, 1e4, STEP), strict=True
        ):
            if isinstance(answer, Planned):
                assert answer.objective_eur == pytest.approx(joint.objective_eur, abs=1e-8)
                assert len(joint.schedule_kwh) == len(session.buy)
            else:
                assert joint.possible_kwh == pytest.approx(answer.possible_kwh, abs=2e-6)


def test_two_vehicles_share_the_cheap_hour(a_session):
    both = [a_session(energy_kwh=5.0, departure=7200, buy=np.array([0.3, 0.1]), sell=np.zeros(2))] * 2

    answers = Station().plan_station(both, 7.0, STEP)

    assert sum(a.schedule_kwh for a in answers) == pytest.approx([3.0, 7.0])
    assert sum(a.cost_eur for a in answers) == pytest.approx(1.6)


def test_the_last_is_refused_with_what_the_others_leave(a_session):
    first = a_session(energy_kwh=14.0)
    last = a_session(energy_kwh=7.0)

    answers = Station().plan_station([first, last], 5.0, STEP)

    assert isinstance(answers[0], Planned)
    assert answers[1] == Infeasible(6.0)


def test_one_vehicle_feeds_another_through_a_small_grid_connection(a_session):
    # Only by selling from the first can the second get 7 kWh out of a connection of 3.5 kW.
    giver = a_session(
        discharge_kw=7.0, energy_kwh=-0.0, departure=7200, buy=np.full(2, 0.1), sell=np.full(2, 0.1)
    )
    taker = a_session(energy_kwh=7.0, departure=3600, buy=np.array([0.1]), sell=np.array([0.1]))

    answers = Station().plan_station([giver, taker], 3.5, STEP)

    assert answers[0].schedule_kwh == pytest.approx([-3.5, 3.5])
    assert answers[1].schedule_kwh == pytest.approx([7.0])


def test_no_vehicle_burns_energy_to_make_room_for_another_to_sell(a_session):
    # In the third hour the seller may feed in 4 kWh; were the lossy one to charge and discharge at
    # once, at a loss, it could feed in 7. No price asks for a binary there: only the limit does.
    seller = a_session(
        discharge_kw=7.0,
        energy_kwh=0.0,
        departure=3 * STEP,
        buy=np.full(3, 0.2),
        sell=np.array([0.1, 0.1, 0.7]),
    )
    lossy = a_session(
        arrival=2 * STEP,
        first_slot=2 * STEP,
        departure=3 * STEP,
        discharge_kw=7.0,
        charge_efficiency=0.5,
        discharge_efficiency=0.5,
        energy_kwh=0.0,
        buy=np.array([0.2]),
        sell=np.array([0.7]),
    )

    answers = Station().plan_station([seller, lossy], 4.0, STEP)

    assert answers[0].schedule_kwh[2] == pytest.approx(-4.0)
    assert answers[0].schedule_kwh.sum() == pytest.approx(0.0)
    assert answers[1].schedule_kwh == pytest.approx([0.0])


def test_rounding_many_schedules_keeps_the_limit(a_session):
    # Thirty times 2/3 kWh is the limit of 20 kWh; thirty times 0.666667 kWh is more.
    prices = {"buy": np.array([0.1, 0.3]), "sell": np.zeros(2), "departure": 7200}
    many = [a_session(energy_kwh=1.0, charge_kw=2.0 / 3.0, **prices) for _ in range(30)]

    answers = Station().plan_station(many, 20.0, STEP)

    assert net_of(many, answers)[0] == pytest.approx(20.0, abs=1e-9)
    for answer in answers:
        assert answer.schedule_kwh == pytest.approx([2 / 3, 1 / 3], abs=1.1e-6)


def test_what_is_fixed_takes_its_part_of_the_limit(a_session):
    session = a_session(energy_kwh=6.0, departure=7200, buy=np.array([0.1, 0.3]), sell=np.zeros(2))

    assert Station().plan_station([session], 7.0, STEP, np.array([3.0, 0.0]))[
        0
    ].schedule_kwh == pytest.approx([4, 2])
    assert Station().plan_station([session], 7.0, STEP, np.array([9.0, 0.0]))[
        0
    ].schedule_kwh == pytest.approx([0, 6])
    assert Station().plan_station([session], 7.0, STEP, np.array([-3.0, 5.0]))[
        0
    ].schedule_kwh == pytest.approx([6, 0])


def test_a_connection_already_over_its_limit_refuses_and_does_not_fail(a_session):
    session = a_session(energy_kwh=1.0, departure=7200, buy=np.full(2, 0.1), sell=np.zeros(2))

    assert Station().plan_station([session], 7.0, STEP, np.full(2, 7.0 + 1e-6)) == [Infeasible(0.0)]


def test_as_many_are_served_as_the_limit_allows(a_session):
    prices = {"buy": np.array([0.1, 0.3]), "sell": np.zeros(2), "departure": 7200}
    many = [a_session(energy_kwh=1.0, charge_kw=1.0, **prices) for _ in range(30)]

    answers = Station().plan_station(many, 20.0 / 3.0, STEP)

    assert [isinstance(answer, Planned) for answer in answers] == [True] * 13 + [False] * 17
    assert answers[13] == Infeasible(0.333333)


def test_the_same_sessions_give_the_same_bytes(draw):
    rng = np.random.default_rng(5)
    for _ in range(10):
        sessions = some_sessions(rng, draw)
        first, second = (Station().plan_station(sessions, 5.0, STEP) for _ in range(2))
        assert [a.schedule_kwh.tobytes() if isinstance(a, Planned) else a for a in first] == [
            a.schedule_kwh.tobytes() if isinstance(a, Planned) else a for a in second
        ]


def test_nobody_is_planned_for_nobody():
    assert Station().plan_station([], 5.0, STEP) == []


def test_slots_that_do_not_lie_on_the_stations_are_refused(a_session):
    with pytest.raises(InputError, match=r"sessions\[1\].first_slot"):
        Station().plan_station([a_session(), a_session(first_slot=60, arrival=60)], 1.0, STEP)
    with pytest.raises(InputError, match=r"sessions\[0\].step_seconds"):
        Station().plan_station([a_session()], 1.0, 900)
