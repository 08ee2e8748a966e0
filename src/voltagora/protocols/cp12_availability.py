"""CP12 Update Station Availability: a station tells its recommender which connector is taken when.

CS -> SR  `CS/{station}/UpdatedStationAvailability`   `UpdatedStationAvailability`
SR -> CS  `CS/{station}/UpdateAvailabilityOutcome`    `UpdateAvailabilityOutcome`
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from voltagora.domain.units import Id, Revision, Time
from voltagora.domain.vehicle import check_stay
from voltagora.protocols.message import Outcome, Reply, Request
from voltagora.protocols.topic import Kind


class Availability(StrEnum):
    """What became of a connector's time."""

    RESERVED = "reserved"
    RELEASED = "released"


class UpdateAvailabilityOutcome(Outcome, frozen=True, kw_only=True):
    """Whether an availability was taken."""

    protocol: ClassVar[str] = "CP12"
    topics: ClassVar[tuple[str, ...]] = ("CS/{station}/UpdateAvailabilityOutcome",)
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.RECOMMENDER,)
    readers: ClassVar[tuple[Kind, ...]] = (Kind.STATION,)


class UpdatedStationAvailability(Request, frozen=True, kw_only=True):
    """One reservation's hold on a connector as it now stands."""

    protocol: ClassVar[str] = "CP12"
    topics: ClassVar[tuple[str, ...]] = ("CS/{station}/UpdatedStationAvailability",)
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.STATION,)
    readers: ClassVar[tuple[Kind, ...]] = (Kind.RECOMMENDER,)
    reply: ClassVar[type[Reply]] = UpdateAvailabilityOutcome

    reservation: Id
    revision: Revision
    connector: Id
    arrival: Time
    departure: Time
    state: Availability

    def __post_init__(self) -> None:
        check_stay(self.arrival, self.departure)
