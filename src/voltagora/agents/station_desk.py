"""What a station's booking and negotiating share: its sessions, whom it tells, what it has promised."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from voltagora.agents.agent import Turn
from voltagora.agents.market import Market
from voltagora.agents.own_profile import OwnProfile
from voltagora.agents.sessions import Booking, SessionBook
from voltagora.domain.fleet import StationPlan
from voltagora.domain.records import SessionState
from voltagora.domain.station import Recommendation
from voltagora.domain.units import Time
from voltagora.protocols.cp02_reservation import ReservationOutcome
from voltagora.protocols.cp04_station_registration import RegisterChargingStation
from voltagora.protocols.cp08_schedule import UpdatedChargingSchedule
from voltagora.protocols.cp11_confidence import UpdateConfidence
from voltagora.protocols.cp12_availability import Availability, UpdatedStationAvailability
from voltagora.strategies.scheduling.decision import SchedulingStrategy


class StationRules(msgspec.Struct, frozen=True, kw_only=True):
    """How a station behaves beside its strategies."""

    negotiation_rounds: int = 3
    offers_flexibility: bool = False  # whether it proposes changes by itself
    review_minutes: int = 60  # before arrival, when it looks whether it would rather change a booking
    hears_hardware: bool = False  # whether connectors report who plugs in; else all come as booked
    no_show_minutes: float = 60
    reports_confidence: bool = False  # CP11 at each midnight


class StationPeers(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a station talks to."""

    grid_area: str
    imbalance: str
    pricing: str
    recommender: str


class StationDesk:
    """One station's books and correspondence; those who decide, decide elsewhere."""

    def __init__(
        self,
        plan: StationPlan,
        market: Market,
        *,
        peers: StationPeers,
        scheduling: SchedulingStrategy,
        rules: StationRules,
        next_id: Callable[[], str],
    ) -> None:
        self.id = plan.id
        self.plan = plan
        self.market = market
        self.calendar = market.calendar
        self.peers = peers
        self.rules = rules
        self.next_id = next_id
        self.address = (plan.id,)
        self.sessions = SessionBook(plan, market.calendar, scheduling)
        self.profile = OwnProfile(market.calendar) if rules.reports_confidence else None
        # By reservation, for ever, each with the recommendation that it answers.
        self.answers: dict[str, tuple[Recommendation, ReservationOutcome]] = {}
        self.released: set[tuple[str, str]] = set()  # cancelled for good: reservation, vehicle
        self._no_show_seconds = int(rules.no_show_minutes * 60)

    def register(self, turn: Turn, whom: tuple[str, ...]) -> None:
        """CP4: say what this station is."""
        plan = self.plan
        request = RegisterChargingStation(
            msg_id=self.next_id(),
            network=plan.network,
            grid_area=self.peers.grid_area,
            location=plan.location,
            connectors=plan.connectors,
            grid_limit_kw=plan.grid_limit_kw,
        )
        turn.tell(request, self.address, whom)

    def tell_schedule(self, turn: Turn, booking: Booking, whom: tuple[str, ...] = ()) -> None:
        """CP8: tell EI and MD, or one of them, the whole session as it now stands."""
        request = UpdatedChargingSchedule(
            msg_id=self.next_id(),
            grid_area=self.peers.grid_area,
            reservation=booking.reservation,
            revision=booking.revision,
            schedule=booking.schedule,
            buy=booking.buy,
            sell=booking.sell,
            cost_eur=booking.cost_eur,
        )
        turn.tell(request, self.address, whom or (self.peers.imbalance, self.peers.pricing))

    def tell_availability(self, turn: Turn, booking: Booking, state: Availability) -> None:
        """CP12: tell the recommender who holds the connector when."""
        request = UpdatedStationAvailability(
            msg_id=self.next_id(),
            reservation=booking.reservation,
            revision=booking.revision,
            connector=booking.connector.id,
            arrival=Time(booking.arrival),
            departure=Time(booking.departure),
            state=state,
        )
        turn.tell(request, self.address, (self.peers.recommender,))

    def tell_confidence(self, turn: Turn) -> None:
        """CP11: say what this station drew on the days before, and how much that varied."""
        assert self.profile is not None
        today = self.calendar.day_at(turn.now)
        mean, std = self.profile.mean_and_std(today)
        request = UpdateConfidence(
            msg_id=self.next_id(), grid_area=self.peers.grid_area, day=today.date, mean=mean, std=std
        )
        turn.tell(request, self.address, (self.peers.imbalance, self.peers.pricing))
        turn.wake(today.end, ("midnight", ""))

    def tell_again(self, turn: Turn, peer: str) -> None:
        """CP4, then CP8 or CP12 of every session, to one who may have lost its memory."""
        self.register(turn, (peer,))
        for booking in self.sessions.bookings.values():
            if peer == self.peers.recommender:
                self.tell_availability(turn, booking, Availability.RESERVED)
            else:
                self.tell_schedule(turn, booking, (peer,))

    def watch(self, turn: Turn, booking: Booking) -> None:
        """Be woken at the end of a stay, and when a vehicle has been missed for too long."""
        turn.wake(booking.departure, ("depart", booking.reservation))
        if self.rules.hears_hardware:
            turn.wake(max(turn.now, self.missed_at(booking)), ("no_show", booking.reservation))

    def missed_at(self, booking: Booking) -> int:
        """Give when a vehicle that has not come counts as missed: at the latest before its stay is over."""
        return min(booking.arrival + self._no_show_seconds, booking.departure - 1)

    def complete(self, turn: Turn, booking: Booking) -> None:
        """Close a session that ran to its end, and record it."""
        self.sessions.close(booking)
        if self.profile is not None:
            self.profile.add(booking.schedule)
        turn.record(self.sessions.record(booking, SessionState.COMPLETED, self.peers.grid_area))

    def release(self, turn: Turn, booking: Booking, state: SessionState) -> None:
        """Give a connector back: CP8 all zero, CP12 released; final."""
        self.sessions.release(booking)
        self.released.add((booking.reservation, booking.vehicle))
        self.tell_schedule(turn, booking)
        self.tell_availability(turn, booking, Availability.RELEASED)
        turn.record(self.sessions.record(booking, state, self.peers.grid_area))

    def remember_released(self, reservation: str, vehicle: str) -> None:
        """Keep a cancellation that came before its booking, so that the booking is refused."""
        self.released.add((reservation, vehicle))

    def is_over(self, reservation: str, vehicle: str) -> bool:
        """Tell whether a vehicle's reservation came to its end without being cancelled."""
        offer, outcome = self.answers.get(reservation, (None, None))
        return (
            offer is not None
            and outcome is not None
            and outcome.accepted
            and offer.vehicle == vehicle
            and reservation not in self.sessions.bookings
            and (reservation, vehicle) not in self.released
        )
