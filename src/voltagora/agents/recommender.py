"""SR, a station recommender: proposes free connectors of its network and vouches for what it issued."""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Callable
from typing import ClassVar, TypeAlias

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from voltagora.agents.agent import Agent, Answer, Memo, Turn, refuse
from voltagora.agents.book import Book, first_free
from voltagora.agents.market import Market
from voltagora.agents.picture import DAYS_KEPT
from voltagora.domain.location import Location, distance_km
from voltagora.domain.station import Connector, Recommendation
from voltagora.domain.units import Floats, Time, round_half_even
from voltagora.domain.vehicle import FARTHEST_AHEAD_SECONDS, Preferences
from voltagora.protocols.cp01_recommendation import (
    ChargingRecommendations,
    RequestChargingRecommendations,
)
from voltagora.protocols.cp04_station_registration import RegisterChargingStation, RegistrationOutcome
from voltagora.protocols.cp05_authentication import AuthenticateRecommendation, AuthenticationOutcome
from voltagora.protocols.cp12_availability import (
    Availability,
    UpdateAvailabilityOutcome,
    UpdatedStationAvailability,
)
from voltagora.protocols.message import Message, Refusal
from voltagora.protocols.topic import Kind
from voltagora.strategies.recommendation.decision import RankingRequest, RecommendationStrategy

VALID_SECONDS = 600
"""How long a recommendation may be used, unless its stay begins earlier."""

PLACES_KEPT = 10_000
"""Rankings kept by place, where the strategy looks at nothing else."""


Fitting: TypeAlias = tuple[tuple[Connector, ...], tuple[Book, ...]]
"""The connectors of a station that would do, and who holds each."""


class Hold(msgspec.Struct, frozen=True, gc=False):
    """What a station last said of one reservation."""

    revision: int
    station: str
    connector: str
    arrival: int
    departure: int
    released: bool


class KnownStation:
    """A registered station and who holds its connectors when."""

    def __init__(self, id: str, registration: RegisterChargingStation) -> None:
        self.id = id
        self.registration = registration
        self.books: dict[str, Book] = {connector.id: Book() for connector in registration.connectors}
        self._fitting: dict[tuple[str, float], Fitting | None] = {}

    def update(self, registration: RegisterChargingStation) -> None:
        """Take new content of a registration; the books of connectors that stay are kept."""
        self.registration = registration
        self.books = {c.id: self.books.get(c.id) or Book() for c in registration.connectors}
        self._fitting.clear()

    def fitting(self, connector_type: str, power_kw: float) -> Fitting | None:
        """List the connectors of a type with at least so much power, in the order of the registration."""
        key = (connector_type, power_kw)
        if key not in self._fitting:
            connectors = tuple(
                connector
                for connector in self.registration.connectors
                if connector.connector_type == connector_type and connector.power_kw >= power_kw
            )
            books = tuple(self.books[connector.id] for connector in connectors)
            self._fitting[key] = (connectors, books) if connectors else None
        return self._fitting[key]

    def load_kwh(self, start: int, end: int) -> float:
        """Give what the connectors held could draw within `[start, end)`, kWh."""
        load = 0.0
        for connector in self.registration.connectors:
            for held_from, held_to, _ in self.books[connector.id].entries():
                shared = min(end, held_to) - max(start, held_from)
                if shared > 0:
                    load += connector.power_kw * shared / 3600
        return load


Candidate: TypeAlias = tuple[KnownStation, float, Fitting]
"""A station that could do, how far away it is (km), and with which connectors."""


