"""The joint programme of a station's sessions, built for HiGHS without a modelling layer.

For every session and slot: kWh charged and discharged at the connector, and kWh stored after the
slot. Rows keep the battery's books; one row a slot keeps |Σ net kWh| within the grid limit. A
slot of a session where both directions at once would pay has a binary; any other gets one only
if a solution mixes there (burning energy can pay when the feed-in limit binds and η < 1).

Source: domain.md section 3, "Scheduling".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np

from voltagora.domain.errors import InputError, RunError
from voltagora.domain.units import Floats, Integers
from voltagora.strategies.scheduling.decision import Session
from voltagora.strategies.scheduling.single import limits_of

STILL_KWH: Final = 1e-7  # less than this, both ways in one slot, is the solver's rounding
SOLVER_TOLERANCE: Final = 1e-10
SAME_EUR: Final = 1e-10  # how much the second stage may give away for less throughput


OPTIONS: Final = {
    "output_flag": False,
    "threads": 1,  # the same in the whole process: HiGHS fails quietly when it changes
    "random_seed": 0,
    "primal_feasibility_tolerance": SOLVER_TOLERANCE,
    "dual_feasibility_tolerance": SOLVER_TOLERANCE,
    "mip_feasibility_tolerance": SOLVER_TOLERANCE,
    "mip_rel_gap": 0.0,
    "mip_abs_gap": 0.0,
}


class Member(msgspec.Struct, frozen=True, eq=False):
    """One session in the joint programme."""

    session: Session
    gain_kwh: float  # what the battery must gain
    first: int  # column of the station's slots where its stay begins
    draw: Floats  # the most kWh a slot may charge at the connector, shape (slots,)
    feed: Floats  # the most kWh a slot may discharge
    pays_both: np.ndarray[Any, np.dtype[np.bool_]]  # where both at once would pay


def member(session: Session, wear: float, first: int) -> Member:
    """Work out what a session can do in each slot, and what its battery must gain."""
    limits, most = limits_of(session, session.discharge_kw, wear)
    draw = limits[0] / session.charge_efficiency
    feed = limits[1] * session.discharge_efficiency
    return Member(
        session=session,
        gain_kwh=min(session.energy_kwh, most),
        first=first,
        draw=draw,
        feed=feed,
        pays_both=(limits[2] < limits[3]) & (draw > 0.0) & (feed > 0.0),
    )


class JointModel:
    """Sessions that share a grid connection.

    Args:
        members: the sessions, whose needs must all be met.
        fixed: what others draw (above 0) or feed in, kWh, shape (slots the station looks at,).
        limit_kwh: the most |net kWh| of a slot.
        wear: EUR per kWh discharged.
    """

    def __init__(self, members: Sequence[Member], fixed: Floats, limit_kwh: float, wear: float) -> None:
        self.members = members
        self.fixed = fixed
        self.slots = len(fixed)
        self.limit_kwh = limit_kwh
        self.counts = [len(one.draw) for one in members]
        self.total = sum(self.counts)
        ends = np.cumsum(self.counts)
        self.begins = (ends - self.counts).tolist()
        self.last = ends - 1  # the last slot of each member among all their slots
        self.columns = np.concatenate([one.first + np.arange(len(one.draw)) for one in members])
        self.draw = np.concatenate([one.draw for one in members])
        self.feed = np.concatenate([one.feed for one in members])
        self.buy = np.concatenate([one.session.buy for one in members])
        self.sell = np.concatenate([one.session.sell for one in members]) - wear
        self.eta_in = np.repeat([one.session.charge_efficiency for one in members], self.counts)
        self.eta_out = np.repeat([one.session.discharge_efficiency for one in members], self.counts)
        self.exclusive = np.concatenate([one.pays_both for one in members])

    def cheapest(self) -> list[Floats] | None:
        """Find the schedules of least summed cost, then of least throughput, as stored kWh a slot.

        Returns:
            One array a member, shape (its slots,), or None if not all needs can be met together.

        Raises:
            RunError: HiGHS gave up.
        """
        cost = np.concatenate([self.buy, -self.sell])
        while True:
            found = self._solved(cost, self.exclusive, self._needs())
            if found is None:
                return None
            mixed = np.minimum(found[: self.total], found[self.total : 2 * self.total]) > STILL_KWH
            if not (mixed & ~self.exclusive).any():
                break
            self.exclusive = self.exclusive | mixed
        thrifty = self._thriftiest(cost, found)
        return self._split(self._stored(found if thrifty is None else thrifty))

    def is_feasible(self) -> bool:
        """Tell whether all needs can be met together; binaries never decide that (see `most`)."""
        no_binaries = np.zeros(self.total, np.bool_)
        return self._solved(np.zeros(2 * self.total), no_binaries, self._needs()) is not None

    def most(self) -> float:
        """Find the most the last member could gain while all others' needs are met, kWh.

        Charging and discharging at once never helps here, so there are no binaries: it only
        draws more, and where a slot feeds in too much, discharging less does better.

        Raises:
            RunError: the others' needs cannot be met, or HiGHS gave up.
        """
        gain = np.zeros(2 * self.total)
        ours = slice(self.begins[-1], self.total)
        gain[: self.total][ours] = -self.eta_in[ours]
        gain[self.total :][ours] = 1.0 / self.eta_out[ours]
        needs = self._needs()
        needs[:, -1] = self.members[-1].session.low_kwh, self.members[-1].session.high_kwh
        found = self._solved(gain, np.zeros(self.total, np.bool_), needs)
        if found is None:
            raise RunError("the joint schedule's needs were met before a session was added, and are not now")
        return float(self._stored(found)[ours].sum())

    def _needs(self) -> Floats:
        """List what each battery must hold at departure: lower and upper bound, shape (2, members)."""
        held = [one.session.start_kwh + one.gain_kwh for one in self.members]
        return np.array([held, held])

    def _thriftiest(self, cost: Floats, found: Floats) -> Floats | None:
        """Find the least throughput at the same cost, all directions kept where they were chosen."""
        charging, discharging = found[: self.total], found[self.total : 2 * self.total]
        draw, feed = self.draw.copy(), self.feed.copy()
        draw[self.exclusive & (discharging >= charging)] = 0.0
        feed[self.exclusive & (discharging < charging)] = 0.0
        least = float(cost @ found[: 2 * self.total])
        better = self._solved(
            np.ones(2 * self.total),
            np.zeros(self.total, np.bool_),
            self._needs(),
            bounds=np.concatenate([draw, feed]),
            dearest=(cost, least + SAME_EUR),
        )
        if better is None or float(cost @ better[: 2 * self.total]) > least + 2 * SAME_EUR:
            return None
        mixes = np.minimum(better[: self.total], better[self.total : 2 * self.total]) > STILL_KWH
        return None if mixes.any() else better

    def _solved(
        self,
        cost: Floats,
        exclusive: np.ndarray[Any, np.dtype[np.bool_]],
        needs: Floats,
        bounds: Floats | None = None,
        dearest: tuple[Floats, float] | None = None,
    ) -> Floats | None:
        """Run HiGHS once: minimise `cost` over charged and discharged kWh; None if infeasible."""
        import highspy

        binaries = np.flatnonzero(exclusive)
        model = highspy.HighsLp()
        lower, upper = self._column_bounds(needs, bounds, len(binaries))
        model.num_col_ = len(lower)
        model.col_cost_ = np.concatenate([cost, np.zeros(len(lower) - 2 * self.total)])
        model.col_lower_, model.col_upper_ = lower, upper
        rows, columns, values, row_lower, row_upper = self._rows(binaries, dearest)
        order = np.argsort(rows, kind="stable")
        model.num_row_ = len(row_lower)
        model.row_lower_, model.row_upper_ = row_lower, row_upper
        model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        model.a_matrix_.start_ = np.concatenate(
            [[0], np.cumsum(np.bincount(rows, minlength=len(row_lower)))]
        ).astype(np.int32)
        model.a_matrix_.index_ = columns[order].astype(np.int32)
        model.a_matrix_.value_ = values[order]
        if len(binaries):
            kinds = [highspy.HighsVarType.kContinuous] * (3 * self.total)
            model.integrality_ = kinds + [highspy.HighsVarType.kInteger] * len(binaries)
        return _run(highspy, model)

    def _column_bounds(self, needs: Floats, bounds: Floats | None, binaries: int) -> tuple[Floats, Floats]:
        low = np.repeat([one.session.low_kwh for one in self.members], self.counts)
        high = np.repeat([one.session.high_kwh for one in self.members], self.counts)
        low[self.last], high[self.last] = needs
        most = np.concatenate([self.draw, self.feed]) if bounds is None else bounds
        lower = np.concatenate([np.zeros(2 * self.total), low, np.zeros(binaries)])
        return lower, np.concatenate([most, high, np.ones(binaries)])

    def _rows(
        self, binaries: Integers, dearest: tuple[Floats, float] | None
    ) -> tuple[Integers, Integers, Floats, Floats, Floats]:
        """List the entries of all rows, and the rows' bounds."""
        total, every = self.total, np.arange(self.total)
        later = np.setdiff1d(every, self.begins)
        grid = total + self.columns
        choice = total + self.slots + np.arange(len(binaries))
        refusal = choice + len(binaries)
        switch = 3 * total + np.arange(len(binaries))
        entries = [
            # stored after − stored before − η_c·charged + discharged/η_d = 0
            (every, 2 * total + every, np.ones(total)),
            (later, 2 * total + later - 1, -np.ones(len(later))),
            (every, every, -self.eta_in),
            (every, total + every, 1.0 / self.eta_out),
            # Σ charged − Σ discharged within the limit
            (grid, every, np.ones(total)),
            (grid, total + every, -np.ones(total)),
            # charged ≤ draw·switch, discharged ≤ feed·(1 − switch)
            (choice, binaries, np.ones(len(binaries))),
            (choice, switch, -self.draw[binaries]),
            (refusal, total + binaries, np.ones(len(binaries))),
            (refusal, switch, self.feed[binaries]),
        ]
        before = np.zeros(total)
        before[self.begins] = [one.session.start_kwh for one in self.members]
        no_floor = np.full(2 * len(binaries), -np.inf)
        # Standing still is always allowed, even where what is fixed exceeds the limit by itself.
        least = np.minimum(-self.limit_kwh - self.fixed, 0.0)
        most = np.maximum(self.limit_kwh - self.fixed, 0.0)
        lower = [before, least, no_floor]
        upper = [before, most, np.zeros(len(binaries)), self.feed[binaries]]
        if dearest is not None:
            last = total + self.slots + 2 * len(binaries)
            entries.append((np.full(2 * total, last), np.arange(2 * total), dearest[0]))
            lower.append(np.array([-np.inf]))
            upper.append(np.array([dearest[1]]))
        rows, columns, values = (np.concatenate(part) for part in zip(*entries, strict=True))
        return rows, columns, values, np.concatenate(lower), np.concatenate(upper)

    def _stored(self, found: Floats) -> Floats:
        stored: Floats = self.eta_in * found[: self.total] - found[self.total : 2 * self.total] / self.eta_out
        return stored

    def _split(self, values: Floats) -> list[Floats]:
        return np.split(values, self.last[:-1] + 1)


