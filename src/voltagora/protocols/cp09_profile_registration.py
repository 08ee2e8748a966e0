"""CP9 Producer/Consumer Registration: who makes or uses electricity says so to EI and MD.

EP -> EI, MD  `EP/{producer}/RegisterElectricityProducer`   `RegisterElectricityProducer`
EC -> EI, MD  `EC/{consumer}/RegisterElectricityConsumer`   `RegisterElectricityConsumer`
EI, MD -> EP, EC  `EI/{asker}/RegistrationOutcome`, `MD/...`   CP4's `RegistrationOutcome`
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, UnsetType

from voltagora.domain.location import Location
from voltagora.domain.series import EnergySeries
from voltagora.domain.units import Id, Kw, Word
from voltagora.protocols.cp04_station_registration import RegistrationOutcome
from voltagora.protocols.message import Reply, Request
from voltagora.protocols.topic import Kind


class ProfileRegistration(Request, frozen=True, kw_only=True):
    """A producer or consumer presents itself."""

    protocol: ClassVar[str] = "CP9"
    readers: ClassVar[tuple[Kind, ...]] = (Kind.IMBALANCE, Kind.PRICING)
    reply: ClassVar[type[Reply]] = RegistrationOutcome

    grid_area: Id
    kind: Word
    rated_power_kw: Kw
    location: Location
    expected: EnergySeries | UnsetType = UNSET


class RegisterElectricityProducer(ProfileRegistration, frozen=True, kw_only=True):
    """A producer presents itself."""

    topics: ClassVar[tuple[str, ...]] = ("EP/{producer}/RegisterElectricityProducer",)
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.PRODUCER,)


class RegisterElectricityConsumer(ProfileRegistration, frozen=True, kw_only=True):
    """A consumer presents itself."""

    topics: ClassVar[tuple[str, ...]] = ("EC/{consumer}/RegisterElectricityConsumer",)
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.CONSUMER,)
