"""CP3 Negotiation: either side of a reservation proposes to change it.

EV -> CS  `CS/{station}/EV/{vehicle}/EV_start/start_negotiation`    `VehicleProposal`
CS -> EV  `CS/{station}/EV/{vehicle}/EV_start/accept_negotiation`   `StationAnswer`
CS -> EV  `CS/{station}/EV/{vehicle}/CS_start/start_negotiation`    `StationProposal`
EV -> CS  `CS/{station}/EV/{vehicle}/CS_start/accept_negotiation`   `VehicleAnswer`

A counter is answered by a start with round + 1; repeating the other's terms accepts them.
Terms energy_kwh 0 from a vehicle before arrival cancel, and are always accepted.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from msgspec import UNSET, UnsetType

from voltagora.domain.errors import NOTHING, InputError
from voltagora.domain.series import PriceSeries, ScheduleSeries
from voltagora.domain.terms import Terms
from voltagora.domain.units import Eur, Id, Round
from voltagora.protocols.message import Reply, Request
from voltagora.protocols.topic import Kind


class Decision(StrEnum):
    """How one side answers the other's terms."""

    ACCEPT = "Accept"
    REJECT = "Reject"
    COUNTER = "Counter"


class StationTerms(Terms, frozen=True, kw_only=True):
    """Terms from a station, with the session they would make of it."""

    schedule: ScheduleSeries
    buy: PriceSeries
    sell: PriceSeries
    cost_eur: Eur


def _check_terms(terms: Terms | UnsetType) -> None:
    if terms is not UNSET and terms.is_empty:
        raise InputError("terms", {}, "at least one of arrival, departure, energy_kwh, compensation_eur")


def _check_answer(answer: StationAnswer | VehicleAnswer) -> None:
    if answer.reason is UNSET:
        for field in ("reservation", "round"):
            if getattr(answer, field) is UNSET:
                raise InputError(field, NOTHING, "present when there is no reason")
    if answer.decision is Decision.COUNTER and answer.terms is UNSET:
        raise InputError("terms", NOTHING, "present when decision is Counter")
    _check_terms(answer.terms)


class StationAnswer(Reply, frozen=True, kw_only=True):
    """A station's answer to a vehicle's proposal; terms if it counters or accepts."""

    protocol: ClassVar[str] = "CP3"
    topics: ClassVar[tuple[str, ...]] = ("CS/{station}/EV/{vehicle}/EV_start/accept_negotiation",)
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.STATION,)
    readers: ClassVar[tuple[Kind, ...]] = (Kind.VEHICLE,)

    reservation: Id | UnsetType = UNSET
    round: Round | UnsetType = UNSET
    decision: Decision = Decision.REJECT
    terms: StationTerms | UnsetType = UNSET

    def check(self) -> None:
        """See `Message.check`."""
        _check_answer(self)


class VehicleProposal(Request, frozen=True, kw_only=True):
    """A vehicle proposes to change its reservation."""

    protocol: ClassVar[str] = "CP3"
    topics: ClassVar[tuple[str, ...]] = ("CS/{station}/EV/{vehicle}/EV_start/start_negotiation",)
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.VEHICLE,)
    readers: ClassVar[tuple[Kind, ...]] = (Kind.STATION,)
    reply: ClassVar[type[Reply]] = StationAnswer

    reservation: Id
    round: Round
    terms: Terms

    def asker(self, address: tuple[str, ...]) -> str:
        """See `Request.asker`."""
        return address[1]

    def check(self) -> None:
        """See `Message.check`."""
        _check_terms(self.terms)


class VehicleAnswer(Reply, frozen=True, kw_only=True):
    """A vehicle's answer to a station's proposal; terms if it counters."""

    protocol: ClassVar[str] = "CP3"
    topics: ClassVar[tuple[str, ...]] = ("CS/{station}/EV/{vehicle}/CS_start/accept_negotiation",)
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.VEHICLE,)
    readers: ClassVar[tuple[Kind, ...]] = (Kind.STATION,)

    reservation: Id | UnsetType = UNSET
    round: Round | UnsetType = UNSET
    decision: Decision = Decision.REJECT
    terms: Terms | UnsetType = UNSET

    def check(self) -> None:
        """See `Message.check`."""
        _check_answer(self)


class StationProposal(Request, frozen=True, kw_only=True):
    """A station proposes to change a reservation."""

    protocol: ClassVar[str] = "CP3"
    topics: ClassVar[tuple[str, ...]] = ("CS/{station}/EV/{vehicle}/CS_start/start_negotiation",)
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.STATION,)
    readers: ClassVar[tuple[Kind, ...]] = (Kind.VEHICLE,)
    reply: ClassVar[type[Reply]] = VehicleAnswer

    reservation: Id
    round: Round
    terms: StationTerms

    def check(self) -> None:
        """See `Message.check`."""
        _check_terms(self.terms)
