"""CP6 Electricity Imbalance: supply and demand of a day, asked for or broadcast.

MD, SR, CS -> EI  `EI/{asker}/ElectricityImbalanceRequest`   `ElectricityImbalanceRequest`
EI -> asker       `EI/{asker}/ElectricityImbalance`          `ElectricityImbalance`
EI -> all         `EI/ElectricityImbalance`                  `ImbalanceBroadcast`, retained
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, UnsetType

from voltagora.domain.errors import NOTHING, InputError
from voltagora.domain.series import EnergySeries
from voltagora.domain.units import Id, Revision
from voltagora.protocols.message import Broadcast, Reply, Request
from voltagora.protocols.topic import Kind

DayIndex = Annotated[int, Meta(ge=-7, le=7, description="days from today, -7 to 7")]

_READERS = (Kind.PRICING, Kind.RECOMMENDER, Kind.STATION)


class ElectricityImbalance(Reply, frozen=True, kw_only=True):
    """One day of a grid area, or `no_data`."""

    protocol: ClassVar[str] = "CP6"
    topics: ClassVar[tuple[str, ...]] = ("EI/{asker}/ElectricityImbalance",)
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.IMBALANCE,)
    readers: ClassVar[tuple[Kind, ...]] = _READERS

    grid_area: Id | UnsetType = UNSET
    day: date | UnsetType = UNSET
    revision: Revision | UnsetType = UNSET
    supply: EnergySeries | UnsetType = UNSET
    demand: EnergySeries | UnsetType = UNSET

    def check(self) -> None:
        """See `Message.check`."""
        if self.reason is UNSET:
            for field in ("grid_area", "day", "revision", "supply", "demand"):
                if getattr(self, field) is UNSET:
                    raise InputError(field, NOTHING, "present when there is no reason")


class ElectricityImbalanceRequest(Request, frozen=True, kw_only=True):
    """Ask for the supply and demand of a day."""

    protocol: ClassVar[str] = "CP6"
    topics: ClassVar[tuple[str, ...]] = ("EI/{asker}/ElectricityImbalanceRequest",)
    publishers: ClassVar[tuple[Kind, ...]] = _READERS
    readers: ClassVar[tuple[Kind, ...]] = (Kind.IMBALANCE,)
    reply: ClassVar[type[Reply]] = ElectricityImbalance

    grid_area: Id
    day_index: DayIndex


class ImbalanceBroadcast(Broadcast, frozen=True, kw_only=True):
    """The supply and demand of a day as they now stand."""

    protocol: ClassVar[str] = "CP6"
    topics: ClassVar[tuple[str, ...]] = ("EI/ElectricityImbalance",)
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.IMBALANCE,)
    readers: ClassVar[tuple[Kind, ...]] = _READERS

    grid_area: Id
    day: date
    revision: Revision
    supply: EnergySeries
    demand: EnergySeries
