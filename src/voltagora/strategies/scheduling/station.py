"""All sessions of a station scheduled together under its grid limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np

from voltagora.domain.errors import RunError
from voltagora.domain.units import MICRO, Floats, replaced, round_energy, round_money
from voltagora.strategies.kernels.session_schedule import TOLERANCE_KWH
from voltagora.strategies.scheduling.decision import (
    Infeasible,
    Planned,
    PlannedBatch,
    SchedulingStrategy,
    Session,
    SessionBatch,
)
from voltagora.strategies.scheduling.joint_model import JointModel, Member, column_of, member
from voltagora.strategies.scheduling.single import planned, planned_batch
from voltagora.strategies.scheduling.v2g import Wear

SAFE_KWH: Final = 1e-9
"""A need is held this far below the solver's maximum, so that its rounding cannot refuse it later."""


class Station(SchedulingStrategy, frozen=True, kw_only=True):
    """Minimises the summed cost of all sessions of a station within its grid limit.

    Minimises Σ over sessions and slots of buy·charged + (wear − sell)·discharged kWh, with every
    need met, every battery within its bounds, no session both charging and discharging in a slot,
    and |Σ net kWh| of a slot ≤ grid_limit_kw · hours of the slot. Where the schedules of `v2g`,
    each by itself, keep the limit, they are the answer, with its tie-breaks. Else HiGHS solves the
    joint programme to optimality (gap 0), then the least throughput at that cost is taken (with
    the directions already chosen where a choice was needed); what is still equal is settled the
    same way on every run. If not all needs can be met together, those earlier in the list have
    priority.

    Source: domain.md section 3, "Scheduling".
    """

    name: ClassVar[str] = "station"

    wear_eur_per_kwh: Wear = 0.001

    def plan(self, session: Session) -> Planned | Infeasible:
        """Schedule one session within its own bounds and headroom, as `v2g` does."""
        return planned(session, session.discharge_kw, self.wear_eur_per_kwh, by_price=True)

    def plan_batch(self, batch: SessionBatch) -> PlannedBatch:
        """Schedule many sessions, each by itself, as `v2g` does."""
        return planned_batch(batch, self.wear_eur_per_kwh, by_price=True, v2g=True)

    def plan_station(
        self,
        sessions: Sequence[Session],
        grid_limit_kw: float,
        step_seconds: int,
        fixed_kwh: Floats | None = None,
    ) -> list[Planned | Infeasible]:
        """Schedule sessions that share a grid connection.

        Args:
            sessions: the stays, those with priority first; their headroom holds besides.
            grid_limit_kw: the most the station may draw or feed in, kW.
            step_seconds: length of a slot.
            fixed_kwh: what others draw (above 0) or feed in and is not to be moved, shape (slots,)
                from the earliest slot of the sessions to their latest; None for nothing.

        Returns:
            One answer a session. A refusal carries the most that session could gain while the
            needs of all before it that were not refused are met.

        Raises:
            InputError: the sessions' slots are not aligned.
            RunError: HiGHS gave up.
        """
        if not sessions:
            return []
        base = min(session.first_slot for session in sessions)
        columns = [column_of(session, base, step_seconds, i) for i, session in enumerate(sessions)]
        slots = max(column + len(session.buy) for column, session in zip(columns, sessions, strict=True))
        limit_kwh = grid_limit_kw * (step_seconds / 3600.0)
        fixed = np.zeros(slots) if fixed_kwh is None else fixed_kwh
        alone = [self.plan(session) for session in sessions]
        if _keeps(alone, columns, fixed, limit_kwh):
            return alone
        members = [
            member(session, self.wear_eur_per_kwh, column)
            for session, column in zip(sessions, columns, strict=True)
        ]
        joint = _Joint(members, fixed, limit_kwh, self.wear_eur_per_kwh)
        return joint.answers([isinstance(answer, Planned) for answer in alone])


def _keeps(
    answers: Sequence[Planned | Infeasible], columns: Sequence[int], fixed: Floats, limit_kwh: float
) -> bool:
    """Tell whether all needs are met and the rounded schedules together keep the limit."""
    net = fixed.copy()
    for answer, column in zip(answers, columns, strict=True):
        if isinstance(answer, Infeasible):
            return False
        net[column : column + len(answer.schedule_kwh)] += answer.schedule_kwh
    return bool(np.abs(net).max() <= limit_kwh + SAFE_KWH)


