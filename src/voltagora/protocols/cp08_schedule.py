"""CP8 Update Schedule: a station tells EI and MD what a session will draw and at which prices.

CS -> EI, MD  `CS/{station}/UpdatedChargingSchedule`   `UpdatedChargingSchedule`
EI, MD -> CS  `EI/{asker}/UpdateScheduleOutcome`, `MD/...`   `UpdateScheduleOutcome`

The whole session each time, all zero when cancelled; a newer revision replaces the earlier.
"""

from __future__ import annotations

from typing import ClassVar

from voltagora.domain.errors import InputError
from voltagora.domain.series import PriceSeries, ScheduleSeries
from voltagora.domain.units import Eur, Id, Revision
from voltagora.protocols.message import Outcome, Reply, Request
from voltagora.protocols.topic import Kind


class UpdateScheduleOutcome(Outcome, frozen=True, kw_only=True):
    """Whether a schedule was taken."""

    protocol: ClassVar[str] = "CP8"
    topics: ClassVar[tuple[str, ...]] = (
        "EI/{asker}/UpdateScheduleOutcome",
        "MD/{asker}/UpdateScheduleOutcome",
    )
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.IMBALANCE, Kind.PRICING)
    readers: ClassVar[tuple[Kind, ...]] = (Kind.STATION,)


class UpdatedChargingSchedule(Request, frozen=True, kw_only=True):
    """The schedule of one session as it now stands."""

    protocol: ClassVar[str] = "CP8"
    topics: ClassVar[tuple[str, ...]] = ("CS/{station}/UpdatedChargingSchedule",)
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.STATION,)
    readers: ClassVar[tuple[Kind, ...]] = (Kind.IMBALANCE, Kind.PRICING)
    reply: ClassVar[type[Reply]] = UpdateScheduleOutcome

    grid_area: Id
    reservation: Id
    revision: Revision
    schedule: ScheduleSeries
    buy: PriceSeries
    sell: PriceSeries
    cost_eur: Eur

    def check(self) -> None:
        """See `Message.check`."""
        slots = (self.schedule.start, self.schedule.step_minutes, len(self.schedule))
        for field in ("buy", "sell"):
            series: PriceSeries = getattr(self, field)
            if (series.start, series.step_minutes, len(series)) != slots:
                got = f"{len(series)} values from {series.start}"
                raise InputError(field, got, "over the slots of schedule")
