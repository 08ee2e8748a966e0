"""The cheapest schedule of a session, buying and selling."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from voltagora.strategies.scheduling.decision import (
    Infeasible,
    Planned,
    PlannedBatch,
    SchedulingStrategy,
    Session,
    SessionBatch,
)
from voltagora.strategies.scheduling.single import planned, planned_batch

Wear = Annotated[float, Meta(ge=0, le=1e9, description="wear of the battery, EUR per kWh discharged")]


class V2g(SchedulingStrategy, frozen=True, kw_only=True):
    """Charges and discharges at least cost, wear included.

    Minimises Σ_t w_t·(buy_t·c_t + (wear − sell_t)·d_t) exactly, within powers, the bounds of the
    battery and the headroom of the station; no slot both charges and discharges. Of equal optima:
    the least throughput, then the lexicographically greatest schedule (charge early).

    Source: domain.md section 3, "Scheduling"; the method is told in `kernels/session_schedule.py`.
    """

    name: ClassVar[str] = "v2g"

    wear_eur_per_kwh: Wear = 0.001

    def plan(self, session: Session) -> Planned | Infeasible:
        """Schedule one session."""
        return planned(session, session.discharge_kw, self.wear_eur_per_kwh, by_price=True)

    def plan_batch(self, batch: SessionBatch) -> PlannedBatch:
        """Schedule many sessions, each by itself."""
        return planned_batch(batch, self.wear_eur_per_kwh, by_price=True, v2g=True)