class _Joint:
    """Who can be served, and how, once the limit is in the way."""

    def __init__(self, members: Sequence[Member], fixed: Floats, limit_kwh: float, wear: float) -> None:
        self.members = list(members)
        self.fixed = fixed
        self.slots = len(fixed)
        self.limit_kwh = limit_kwh
        self.wear = wear

    def answers(self, feasible_alone: Sequence[bool]) -> list[Planned | Infeasible]:
        """Plan those that can be met, refuse the others with their number."""
        met = self._met([index for index, feasible in enumerate(feasible_alone) if feasible])
        answers: dict[int, Planned | Infeasible] = {
            index: Infeasible(round_energy(max(0.0, self._most(met, index))))
            for index in range(len(self.members))
            if index not in met
        }
        if met:
            stored = self._model(met).cheapest()
            if stored is None:
                raise RunError("the joint schedule of a station was feasible, and then was not")
            answers |= self._planned(met, stored)
        return [answers[index] for index in range(len(self.members))]

    def _model(self, indices: Sequence[int]) -> JointModel:
        return JointModel([self.members[i] for i in indices], self.fixed, self.limit_kwh, self.wear)

    def _most(self, met: Sequence[int], index: int) -> float:
        """Find the most a session could gain after all that come before it."""
        return self._model([*(i for i in met if i < index), index]).most()

    def _met(self, rest: list[int]) -> list[int]:
        """Choose, in order, the sessions whose needs can be met together with those already chosen."""
        met: list[int] = []
        while rest:
            count = self._longest(met, rest)
            met += rest[:count]
            if count < len(rest):
                index = rest[count]
                most = self._most(met, index)
                if self.members[index].gain_kwh <= most + TOLERANCE_KWH:
                    self.members[index] = replaced(self.members[index], gain_kwh=max(0.0, most - SAFE_KWH))
                    met.append(index)
            rest = rest[count + 1 :]
        return met

    def _longest(self, met: list[int], rest: list[int]) -> int:
        """Find how many of `rest`, from its front, can be met besides `met`.

        All, or else all but the last, are tried first: a newcomer never puts out those who were
        there. Only then by halves, and what is found can be met, though not always the longest
        front that could: a vehicle that feeds the others may come later in the list.
        """
        if self._model(met + rest).is_feasible():
            return len(rest)
        below, above = 0, len(rest) - 1
        middle = above
        while below < above:
            if self._model(met + rest[:middle]).is_feasible():
                below = middle
            else:
                above = middle - 1
            middle = (below + above + 1) // 2
        return below

    def _planned(self, met: Sequence[int], stored: Sequence[Floats]) -> dict[int, Planned]:
        """Round the schedules so that each slot's sum keeps the limit, and price them."""
        exact = [_at_connector(self.members[i], values) for i, values in zip(met, stored, strict=True)]
        net = np.zeros((len(met), self.slots))
        for row, index in enumerate(met):
            first = self.members[index].first
            net[row, first : first + len(exact[row])] = exact[row]
        rounded = _rounded_within(net, self.fixed, self.limit_kwh)
        planned_ones = {}
        for row, index in enumerate(met):
            session, first = self.members[index].session, self.members[index].first
            schedule = rounded[row, first : first + len(exact[row])].copy()
            schedule.flags.writeable = False
            planned_ones[index] = Planned(
                schedule,
                round_money(_paid(schedule, session.buy, session.sell)),
                _paid(exact[row], session.buy, session.sell - self.wear),
            )
        return planned_ones


def _at_connector(one: Member, stored: Floats) -> Floats:
    session = one.session
    return np.where(stored > 0.0, stored / session.charge_efficiency, stored * session.discharge_efficiency)


def _paid(net: Floats, buy: Floats, sell: Floats) -> float:
    return float(np.maximum(net, 0.0) @ buy - np.maximum(-net, 0.0) @ sell)


def _rounded_within(net: Floats, fixed: Floats, limit_kwh: float) -> Floats:
    """Round to 1e-6 kWh; where the rounding broke the limit, those that gained most by it give it back."""
    micro = np.rint(net * MICRO)
    limit = np.floor(limit_kwh * MICRO + 1e-6)
    totals = micro.sum(axis=0) + np.rint(fixed * MICRO)
    for slot in np.flatnonzero(np.abs(totals) > limit):
        total = totals[slot]
        sign = np.sign(total)
        gained = sign * (micro[:, slot] - net[:, slot] * MICRO)
        most_first = np.argsort(-gained, kind="stable")
        rounded_up = int((gained > 1e-3).sum())  # in 1e-6 kWh: less is the solver's noise
        back = most_first[: min(rounded_up, int(abs(total) - limit))]
        micro[back, slot] -= sign
    rounded: Floats = micro / MICRO + 0.0
    return rounded
