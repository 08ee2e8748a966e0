"""How fast one session is scheduled at least cost, against HiGHS and the sketch we set out from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import process_time
from typing import Any

import highspy
import numpy as np

from voltagora.strategies.scheduling.decision import Planned, Session, SessionBatch
from voltagora.strategies.scheduling.v2g import V2g

TITLE = "Schedules: v2g against HiGHS"

SKETCH_BATCH_US = {24: 1.36, 96: 8.3}
"""CPU time of a schedule in a batch, as the prototype had it on another machine (design, performance)."""

WEAR = 0.001


def rows() -> Iterable[str]:
    """Print one line a measurement; each ratio is of two figures of this run."""
    yield "slots    HiGHS warm    one call    in a batch   HiGHS/call  HiGHS/batch   batch/sketch"
    for slots in (24, 96):
        sessions = [_session(np.random.default_rng([slots, i]), slots) for i in range(2000)]
        highs = _highs_us(sessions[:150])
        call, batch = _call_us(sessions), _batch_us(sessions)
        yield (
            f"{slots:>5}  {highs:>9.0f} us  {call:>7.2f} us  {batch:>8.2f} us  {highs / call:>10.0f}x"
            f"  {highs / batch:>10.0f}x  {batch / SKETCH_BATCH_US[slots]:>12.2f}x"
        )
    churning = [_session(np.random.default_rng([7, i]), 24, churning=True) for i in range(300)]
    yield f"   24  where buying and selling at once would pay in each: {_call_us(churning):>5.0f} us a call"


def _session(rng: np.random.Generator, slots: int, *, churning: bool = False) -> Session:
    """Draw a session of one vehicle class: one class is one warm model of HiGHS."""
    buy = np.round(0.05 + 0.25 * rng.random(slots) - (0.4 if churning else 0.0), 5)
    start = float(4.0 + 20.0 * rng.random())
    return Session(
        arrival=0,
        departure=slots * 3600,
        first_slot=0,
        step_seconds=3600,
        buy=buy,
        sell=buy if churning else np.round(0.9 * buy, 5),
        energy_kwh=float((40.0 - start) * rng.random()),
        start_kwh=start,
        low_kwh=4.0,
        high_kwh=40.0,
        charge_kw=7.4,
        discharge_kw=7.4,
        charge_efficiency=0.93,
        discharge_efficiency=0.93,
    )


def _best_of(runs: int, work: Callable[[], object], count: int) -> float:
    """Give the CPU time of the quickest of some runs, us per item."""
    work()
    best = np.inf
    for _ in range(runs):
        begun = process_time()
        work()
        best = min(best, process_time() - begun)
    return float(best / count * 1e6)


def _call_us(sessions: list[Session]) -> float:
    plan = V2g().plan
    return _best_of(5, lambda: [plan(session) for session in sessions], len(sessions))


def _batch_us(sessions: list[Session]) -> float:
    batch = SessionBatch.of(sessions)
    return _best_of(9, lambda: V2g().plan_batch(batch), len(sessions))


def _highs_us(sessions: list[Session]) -> float:
    """Measure one warm model whose costs and bounds are changed from session to session."""
    solver = _warm_model(sessions[0])
    strategy = V2g()
    for session in sessions[:20]:
        answer = strategy.plan(session)
        assert isinstance(answer, Planned)
        assert abs(_solve(solver, session) - answer.objective_eur) < 1e-8
    return _best_of(2, lambda: [_solve(solver, session) for session in sessions], len(sessions))


def _warm_model(session: Session) -> Any:
    """Build the programme of a vehicle class: charged, discharged and stored kWh of every slot."""
    n = len(session.buy)
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = 3 * n, n
    model.col_cost_ = np.zeros(3 * n)
    model.col_lower_ = np.concatenate([np.zeros(2 * n), np.full(n, session.low_kwh)])
    model.col_upper_ = np.concatenate(
        [np.full(n, session.charge_kw), np.full(n, session.discharge_kw), np.full(n, session.high_kwh)]
    )
    model.row_lower_ = model.row_upper_ = np.zeros(n)
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    starts, columns, values = [0], [], []
    for t in range(n):
        columns += [t, n + t, 2 * n + t]
        values += [-session.charge_efficiency, 1.0 / session.discharge_efficiency, 1.0]
        if t:
            columns.append(2 * n + t - 1)
            values.append(-1.0)
        starts.append(len(columns))
    model.a_matrix_.start_, model.a_matrix_.index_, model.a_matrix_.value_ = starts, columns, values
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.passModel(model)
    return solver


def _solve(solver: Any, session: Session) -> float:
    n = len(session.buy)
    solver.changeColsCost(
        2 * n, np.arange(2 * n, dtype=np.int32), np.concatenate([session.buy, WEAR - session.sell])
    )
    solver.changeRowBounds(0, session.start_kwh, session.start_kwh)
    held = session.start_kwh + session.energy_kwh
    solver.changeColBounds(3 * n - 1, held, held)
    solver.run()
    assert solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return float(solver.getInfo().objective_function_value)


if __name__ == "__main__":
    print(TITLE)
    for row in rows():
        print(row)
