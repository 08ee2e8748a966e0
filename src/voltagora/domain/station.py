"""Connectors, and what a recommender proposes of them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from voltagora.domain.location import Location
from voltagora.domain.units import EurPerKwh, Id, Kilometres, Kwh, RatedKw, Time, Word

Level = Annotated[int, Meta(ge=1, le=3, description="charging level: 1 and 2 AC, 3 fast")]


class Connector(msgspec.Struct, frozen=True, kw_only=True):
    """One plug of a station."""

    id: Id
    connector_type: Word
    power_kw: RatedKw
    level: Level
    v2g_capable: bool


class ConnectorKind(msgspec.Struct, frozen=True):
    """A standard kind of connector."""

    connector_type: str
    power_kw: float
    level: int


CONNECTOR_KINDS: tuple[ConnectorKind, ...] = (
    ConnectorKind("Regular electricity socket 13A", 3.0, 1),
    ConnectorKind("Single phase 16A", 3.7, 1),
    ConnectorKind("Single phase 32A", 7.4, 2),
    ConnectorKind("3 phase-16A per phase", 11.0, 2),
    ConnectorKind("3 phase-32A per phase", 22.0, 2),
    ConnectorKind("3 phase-60A per phase", 43.0, 3),
    ConnectorKind("3 phase-DC", 50.0, 3),
    ConnectorKind("3 phase-DC", 120.0, 3),
)
"""The eight kinds of domain.md section 4, in its order."""


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """A capability to book one connector for one stay, bound to a vehicle and used once."""

    id: Id
    token: Annotated[str, Meta(min_length=16, max_length=256, description="unguessable")]
    recommender: Id
    network: Id
    vehicle: Id
    station: Id
    connector: Id
    arrival: Time
    departure: Time
    connector_type: Word
    power_kw: RatedKw
    energy_kwh: Kwh
    v2g_capable: bool
    location: Location
    distance_km: Kilometres
    expected_price_eur_kwh: EurPerKwh | UnsetType = UNSET
    issued_at: Time
    expires_at: Time
