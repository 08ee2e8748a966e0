"""All that a record tells of a market, kept as it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

from voltagora.domain.records import MessageCountRecord, Record, StationRecord
from voltagora.domain.units import Time
from voltagora.protocols.access import TIMER
from voltagora.protocols.catalogue import PROTOCOLS
from voltagora.protocols.cp01_recommendation import (
    ChargingRecommendations,
    RequestChargingRecommendations,
)
from voltagora.protocols.cp02_reservation import ReservationOutcome, ReserveChargingSlot
from voltagora.protocols.cp03_negotiation import (
    Decision,
    StationAnswer,
    StationProposal,
    VehicleAnswer,
    VehicleProposal,
)
from voltagora.protocols.cp04_station_registration import RegisterChargingStation, RegistrationOutcome
from voltagora.protocols.cp06_imbalance import ImbalanceBroadcast
from voltagora.protocols.cp07_prices import PricesBroadcast
from voltagora.protocols.cp08_schedule import UpdatedChargingSchedule, UpdateScheduleOutcome
from voltagora.protocols.cp09_profile_registration import (
    ProfileRegistration,
    RegisterElectricityConsumer,
    RegisterElectricityProducer,
)
from voltagora.protocols.cp10_expected_energy import (
    UpdateExpectedConsumption,
    UpdateExpectedProduction,
    UpdateProfileOutcome,
)
from voltagora.protocols.cp12_availability import UpdatedStationAvailability
from voltagora.protocols.message import Message, Reply
from voltagora.protocols.topic import Kind
from voltagora.results.collector import Span
from voltagora.scenario.recorded_area import IMBALANCE, PRICING, AreaBook
from voltagora.scenario.recorded_energy import RecordedDay
from voltagora.scenario.recorded_fleet import FleetBook
from voltagora.scenario.recorded_sessions import SessionBook
from voltagora.scenario.recorded_sieve import WORDS, Heard, Told

NOBODY: Final = ""
"""The area of what no message places anywhere."""


class Books:
    """Stations, areas, sessions and fleet."""

    def __init__(self) -> None:
        self.now = 0
        self.first_at: int | None = None
        self.last_at = 0  # of what was asked or broadcast
        self.areas: dict[str, AreaBook] = {}
        self.sessions = SessionBook()
        self.fleet = FleetBook(self.sessions)
        self._stations: dict[str, RegisterChargingStation] = {}  # accepted by anybody
        self._area_of: dict[str, str] = {}  # of every agent that a message places
        self._asked: dict[tuple[str, str], Told] = {}  # CP4, CP8 to CP10, by asker and msg_id
        self._accepted_by: dict[tuple[str, str], str] = {}  # the first of EI and MD to accept one of them
        self._offers: dict[tuple[str, ...], StationProposal] = {}
        self._counts: Counter[tuple[str, str, bool]] = Counter()  # protocol, area or agent, is it an area
        self._words = 0

    @property
    def days(self) -> list[RecordedDay]:
        """Every day that is on record."""
        return [day for area in self.areas.values() for day in area.days.values()]

    @property
    def is_dated(self) -> bool:
        """Whether the time of any message is within a day that the messages are about."""
        return any(self._day_at(moment) is not None for moment in (self.first_at, self.last_at) if moment)

    # While the record is read.

    def pass_time(self, at: int | None) -> None:
        """Let it be so late, seconds UTC; None: it is not known. Once a market runs time never goes back."""
        if at is None:
            return
        self.now = max(self.now, at) if self.areas else at

    def word_of(self, heard: Heard) -> str | None:
        """Give what the operator said, if it was the operator."""
        return heard.payload.decode() if heard.topic == TIMER and heard.payload in WORDS else None

    def count_start(self) -> None:
        """Count the word that began the run; others of the operator are no part of what a run says."""
        self._words += 1

    def read(self, told: Told) -> None:
        """Take one message."""
        if self.first_at is None:
            self.first_at = told.at
        if not isinstance(told.message, Reply):
            # Late answers and the ticks of a clock that runs on after the end begin no slot and no day.
            self.last_at = told.at
            for area in self.areas.values():
                area.advance(told.at)
        handler = _HANDLERS.get(told.kind)
        if handler is not None:
            handler(self, told)
        self._count(told)

    def _area(self, id: str) -> AreaBook:
        return self.areas.setdefault(id, AreaBook(id))

    def _ask(self, told: Told) -> None:
        """CP4, CP8, CP9, CP10: it counts once somebody accepts it."""
        asker = told.ids[0]
        self._asked[asker, told.message.msg_id] = told
        self._area_of.setdefault(asker, told.message.grid_area)

    def _outcome(self, told: Told) -> None:
        outcome = told.message
        asked = self._asked.get((told.ids[0], outcome.in_reply_to))
        if asked is None or not outcome.accepted:
            return
        request = asked.message
        self._area_of[told.ids[0]] = request.grid_area
        self._area_of.setdefault(outcome.responder, request.grid_area)
        if isinstance(request, RegisterChargingStation):
            self._stations[told.ids[0]] = request
        elif told.role in (IMBALANCE, PRICING):
            self._area(request.grid_area).accept(told.role, asked)
            self._forget_if_answered(told, asked)

    def _forget_if_answered(self, told: Told, asked: Told) -> None:
        """Let go of what both have accepted; registrations, which are few, say what their outcomes answer."""
        key = (told.ids[0], told.message.in_reply_to)
        if isinstance(asked.message, ProfileRegistration):
            return
        if self._accepted_by.pop(key, told.role) == told.role:
            self._accepted_by[key] = told.role
        else:
            del self._asked[key]

    def _schedule(self, told: Told) -> None:
        self._ask(told)
        self.sessions.update_schedule(told.message, told.ids[0], told.at)

    def _availability(self, told: Told) -> None:
        self.sessions.update_hold(told.message, told.ids[0])

    def _imbalance(self, told: Told) -> None:
        self._area(told.message.grid_area).hear_imbalance(told.message, told.at)

    def _prices(self, told: Told) -> None:
        self._area(told.message.grid_area).hear_prices(told.message, told.at)

    def _offer(self, told: Told) -> None:
        self._offers[(*told.ids, told.message.msg_id)] = told.message

    def _offer_answered(self, told: Told) -> None:
        offer = self._offers.pop((*told.ids, told.message.in_reply_to), None)
        if offer is not None and told.message.decision is Decision.ACCEPT:
            self.sessions.await_change(offer.reservation, offer.terms)

    # Which area a message is of.

    def _count(self, told: Told) -> None:
        """Count a message for an area, or for an agent whose area may be known only later."""
        message, protocol = told.message, told.kind.protocol
        if told.kind is RegistrationOutcome and self._is_profile(told):
            protocol = "CP9"
        area = getattr(message, "grid_area", None)
        if isinstance(area, str):
            self._counts[protocol, area, True] += 1
            return
        agent = told.ids[0]
        if told.role == Kind.VEHICLE and told.kind is not RequestChargingRecommendations:
            responder = message.responder
            agent = responder if responder in self._area_of else agent
        self._counts[protocol, agent, False] += 1

    def _is_profile(self, told: Told) -> bool:
        asked = self._asked.get((told.ids[0], told.message.in_reply_to))
        return asked is not None and asked.kind.protocol == "CP9"

    def area_of(self, agent: str) -> str:
        """Give an agent's grid area: said of it, or of those it dealt with; else of the only one there is."""
        found = self._area_of.get(agent)
        if found is None and agent in self.fleet.vehicles:
            known = self.fleet.vehicles[agent]
            dealt = sorted(known.recommenders) + sorted(known.stations)
            found = next((area for it in dealt if (area := self._area_of.get(it)) is not None), None)
        if found is None and len(self.areas) == 1:
            found = next(iter(self.areas))
        return NOBODY if found is None else found

    # At the end.

    def span(self) -> Span:
        """Give the days that the record touches."""
        first = self._day_at(self.now if self.first_at is None else self.first_at)
        last = self._day_at(self.last_at)
        start = min(day.start for day in self.days) if first is None else first.start
        end = max(day.end for day in self.days) if last is None else last.end
        return Span(start=start, end=max(end, start))

    def _day_at(self, moment: int) -> RecordedDay | None:
        return next((day for day in self.days if day.start <= moment < day.end), None)

    def finish(self, end: int, real_end: float) -> None:
        """Settle what is over by the end.

        Args:
            end: of the span, seconds UTC of the agents' time.
            real_end: when the last message was recorded, seconds UTC.
        """
        self.fleet.end(real_end)
        for area in self.areas.values():
            area.finish(end)

    def records(self, span: Span, first_area: str | None = None) -> Iterator[Record]:
        """Give every fact.

        Args:
            span: the time that counts.
            first_area: the one that the operator's words count for; None: the first by name.
        """
        for station, said in self._stations.items():
            yield StationRecord(
                station=station,
                area=said.grid_area,
                network=said.network,
                connectors=len(said.connectors),
                grid_limit_kw=said.grid_limit_kw,
            )
        for area in self.areas.values():
            yield from area.records(span.start, span.end)
        yield from self.sessions.records(span.end, self.area_of)
        yield from self.fleet.records(self.area_of)
        for (protocol, name, is_area), count in self._counts.items():
            yield MessageCountRecord(
                area=name if is_area else self.area_of(name), protocol=protocol, count=count
            )
        for area_id in self.areas:
            for listed in PROTOCOLS:
                yield MessageCountRecord(area=area_id, protocol=listed.code, count=0)
        if self._words:
            area_id = min(self.areas, default=NOBODY) if first_area is None else first_area
            yield MessageCountRecord(area=area_id, protocol=TIMER, count=self._words)

    def notices(self, span: Span, *, is_whole: bool) -> list[str]:
        """Say what the figures leave out.

        Args:
            span: the time that counts.
            is_whole: a scenario tells of the vehicles that never spoke.
        """
        found = []
        if not is_whole:
            found.append(
                "made from messages alone: a vehicle that never asked is in no figure, types are not known"
            )
        last = self._day_at(self.last_at)
        if last is not None and self.now < span.end - last.step_minutes * 60:
            found.append(f"the last message is of {Time(self.now)}; later slots stand as they were planned")
        unpriced = sum(
            area.market.unpriced(day)
            for area in self.areas.values()
            for day in area.days.values()
            if span.start <= day.start < span.end
        )
        if unpriced:
            found.append(
                f"{unpriced} slots had no price that was published: what MD settled in them is not told"
            )
        if self.sessions.unbooked:
            found.append(
                f"{_number(self.sessions.unbooked, 'session has a schedule', 'sessions have schedules')} "
                "on record but no booking: in the balance they count, in no other figure"
            )
        strange = len(self.sessions.stations - self._stations.keys())
        if strange:
            found.append(
                f"{_number(strange, 'station has', 'stations have')} no registration on record: it seems to "
                "begin after the market: what was said before is in no figure"
            )
        lost = sum(self.area_of(vehicle) == NOBODY for vehicle in self.fleet.vehicles)
        if lost:
            found.append(f"{_number(lost, 'vehicle is', 'vehicles are')} in no grid area that is on record")
        return found