def column_of(session: Session, base: int, step_seconds: int, index: int) -> int:
    """Find where a stay begins among the station's slots.

    Raises:
        InputError: its slots are not the station's.
    """
    column, rest = divmod(session.first_slot - base, step_seconds)
    if session.step_seconds != step_seconds:
        raise InputError(
            f"sessions[{index}].step_seconds", session.step_seconds, f"{step_seconds} as the station's"
        )
    if rest:
        raise InputError(
            f"sessions[{index}].first_slot", session.first_slot, "the start of a slot of the station"
        )
    return column


def _run(highspy: Any, model: Any) -> Floats | None:
    """Solve exactly, on one thread, and say so if HiGHS could not."""
    solver = _silent_solver(highspy)
    for option, value in OPTIONS.items():
        solver.setOptionValue(option, value)
    states = highspy.HighsModelStatus
    done = solver.passModel(model)
    if done != highspy.HighsStatus.kError:
        done = solver.run()
    state = solver.getModelStatus()
    if state in (states.kInfeasible, states.kUnboundedOrInfeasible):
        return None  # every column is bounded, so the programme cannot be unbounded
    if state != states.kOptimal or done == highspy.HighsStatus.kError:
        raise RunError(f"the joint schedule of a station was not solved: HiGHS says {state.name}")
    found: Floats = np.array(solver.getSolution().col_value)
    return found


def _silent_solver(highspy: Any) -> Any:
    class Silent(highspy.Highs):  # type: ignore[misc]
        def enableCallbacks(self) -> None:  # noqa: N802
            """Leave them out: enabling them prints a banner before any option could forbid it."""

    return Silent()
