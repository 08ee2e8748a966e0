"""Charging in the cheapest slots."""

from __future__ import annotations

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


class LowestPrice(SchedulingStrategy, frozen=True, kw_only=True):
    """Charges in the cheapest slots first, ties earliest, and never discharges.

    Source: domain.md section 3, "Scheduling".
    """

    name: ClassVar[str] = "lowest_price"

    def plan(self, session: Session) -> Planned | Infeasible:
        """Schedule one session."""
        return planned(session, 0.0, 0.0, by_price=True)

    def plan_batch(self, batch: SessionBatch) -> PlannedBatch:
        """Schedule many sessions, each by itself."""
        return planned_batch(batch, 0.0, by_price=True, v2g=False)
