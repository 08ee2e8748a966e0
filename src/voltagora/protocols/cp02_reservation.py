"""CP2 Charging Station Reservation: a vehicle books one recommended slot.

EV -> CS  `CS/{station}/ReserveChargingSlot`   `ReserveChargingSlot`
CS -> EV  `EV/{vehicle}/ReservationOutcome`    `ReservationOutcome`, always exactly one

The topic names the station, so the vehicle is the one the recommendation was issued to;
the station trusts only what CP5 confirms of it.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, UnsetType

from voltagora.domain.errors import NOTHING, InputError
from voltagora.domain.series import PriceSeries, ScheduleSeries
from voltagora.domain.station import Recommendation
from voltagora.domain.units import Eur, Id, Kwh, Time
from voltagora.domain.vehicle import Battery, Preferences
from voltagora.protocols.message import Outcome, Reply, Request
from voltagora.protocols.topic import Kind


class ReservationOutcome(Outcome, frozen=True, kw_only=True):
    """The booking with its schedule and prices, or why not; the same answer for ever."""

    protocol: ClassVar[str] = "CP2"
    topics: ClassVar[tuple[str, ...]] = ("EV/{vehicle}/ReservationOutcome",)
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.STATION,)
    readers: ClassVar[tuple[Kind, ...]] = (Kind.VEHICLE,)

    reservation: Id | UnsetType = UNSET
    schedule: ScheduleSeries | UnsetType = UNSET
    buy: PriceSeries | UnsetType = UNSET
    sell: PriceSeries | UnsetType = UNSET
    cost_eur: Eur | UnsetType = UNSET
    possible_kwh: Kwh | UnsetType = UNSET
    possible_departure: Time | UnsetType = UNSET

    def check(self) -> None:
        """See `Message.check`."""
        super().check()
        if self.accepted:
            for field in ("reservation", "schedule", "buy", "sell", "cost_eur"):
                if getattr(self, field) is UNSET:
                    raise InputError(field, NOTHING, "present when accepted is true")


class ReserveChargingSlot(Request, frozen=True, kw_only=True):
    """Ask a station for the slot a recommender proposed."""

    protocol: ClassVar[str] = "CP2"
    topics: ClassVar[tuple[str, ...]] = ("CS/{station}/ReserveChargingSlot",)
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.VEHICLE,)
    readers: ClassVar[tuple[Kind, ...]] = (Kind.STATION,)
    reply: ClassVar[type[Reply]] = ReservationOutcome

    recommendation: Recommendation
    battery: Battery
    preferences: Preferences

    def asker(self, address: tuple[str, ...]) -> str:  # noqa: ARG002
        """See `Request.asker`: the topic names the station, so whom the recommendation was issued to."""
        return self.recommendation.vehicle

    @property
    def identity(self) -> str:
        """See `Request.identity`: any vehicle may publish there, so only who knows the token repeats."""
        return f"{self.msg_id} {self.recommendation.id} {self.recommendation.token}"