def _number(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"


_HANDLERS: Final[dict[type[Message], Callable[[Books, Told], Any]]] = {
    RequestChargingRecommendations: lambda books, told: books.fleet.ask(told),
    ChargingRecommendations: lambda books, told: books.fleet.hear_offers(told),
    ReserveChargingSlot: lambda books, told: books.fleet.reserve(told),
    ReservationOutcome: lambda books, told: books.fleet.hear_outcome(told),
    VehicleProposal: lambda books, told: books.fleet.propose(told),
    StationAnswer: lambda books, told: books.fleet.hear_answer(told),
    StationProposal: Books._offer,
    VehicleAnswer: Books._offer_answered,
    RegisterChargingStation: Books._ask,
    RegisterElectricityProducer: Books._ask,
    RegisterElectricityConsumer: Books._ask,
    RegistrationOutcome: Books._outcome,
    UpdatedChargingSchedule: Books._schedule,
    UpdateScheduleOutcome: Books._outcome,
    UpdateExpectedProduction: Books._ask,
    UpdateExpectedConsumption: Books._ask,
    UpdateProfileOutcome: Books._outcome,
    ImbalanceBroadcast: Books._imbalance,
    PricesBroadcast: Books._prices,
    UpdatedStationAvailability: Books._availability,
}
"""What is more than counted."""
