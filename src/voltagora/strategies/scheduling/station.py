"""All sessions of a station scheduled together under its grid limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from voltagora.strategies.scheduling.decision import (
    Infeasible,
    Planned,
    PlannedBatch,
    SchedulingStrategy,
    Session,
    SessionBatch,
)
from voltagora.strategies.scheduling.single import planned, planned_batch
from voltagora.strategies.scheduling.v2g import Wear


class Station(SchedulingStrategy, frozen=True, kw_only=True):
    """Minimises the summed cost of all sessions of a station within its grid limit.

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
        self, sessions: Sequence[Session], grid_limit_kw: float, step_seconds: int
    ) -> list[Planned | Infeasible]:
        """Schedule sessions that share a grid connection."""
        raise NotImplementedError
