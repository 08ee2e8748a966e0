"""CP1 Charging Recommendation: a vehicle asks every recommender it knows for free connectors.

EV -> SR  `EV/{vehicle}/RequestChargingRecommendations`   `RequestChargingRecommendations`
SR -> EV  `EV/{vehicle}/ChargingRecommendations`          `ChargingRecommendations`, one from each SR
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET

from voltagora.domain.errors import NOTHING, InputError
from voltagora.domain.location import Location
from voltagora.domain.station import Recommendation
from voltagora.domain.vehicle import Preferences
from voltagora.protocols.message import Reply, Request
from voltagora.protocols.topic import Kind


class ChargingRecommendations(Reply, frozen=True, kw_only=True):
    """What a recommender has to offer, best first, or why nothing."""

    protocol: ClassVar[str] = "CP1"
    topics: ClassVar[tuple[str, ...]] = ("EV/{vehicle}/ChargingRecommendations",)
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.RECOMMENDER,)
    readers: ClassVar[tuple[Kind, ...]] = (Kind.VEHICLE,)

    recommendations: tuple[Recommendation, ...] = ()

    def check(self) -> None:
        """See `Message.check`."""
        if not self.recommendations and self.reason is UNSET:
            raise InputError("reason", NOTHING, "present when there is no recommendation")


class RequestChargingRecommendations(Request, frozen=True, kw_only=True):
    """Ask where a stay could be spent."""

    protocol: ClassVar[str] = "CP1"
    topics: ClassVar[tuple[str, ...]] = ("EV/{vehicle}/RequestChargingRecommendations",)
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.VEHICLE,)
    readers: ClassVar[tuple[Kind, ...]] = (Kind.RECOMMENDER,)
    reply: ClassVar[type[Reply]] = ChargingRecommendations

    preferences: Preferences
    location: Location
