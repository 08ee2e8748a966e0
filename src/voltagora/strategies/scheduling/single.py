"""Runs the slope merge for one session or a batch: what the three single-session strategies share."""

from __future__ import annotations

from typing import Final

import numpy as np

from voltagora.domain.units import Floats, Integers
from voltagora.strategies.kernels.compilation import compiled
from voltagora.strategies.kernels.exclusive_slots import DIRECTION_TYPES, choose_directions
from voltagora.strategies.kernels.session_schedule import (
    ARBITRAGE,
    BATCH_TYPES,
    INFEASIBLE,
    LIMIT_TYPES,
    REACH_TYPES,
    SCHEDULED,
    SESSION_TYPES,
    Terms,
    reachable,
    schedule_batch,
    schedule_session,
    slot_limits,
)
from voltagora.strategies.scheduling.decision import Infeasible, Planned, PlannedBatch, Session, SessionBatch

NO_LIMIT: Final = np.empty(0)
ANYWHERE: Final = np.empty(0, np.int64)


def planned(session: Session, discharge_kw: float, wear: float, *, by_price: bool) -> Planned | Infeasible:
    """Schedule one session by the merge.

    Args:
        session: the stay.
        discharge_kw: the power of V2G, kW, in place of the session's own.
        wear: EUR per kWh discharged.
        by_price: cheapest slots first; if not, full power from arrival.
    """
    directions = ANYWHERE
    schedule = np.empty(len(session.buy))
    while True:
        state, possible, cost, objective = compiled(schedule_session, SESSION_TYPES)(
            by_price,
            (session.arrival, session.departure, session.first_slot, session.step_seconds),
            (
                session.energy_kwh,
                session.start_kwh,
                session.low_kwh,
                session.high_kwh,
                session.charge_kw,
                discharge_kw,
                session.charge_efficiency,
                session.discharge_efficiency,
                wear,
                session.min_sell_eur_kwh,
            ),
            session.buy,
            session.sell,
            NO_LIMIT if session.headroom_charge_kwh is None else session.headroom_charge_kwh,
            NO_LIMIT if session.headroom_discharge_kwh is None else session.headroom_discharge_kwh,
            directions,
            schedule,
        )
        if state == SCHEDULED:
            schedule.flags.writeable = False
            return Planned(schedule, cost, objective)
        if state == INFEASIBLE:
            return Infeasible(possible)
        directions = directions_of(session, discharge_kw, wear)


def directions_of(session: Session, discharge_kw: float, wear: float) -> Integers:
    """Choose for each slot where buying and selling at once would pay what it does instead."""
    limits, most = limits_of(session, discharge_kw, wear)
    start = session.start_kwh
    target = start + min(session.energy_kwh, most)
    bounds = compiled(reachable, REACH_TYPES)(start, session.low_kwh, session.high_kwh, target, limits)
    return compiled(choose_directions, DIRECTION_TYPES)(
        start, target, session.charge_efficiency, session.discharge_efficiency, limits, bounds
    )


def limits_of(session: Session, discharge_kw: float, wear: float) -> tuple[Floats, float]:
    """Give what each slot can do, as `slot_limits` does, and the most the battery can gain, kWh."""
    limits = np.empty((4, len(session.buy)))
    most, _ = compiled(slot_limits, LIMIT_TYPES)(
        True,
        (session.arrival, session.departure, session.first_slot, session.step_seconds),
        terms_of(session, discharge_kw, wear),
        session.buy,
        session.sell,
        NO_LIMIT if session.headroom_charge_kwh is None else session.headroom_charge_kwh,
        NO_LIMIT if session.headroom_discharge_kwh is None else session.headroom_discharge_kwh,
        ANYWHERE,
        limits,
    )
    return limits, min(most, session.high_kwh - session.start_kwh)


def planned_batch(batch: SessionBatch, wear: float, *, by_price: bool, v2g: bool) -> PlannedBatch:
    """Schedule a batch by the merge; `v2g` false: nobody discharges."""
    count = len(batch.stays)
    terms = batch.terms.copy()
    terms[:, 5] *= v2g
    terms[:, 8] = wear
    states, amounts = np.empty(count, np.int64), np.empty((count, 3))
    schedules = np.zeros(len(batch.buy))
    compiled(schedule_batch, BATCH_TYPES)(
        by_price,
        batch.stays,
        terms,
        batch.offsets,
        batch.buy,
        batch.sell,
        batch.headroom_charge_kwh,
        batch.headroom_discharge_kwh,
        states,
        schedules,
        amounts,
    )
    for index in np.flatnonzero(states == ARBITRAGE):
        session = batch.session(int(index))
        answer = planned(session, float(terms[index, 5]), wear, by_price=by_price)
        assert isinstance(answer, Planned)  # the kernel found it feasible
        schedules[batch.offsets[index] : batch.offsets[index + 1]] = answer.schedule_kwh
        amounts[index, 1:] = answer.cost_eur, answer.objective_eur
    feasible = states != INFEASIBLE
    return PlannedBatch(
        feasible=feasible,
        possible_kwh=np.where(feasible, np.nan, amounts[:, 0]),
        schedule_kwh=schedules,
        cost_eur=np.where(feasible, amounts[:, 1], np.nan),
        objective_eur=np.where(feasible, amounts[:, 2], np.nan),
    )


def terms_of(session: Session, discharge_kw: float, wear: float) -> Terms:
    """List the numbers of a session in the order of the kernel's `Terms`."""
    return (
        session.energy_kwh,
        session.start_kwh,
        session.low_kwh,
        session.high_kwh,
        session.charge_kw,
        discharge_kw,
        session.charge_efficiency,
        session.discharge_efficiency,
        wear,
        session.min_sell_eur_kwh,
    )
