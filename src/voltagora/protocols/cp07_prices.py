"""CP7 Electricity Prices: buy and sell price of a day, asked for or broadcast.

CS, SR -> MD  `MD/{asker}/ElectricityPricesRequest`   `ElectricityPricesRequest`
MD -> asker   `MD/{asker}/ElectricityPrices`          `ElectricityPrices`
MD -> all     `MD/ElectricityPrices`                  `PricesBroadcast`, retained
"""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from msgspec import UNSET, UnsetType

from voltagora.domain.errors import NOTHING, InputError
from voltagora.domain.series import PriceSeries
from voltagora.domain.units import Id, Revision
from voltagora.protocols.cp06_imbalance import DayIndex
from voltagora.protocols.message import Broadcast, Reply, Request
from voltagora.protocols.topic import Kind

_READERS = (Kind.STATION, Kind.RECOMMENDER)


class ElectricityPrices(Reply, frozen=True, kw_only=True):
    """One day's prices of a grid area, or `no_data`."""

    protocol: ClassVar[str] = "CP7"
    topics: ClassVar[tuple[str, ...]] = ("MD/{asker}/ElectricityPrices",)
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.PRICING,)
    readers: ClassVar[tuple[Kind, ...]] = _READERS

    grid_area: Id | UnsetType = UNSET
    day: date | UnsetType = UNSET
    revision: Revision | UnsetType = UNSET
    buy: PriceSeries | UnsetType = UNSET
    sell: PriceSeries | UnsetType = UNSET

    def check(self) -> None:
        """See `Message.check`."""
        if self.reason is UNSET:
            for field in ("grid_area", "day", "revision", "buy", "sell"):
                if getattr(self, field) is UNSET:
                    raise InputError(field, NOTHING, "present when there is no reason")


class ElectricityPricesRequest(Request, frozen=True, kw_only=True):
    """Ask for the prices of a day."""

    protocol: ClassVar[str] = "CP7"
    topics: ClassVar[tuple[str, ...]] = ("MD/{asker}/ElectricityPricesRequest",)
    publishers: ClassVar[tuple[Kind, ...]] = _READERS
    readers: ClassVar[tuple[Kind, ...]] = (Kind.PRICING,)
    reply: ClassVar[type[Reply]] = ElectricityPrices

    grid_area: Id
    day_index: DayIndex


class PricesBroadcast(Broadcast, frozen=True, kw_only=True):
    """The prices of a day as they now stand."""

    protocol: ClassVar[str] = "CP7"
    topics: ClassVar[tuple[str, ...]] = ("MD/ElectricityPrices",)
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.PRICING,)
    readers: ClassVar[tuple[Kind, ...]] = _READERS

    grid_area: Id
    day: date
    revision: Revision
    buy: PriceSeries
    sell: PriceSeries