class RecommenderAgent(Agent):
    """Matches vehicles to free connectors of one network."""

    kind: ClassVar[Kind] = Kind.RECOMMENDER

    def __init__(
        self,
        id: str,
        network: str,
        market: Market,
        *,
        strategy: RecommendationStrategy,
        at_most: int = 3,
    ) -> None:
        super().__init__(id)
        self.network = network
        self.market = market
        self.strategy = strategy
        self.at_most = at_most
        self.stations: dict[str, KnownStation] = {}
        self.holds: dict[str, Hold] = {}
        self._strangers: set[str] = set()  # stations of other networks
        self._issued: dict[str, Recommendation] = {}
        self._used: set[str] = set()
        self._expiries: deque[tuple[int, tuple[Recommendation, ...]]] = deque()
        self._count = 0
        self._order: tuple[str, ...] = ()
        self._rankings: dict[tuple[float, float, str, float], list[Candidate]] = {}

    def start(self, turn: Turn) -> None:
        """Clear away at each midnight what is past."""
        self._count = self.numbered_after
        turn.wake(self.market.calendar.day_at(turn.now).end, ("midnight",))

    def wake(self, turn: Turn, memo: Memo) -> None:
        """Forget the stays that ended a day ago and the prices that nobody asks for any more."""
        today = self.market.calendar.day_at(turn.now)
        past = turn.now - 86_400
        self.holds = {name: hold for name, hold in self.holds.items() if hold.departure > past}
        self.market.forget(self.market.calendar.day_after(today, -DAYS_KEPT).date)
        turn.wake(today.end, ("midnight",))

    # CP1.

    def recommend(self, turn: Turn, request: RequestChargingRecommendations, vehicle: str) -> Answer:
        """CP1: propose the best free connectors, at most one a station."""
        preferences = request.preferences
        if preferences.network is not UNSET and preferences.network != self.network:
            return None
        field = None
        if preferences.arrival < turn.now:
            field = "preferences.arrival"
        elif preferences.departure > turn.now + FARTHEST_AHEAD_SECONDS:
            field = "preferences.departure"
        if field is not None:
            return refuse(ChargingRecommendations, request, self.id, Refusal.INVALID_REQUEST, field)
        self._forget_expired(turn.now)
        found = self._offers(turn, request, vehicle)
        if found:
            self._expiries.append((turn.now + VALID_SECONDS, found))
            return ChargingRecommendations(
                in_reply_to=request.msg_id, responder=self.id, recommendations=found
            )
        fits = any(
            known.fitting(preferences.connector_type, preferences.power_kw)
            for known in self.stations.values()
        )
        reason = Refusal.NO_FREE_CONNECTOR if fits else Refusal.NO_STATION
        return refuse(ChargingRecommendations, request, self.id, reason)

    def _offers(
        self, turn: Turn, request: RequestChargingRecommendations, vehicle: str
    ) -> tuple[Recommendation, ...]:
        """Issue a recommendation for each of the best stations with a free connector."""
        preferences = request.preferences
        arrival, departure = preferences.arrival, preferences.departure
        price = self.market.mean_buy_price(arrival, departure)
        issued_at, expires_at = Time(turn.now), Time(min(turn.now + VALID_SECONDS, arrival))
        issued: list[Recommendation] = []
        for known, distance, (connectors, books) in self._ranked(request.location, preferences, price):
            place = first_free(books, arrival, departure)
            if place is None:
                continue
            connector = connectors[place]
            self._count += 1
            offer = Recommendation(
                id=f"{self.id}-{self._count}",
                token=turn.token(),
                recommender=self.id,
                network=self.network,
                vehicle=vehicle,
                station=known.id,
                connector=connector.id,
                arrival=arrival,
                departure=departure,
                connector_type=connector.connector_type,
                power_kw=connector.power_kw,
                energy_kwh=preferences.energy_kwh,
                v2g_capable=connector.v2g_capable,
                location=known.registration.location,
                distance_km=distance,
                expected_price_eur_kwh=price,
                issued_at=issued_at,
                expires_at=expires_at,
            )
            self._issued[offer.id] = offer
            issued.append(offer)
            if len(issued) == self.at_most:
                break
        return tuple(issued)

    def _ranked(
        self, location: Location, preferences: Preferences, price: float | UnsetType
    ) -> list[Candidate]:
        """List the stations that could do, best first."""
        if self.strategy.uses_price or self.strategy.uses_load:
            return self._rank(location, preferences, price)
        # A strategy that looks at the place alone ranks the same place the same way each time.
        wish = (location.latitude, location.longitude, preferences.connector_type, preferences.power_kw)
        ranking = self._rankings.get(wish)
        if ranking is None:
            if len(self._rankings) >= PLACES_KEPT:
                self._rankings.clear()
            ranking = self._rankings[wish] = self._rank(location, preferences, price)
        return ranking

    def _rank(
        self, location: Location, preferences: Preferences, price: float | UnsetType
    ) -> list[Candidate]:
        names = self._order
        if not names:
            return []
        distances = np.array(
            [distance_km(location, self.stations[name].registration.location) for name in names]
        )
        prices = None if isinstance(price, UnsetType) else np.full(len(names), price)
        loads = self._loads(preferences) if self.strategy.uses_load else None
        ranked = self.strategy.rank(
            RankingRequest(station_ids=names, distance_km=distances, expected_price=prices, load=loads)
        )
        candidates: list[Candidate] = []
        for place in ranked:
            known = self.stations[names[place]]
            fitting = known.fitting(preferences.connector_type, preferences.power_kw)
            if fitting is not None:
                candidates.append((known, round_half_even(float(distances[place]), 3), fitting))
        return candidates

    def _loads(self, preferences: Preferences) -> Floats:
        return np.array(
            [self.stations[name].load_kwh(preferences.arrival, preferences.departure) for name in self._order]
        )

    # CP4.

    def register_station(self, turn: Turn, request: RegisterChargingStation, station: str) -> Answer:
        """CP4: note a station of this network, unless the change strands a reservation."""
        known = self.stations.get(station)
        if request.network != self.network:
            self._strangers.add(station)
            if known is None:
                return None
        if known is not None and request != known.registration and self._strands(known, request, turn.now):
            return refuse(RegistrationOutcome, request, self.id, Refusal.IN_USE, "connectors")
        if request.network != self.network:
            del self.stations[station]  # It has left this network, whose recommender says no more.
            self._reorder()
            return None
        if known is None:
            self.stations[station] = KnownStation(station, request)
            self._strangers.discard(station)
            self._reorder()
        elif request != known.registration:
            known.update(request)
            self._reorder()
        return RegistrationOutcome(in_reply_to=request.msg_id, responder=self.id, accepted=True)

    def _reorder(self) -> None:
        self._order = tuple(sorted(self.stations))
        self._rankings.clear()

    def _strands(self, known: KnownStation, request: RegisterChargingStation, now: int) -> bool:
        """Tell whether a reservation still to come would lose its connector."""
        offered = {connector.id: connector for connector in request.connectors}
        for old in known.registration.connectors:
            known.books[old.id].forget(now)
            if not known.books[old.id].entries():
                continue
            new = offered.get(old.id)
            moved = request.network != self.network
            if (
                new is None
                or moved
                or new.connector_type != old.connector_type
                or new.power_kw < old.power_kw
            ):
                return True
        return False

    # CP5.

    def authenticate(self, turn: Turn, request: AuthenticateRecommendation, station: str) -> Answer:
        """CP5: vouch, once, for a recommendation that this agent issued and nobody altered."""
        claimed = request.recommendation
        if claimed.recommender != self.id:
            return None
        reason = self._objection(turn.now, claimed, station)
        if reason is None:
            self._used.add(claimed.id)
        return AuthenticationOutcome(
            in_reply_to=request.msg_id,
            responder=self.id,
            accepted=reason is None,
            reason=UNSET if reason is None else str(reason),
            recommendation_id=claimed.id,
        )

    def _objection(self, now: int, claimed: Recommendation, station: str) -> Refusal | None:
        issued = self._issued.get(claimed.id)
        if issued is None:
            return Refusal.EXPIRED if self._was_issued(claimed.id) else Refusal.UNKNOWN
        # What was handed over within this process needs no comparing.
        if claimed is not issued and not _is_true_copy(claimed, issued):
            return Refusal.ALTERED
        if station != issued.station:
            return Refusal.ALTERED
        if claimed.id in self._used:
            return Refusal.USED
        return Refusal.EXPIRED if now >= issued.expires_at else None

    def _was_issued(self, id: str) -> bool:
        """Tell whether this agent once gave out an id that it has forgotten since."""
        prefix, _, number = id.rpartition("-")
        return prefix == self.id and number.isdecimal() and 1 <= int(number[:20]) <= self._count

    def _forget_expired(self, now: int) -> None:
        while self._expiries and self._expiries[0][0] < now:
            _, expired = self._expiries.popleft()
            for offer in expired:
                del self._issued[offer.id]
                self._used.discard(offer.id)

    # CP12.

    def update_availability(self, turn: Turn, request: UpdatedStationAvailability, station: str) -> Answer:
        """CP12: enter, move or strike out one reservation's hold on a connector."""
        known = self.stations.get(station)
        if known is None:
            if station in self._strangers:
                return None
            return refuse(UpdateAvailabilityOutcome, request, self.id, Refusal.NOT_REGISTERED)
        held = self.holds.get(request.reservation)
        if held is not None and held.station != station:
            return refuse(
                UpdateAvailabilityOutcome, request, self.id, Refusal.UNKNOWN_RESERVATION, "reservation"
            )
        if held is not None and request.revision <= held.revision:
            if request.revision < held.revision:
                return refuse(UpdateAvailabilityOutcome, request, self.id, Refusal.STALE, "revision")
            return self._availability_taken(request)
        book = known.books.get(request.connector)
        if book is None:
            return refuse(UpdateAvailabilityOutcome, request, self.id, Refusal.INVALID_REQUEST, "connector")
        if held is not None and not held.released:
            known.books[held.connector].remove(held.arrival, request.reservation)
        reserved = request.state is Availability.RESERVED
        if reserved and not book.is_free(request.arrival, request.departure):
            if held is not None and not held.released:
                known.books[held.connector].add(held.arrival, held.departure, request.reservation)
            return refuse(UpdateAvailabilityOutcome, request, self.id, Refusal.INVALID_REQUEST, "arrival")
        book.forget(turn.now)
        if reserved:
            book.add(request.arrival, request.departure, request.reservation)
        self.holds[request.reservation] = Hold(
            request.revision,
            station,
            request.connector,
            request.arrival,
            request.departure,
            not reserved,
        )
        return self._availability_taken(request)

    def _availability_taken(self, request: UpdatedStationAvailability) -> UpdateAvailabilityOutcome:
        return UpdateAvailabilityOutcome(in_reply_to=request.msg_id, responder=self.id, accepted=True)

    handles: ClassVar[dict[type[Message], Callable[..., Answer]]] = {
        RequestChargingRecommendations: recommend,
        RegisterChargingStation: register_station,
        AuthenticateRecommendation: authenticate,
        UpdatedStationAvailability: update_availability,
    }


def _is_true_copy(claimed: Recommendation, issued: Recommendation) -> bool:
    """Compare the secret in constant time, then the rest."""
    return hmac.compare_digest(issued.token.encode(), claimed.token.encode()) and issued == claimed
