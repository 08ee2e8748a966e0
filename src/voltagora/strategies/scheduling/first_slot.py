"""Charging at full power from arrival."""

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


class FirstSlot(SchedulingStrategy, frozen=True, kw_only=True):
    """Charges at full power from arrival until the need is met, and never discharges.

    Source: domain.md section 3, "Scheduling".
    """

    name: ClassVar[str] = "first_slot"

    def plan(self, session: Session) -> Planned | Infeasible:
        """Schedule one session."""
        return planned(session, 0.0, 0.0, by_price=False)

    def plan_batch(self, batch: SessionBatch) -> PlannedBatch:
        """Schedule many sessions, each by itself."""
        return planned_batch(batch, 0.0, by_price=False, v2g=False)
