"""Vehicles, what they needed and each `no` they heard, from CP1, CP2 and CP3."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from msgspec import UnsetType

from voltagora.domain.records import NeedRecord, RefusalRecord, VehicleRecord
from voltagora.domain.terms import Terms
from voltagora.domain.vehicle import Preferences
from voltagora.protocols.cp01_recommendation import (
    ChargingRecommendations,
    RequestChargingRecommendations,
)
from voltagora.protocols.cp02_reservation import ReservationOutcome, ReserveChargingSlot
from voltagora.protocols.cp03_negotiation import Decision, StationAnswer, VehicleProposal
from voltagora.protocols.message import Refusal, Reply
from voltagora.scenario.recorded_sessions import SessionBook, is_sound
from voltagora.scenario.recorded_sieve import Told

PATIENCE_SECONDS: Final = 30
"""Three sends: a request without an answer for so long has none."""
NOT_SAID: Final = "not_said"
"""Why a need was given up that no message tells."""
UNKNOWN: Final = "unknown"
"""The type of a vehicle: messages do not tell it."""


@dataclass(slots=True)
class KnownNeed:
    """One stay that a vehicle asked for."""

    vehicle: str
    number: int
    asked_at: int
    preferences: Preferences
    rounds: int = 0
    reservation: str | None = None
    cancelled: bool = False
    reason: str = NOT_SAID  # the last no
    is_choosing: bool = False  # it was offered something and has asked no station since


@dataclass(slots=True)
class KnownVehicle:
    """One vehicle that spoke."""

    owner: str | None = None  # the user its CP1 came from, if the broker stamps
    capacity_kwh: float = math.nan
    needs: int = 0
    recommenders: set[str] = field(default_factory=set)
    stations: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Question:
    """A request of a vehicle, until it is answered."""

    told: Told
    need: KnownNeed | None  # None: the vehicle is not on record to have asked for that stay
    answered: bool = False


class FleetBook:
    """All vehicles that spoke, and how their needs ended.

    CP1 requests of one vehicle for one stay (arrival, departure, energy and connector type) are one need.
    """

    def __init__(self, sessions: SessionBook) -> None:
        self.vehicles: dict[str, KnownVehicle] = {}
        self.needs: dict[tuple[object, ...], KnownNeed] = {}
        self._sessions = sessions
        self._searches: dict[tuple[str, str], _Question] = {}  # CP1, by vehicle and msg_id
        self._bookings: dict[tuple[str, str, str], list[_Question]] = {}  # CP2, by station too
        self._changes: dict[tuple[str, ...], _Question] = {}  # CP3, likewise
        self._by_reservation: dict[str, KnownNeed] = {}
        self._refusals: list[tuple[Told, KnownNeed, str, str | None, str, Reply | None]] = []

    def ask(self, told: Told) -> None:
        """CP1: a vehicle asks for a stay, for the first time or again."""
        request: RequestChargingRecommendations = told.message
        need = self._need_of(told.ids[0], request.preferences, told.at)
        need.rounds += 1
        need.is_choosing = False
        self.vehicles[told.ids[0]].owner = told.sender
        self._searches[told.ids[0], request.msg_id] = _Question(told, need)

    def hear_offers(self, told: Told) -> None:
        """CP1: a recommender answers."""
        reply: ChargingRecommendations = told.message
        question = self._searches.get((told.ids[0], reply.in_reply_to))
        if question is None or question.need is None:
            return
        question.answered = True
        self.vehicles[told.ids[0]].recommenders.add(reply.responder)
        if reply.recommendations:
            question.need.is_choosing = True
        else:
            self._refuse(told, question.need, "CP1", reply.responder, reply)

    def reserve(self, told: Told) -> None:
        """CP2: a vehicle asks a station; on its topic anybody may speak for a vehicle."""
        request: ReserveChargingSlot = told.message
        vehicle = request.recommendation.vehicle
        known = self.vehicles.get(vehicle)
        if known is not None and None not in (known.owner, told.sender) and known.owner != told.sender:
            return
        need = self.needs.get(_key(vehicle, request.preferences))
        if need is not None:
            need.is_choosing = False
        key = (told.ids[0], vehicle, request.msg_id)
        self._bookings.setdefault(key, []).append(_Question(told, need))

    def hear_outcome(self, told: Told) -> None:
        """CP2: the station answers."""
        outcome: ReservationOutcome = told.message
        vehicle = told.ids[0]
        for question in self._bookings.get((outcome.responder, vehicle, outcome.in_reply_to), ()):
            request: ReserveChargingSlot = question.told.message
            if question.answered or (outcome.accepted and outcome.reservation != request.recommendation.id):
                continue
            question.answered = True
            if outcome.accepted and is_sound(outcome):
                need = self._need_of(vehicle, request.preferences, question.told.at)
                self._booked(need, request, outcome)
            elif not outcome.accepted and question.need is not None:
                self._refuse(told, question.need, "CP2", outcome.responder, outcome)
            return

    def _booked(self, need: KnownNeed, request: ReserveChargingSlot, outcome: ReservationOutcome) -> None:
        known, reservation = self.vehicles[need.vehicle], request.recommendation.id
        known.capacity_kwh = request.battery.capacity_kwh
        known.stations.add(outcome.responder)
        self._sessions.book(request, outcome)
        self._by_reservation[reservation] = need
        need.reservation, need.cancelled = reservation, False

    def propose(self, told: Told) -> None:
        """CP3: a vehicle asks for a change."""
        proposal: VehicleProposal = told.message
        need = self._by_reservation.get(proposal.reservation)
        if need is not None and need.vehicle == told.ids[1]:
            self._changes[(*told.ids, proposal.msg_id)] = _Question(told, need)

    def hear_answer(self, told: Told) -> None:
        """CP3: the station answers a vehicle."""
        answer: StationAnswer = told.message
        question = self._changes.get((*told.ids, answer.in_reply_to))
        if question is None or question.need is None:
            return
        question.answered = True
        proposal: VehicleProposal = question.told.message
        terms: Terms = proposal.terms
        if answer.decision is Decision.REJECT:
            self._refuse(told, question.need, "CP3", told.ids[0], answer, is_reason=False)
        elif answer.decision is Decision.ACCEPT and terms.energy_kwh == 0:
            question.need.cancelled = True
            self._sessions.cancel(proposal.reservation)
        elif answer.decision is Decision.ACCEPT:
            self._sessions.agree(proposal.reservation, terms)

    def _need_of(self, vehicle: str, preferences: Preferences, at: int) -> KnownNeed:
        known = self.vehicles.setdefault(vehicle, KnownVehicle())
        key = _key(vehicle, preferences)
        need = self.needs.get(key)
        if need is None:
            need = self.needs[key] = KnownNeed(vehicle, known.needs, at, preferences)
            known.needs += 1
        return need

    def _refuse(
        self,
        told: Told,
        need: KnownNeed,
        protocol: str,
        responder: str | None,
        reply: Reply | None,
        *,
        is_reason: bool = True,
    ) -> None:
        reason: str = Refusal.TIMEOUT
        if reply is not None:
            reason = Decision.REJECT if isinstance(reply.reason, UnsetType) else reply.reason
        if is_reason:
            need.reason = str(reason)
        self._refusals.append((told, need, protocol, responder, str(reason), reply))

    # At the end.

    def end(self, real_end: float) -> None:
        """Count as silence what was asked and not answered in time.

        Args:
            real_end: when the last message was recorded, seconds UTC.
        """
        late = real_end - PATIENCE_SECONDS
        silent = [
            (question.told, question.need, protocol)
            for protocol, questions in (
                ("CP1", self._searches.values()),
                ("CP2", (question for held in self._bookings.values() for question in held)),
                ("CP3", self._changes.values()),
            )
            for question in questions
            if not question.answered and question.need is not None and question.told.real <= late
        ]
        for told, need, protocol in silent:
            responder = None if protocol == "CP1" else told.ids[0]
            is_reason = protocol != "CP3" and need.reservation is None
            self._refuse(told, need, protocol, responder, None, is_reason=is_reason)

    def records(self, area_of: Callable[[str], str]) -> Iterator[VehicleRecord | NeedRecord | RefusalRecord]:
        """Give what the fleet did.

        Args:
            area_of: the grid area of a vehicle.
        """
        for vehicle, known in self.vehicles.items():
            yield VehicleRecord(
                vehicle=vehicle,
                area=area_of(vehicle),
                vehicle_type=UNKNOWN,
                capacity_kwh=known.capacity_kwh,
            )
        for need in self.needs.values():
            yield _need_record(need, area_of(need.vehicle))
        for told, need, protocol, responder, reason, reply in self._refusals:
            field = None if reply is None or isinstance(reply.field, UnsetType) else reply.field
            possible = getattr(reply, "possible_kwh", None)
            yield RefusalRecord(
                at=told.at,
                area=area_of(need.vehicle),
                vehicle=need.vehicle,
                need=need.number,
                protocol=protocol,
                responder=responder or UNKNOWN,
                reason=reason,
                field=field,
                possible_kwh=None if isinstance(possible, UnsetType) else possible,
            )


def _key(vehicle: str, preferences: Preferences) -> tuple[object, ...]:
    stay = (preferences.arrival, preferences.departure, preferences.energy_kwh)
    return (vehicle, *stay, preferences.connector_type)


def _need_record(need: KnownNeed, area: str) -> NeedRecord:
    preferences, booked = need.preferences, need.reservation is not None
    # Whoever turns down all offers keeps the reason to itself.
    reason = NOT_SAID if need.is_choosing else need.reason
    outcome = "cancelled" if need.cancelled else "booked" if booked else reason
    return NeedRecord(
        area=area,
        vehicle=need.vehicle,
        need=need.number,
        asked_at=need.asked_at,
        arrival=int(preferences.arrival),
        departure=int(preferences.departure),
        energy_kwh=preferences.energy_kwh,
        rounds=need.rounds,
        reservation=need.reservation,
        outcome=outcome,
    )
