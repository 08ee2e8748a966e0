"""CP4 Charging Station Registration: a station says what it is to EI, MD and its network's SR.

CS -> EI, MD, SR  `CS/{station}/RegisterChargingStation`   `RegisterChargingStation`
EI, MD, SR -> CS  `EI/{asker}/RegistrationOutcome`, `MD/...`, `SR/...`   `RegistrationOutcome`

The same again changes nothing; new content updates, unless it strands a reservation (`in_use`).
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from voltagora.domain.errors import InputError
from voltagora.domain.location import Location
from voltagora.domain.station import Connector
from voltagora.domain.units import Id, RatedKw
from voltagora.protocols.message import Outcome, Reply, Request
from voltagora.protocols.topic import Kind


class RegistrationOutcome(Outcome, frozen=True, kw_only=True):
    """Whether a registration of CP4 or CP9 was taken."""

    protocol: ClassVar[str] = "CP4"
    topics: ClassVar[tuple[str, ...]] = (
        "EI/{asker}/RegistrationOutcome",
        "MD/{asker}/RegistrationOutcome",
        "SR/{asker}/RegistrationOutcome",
    )
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.IMBALANCE, Kind.PRICING, Kind.RECOMMENDER)
    readers: ClassVar[tuple[Kind, ...]] = (Kind.STATION, Kind.PRODUCER, Kind.CONSUMER)


class RegisterChargingStation(Request, frozen=True, kw_only=True):
    """A station presents itself."""

    protocol: ClassVar[str] = "CP4"
    topics: ClassVar[tuple[str, ...]] = ("CS/{station}/RegisterChargingStation",)
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.STATION,)
    readers: ClassVar[tuple[Kind, ...]] = (Kind.IMBALANCE, Kind.PRICING, Kind.RECOMMENDER)
    reply: ClassVar[type[Reply]] = RegistrationOutcome

    network: Id
    grid_area: Id
    location: Location
    connectors: Annotated[tuple[Connector, ...], Meta(min_length=1, max_length=10_000)]
    grid_limit_kw: RatedKw

    def check(self) -> None:
        """See `Message.check`."""
        seen: set[str] = set()
        for place, connector in enumerate(self.connectors):
            if connector.id in seen:
                raise InputError(f"connectors[{place}].id", connector.id, "unique within the station")
            seen.add(connector.id)
