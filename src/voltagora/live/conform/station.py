"""What a charging station is checked by: vehicles, recommender, EI and MD are played with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from voltagora.domain.station import Connector, Recommendation
from voltagora.domain.terms import Terms
from voltagora.domain.units import Time, replaced, round_energy
from voltagora.live.conform.check import require
from voltagora.live.conform.market import (
    OTHER_STATION,
    PLACE,
    STRANGER,
    VEHICLE,
    Play,
    a_battery,
    a_wish,
)
from voltagora.live.conform.stage import GRACE_SECONDS, Heard, Replies, shown
from voltagora.protocols.cp02_reservation import ReservationOutcome, ReserveChargingSlot
from voltagora.protocols.cp03_negotiation import StationAnswer, VehicleProposal
from voltagora.protocols.cp04_station_registration import RegisterChargingStation, RegistrationOutcome
from voltagora.protocols.cp05_authentication import AuthenticateRecommendation, AuthenticationOutcome
from voltagora.protocols.cp07_prices import ElectricityPrices, ElectricityPricesRequest
from voltagora.protocols.cp08_schedule import UpdatedChargingSchedule, UpdateScheduleOutcome
from voltagora.protocols.cp11_confidence import UpdateConfidence, UpdateConfidenceOutcome
from voltagora.protocols.cp12_availability import UpdateAvailabilityOutcome, UpdatedStationAvailability
from voltagora.protocols.message import Refusal
from voltagora.protocols.topic import Kind

DAYS_PRICED = 5
"""From today on; beyond them the station must ask."""

Vouch = Callable[[AuthenticateRecommendation], Replies]


class Asked(msgspec.Struct, frozen=True):
    """A reservation that was asked for."""

    request: ReserveChargingSlot
    since: int  # mark before it was sent

    @property
    def offer(self) -> Recommendation:
        """What was recommended."""
        return self.request.recommendation


class StationPlay(Play):
    """The market around a station."""

    registration: RegisterChargingStation

    async def prepare(self) -> None:
        """See `Play.prepare`: hear the registration and tell prices."""
        self._vouch: dict[str, Vouch] = {}
        self._issued = 0
        areas = (Kind.IMBALANCE, Kind.PRICING)
        self.answer(UpdateConfidence, self.outcomes(UpdateConfidenceOutcome, *areas))
        self.answer(UpdatedChargingSchedule, self.outcomes(UpdateScheduleOutcome, *areas))
        self.answer(UpdatedStationAvailability, self.outcomes(UpdateAvailabilityOutcome, Kind.RECOMMENDER))
        self.answer(AuthenticateRecommendation, self._authenticate)
        self.answer(ElectricityPricesRequest, self.price_reply)
        self.answer(RegisterChargingStation, self._register)
        first = await self.hear(
            RegisterChargingStation, seconds=self.manners.wait_seconds, otherwise="no CP4: is it running?"
        )
        self.registration = first.message
        self.appear()
        for ahead in range(DAYS_PRICED):
            self.broadcast_prices(self.day(ahead), 1)
        await asyncio.sleep(GRACE_SECONDS)

    def _register(self, request: RegisterChargingStation, address: tuple[str, ...]) -> Replies:
        self.network, self.grid_area = request.network, request.grid_area
        speakers = (Kind.IMBALANCE, Kind.PRICING, Kind.RECOMMENDER)
        return self.outcomes(RegistrationOutcome, *speakers)(request, address)

    def _authenticate(self, request: AuthenticateRecommendation, _address: tuple[str, ...]) -> Replies:
        vouch = self._vouch.get(request.recommendation.id)
        return vouch(request) if vouch else self.vouched(request, Refusal.UNKNOWN)

    def vouched(self, request: AuthenticateRecommendation, reason: Refusal | None = None) -> Replies:
        """Stand by a recommendation or not."""
        more: dict[str, Any] = {} if reason is None else {"reason": str(reason)}
        outcome = AuthenticationOutcome(
            in_reply_to=request.msg_id,
            responder=self.recommender,
            accepted=reason is None,
            recommendation_id=request.recommendation.id,
            **more,
        )
        return [(Kind.RECOMMENDER, outcome)]

    def price_reply(self, request: ElectricityPricesRequest, _address: tuple[str, ...] = ()) -> Replies:
        """CP7: tell the prices of any day."""
        day = self.day(request.day_index)
        buy, sell = self.prices(day)
        reply = ElectricityPrices(
            in_reply_to=request.msg_id,
            responder=self.pricing,
            grid_area=self.grid_area,
            day=day.date,
            revision=1,
            buy=buy,
            sell=sell,
        )
        return [(Kind.PRICING, reply)]

    # Booking.

    @property
    def connector(self) -> Connector:
        """The connector that everybody is sent to."""
        return self.registration.connectors[0]

    def offer(
        self, stay: tuple[Time, Time], vehicle: str = VEHICLE, energy_kwh: float | None = None
    ) -> Recommendation:
        """Issue a recommendation; its stay needs half of the connector's power unless it says otherwise."""
        self._issued += 1
        connector = self.connector
        hours = (stay[1] - stay[0]) / 3600
        usable_kw = min(connector.power_kw, self.registration.grid_limit_kw)
        return Recommendation(
            id=f"{self.recommender}-{self.word()}"[:64],
            token=f"conform-token-{self.word()}",
            recommender=self.recommender,
            network=self.network,
            vehicle=vehicle,
            station=self.id,
            connector=connector.id,
            arrival=stay[0],
            departure=stay[1],
            connector_type=connector.connector_type,
            power_kw=connector.power_kw,
            energy_kwh=round_energy(usable_kw * hours / 2) if energy_kwh is None else energy_kwh,
            v2g_capable=connector.v2g_capable,
            location=PLACE,
            distance_km=1.0,
            issued_at=Time(self.now()),
            expires_at=Time(min(self.now() + 600, stay[0])),
        )

    def request(self, offer: Recommendation) -> ReserveChargingSlot:
        """Make the CP2 that takes up a recommendation."""
        stay = (offer.arrival, offer.departure)
        return ReserveChargingSlot(
            msg_id=self.word(),
            recommendation=offer,
            battery=a_battery(offer.energy_kwh, offer.power_kw),
            preferences=a_wish(stay, offer.energy_kwh, offer.connector_type, offer.power_kw),
        )

    def reserve(self, offer: Recommendation, vouch: Vouch | None = None) -> Asked:
        """CP2: ask for a recommended slot, which is vouched for unless told otherwise."""
        self._vouch[offer.id] = vouch or self.vouched
        asked = Asked(self.request(offer), self.mark)
        self.send(asked.request)
        return asked

    def send(self, request: ReserveChargingSlot) -> None:
        """Publish a CP2."""
        self.say(Kind.VEHICLE, request, self.id)

    async def outcome(self, asked: Asked, *, seconds: float | None = None) -> Heard:
        """Wait for what came of it."""
        about = asked.request.msg_id
        return await self.hear(
            ReservationOutcome, lambda it: it.in_reply_to == about, since=asked.since, seconds=seconds
        )

    async def booked(self, offer: Recommendation) -> tuple[Asked, ReservationOutcome]:
        """Reserve what must be possible."""
        asked = self.reserve(offer)
        heard = await self.outcome(asked)
        require(heard.message.accepted, f"refused: {shown(heard)}")
        return asked, heard.message

    async def turned_down(self, asked: Asked, *reasons: Refusal, seconds: float | None = None) -> Heard:
        """Wait for a refusal that gives one of these reasons."""
        heard = await self.outcome(asked, seconds=seconds)
        listed = " or ".join(reasons)
        require(not heard.message.accepted, f"accepted, must be refused: {listed}")
        require(heard.message.reason in reasons, f"reason {heard.message.reason}, must be {listed}")
        return heard

    def propose(self, vehicle: str, reservation: str, **terms: Any) -> VehicleProposal:
        """CP3: propose as a vehicle."""
        proposal = VehicleProposal(msg_id=self.word(), reservation=reservation, round=1, terms=Terms(**terms))
        self.say(Kind.VEHICLE, proposal, self.id, vehicle)
        return proposal

    async def answer_to(self, proposal: VehicleProposal) -> Heard:
        """Wait for the station's answer."""
        return await self.hear(StationAnswer, lambda it: it.in_reply_to == proposal.msg_id)

    async def schedule_of(self, reservation: str, revision: int = 1) -> Heard:
        """CP8: wait for what EI and MD are told."""
        return await self.hear(
            UpdatedChargingSchedule,
            lambda it: it.reservation == reservation and it.revision >= revision,
            otherwise=f"no CP8 of {reservation} with a revision of at least {revision}",
        )

    async def availability_of(self, reservation: str, revision: int = 1) -> Heard:
        """CP12: wait for what the recommender is told."""
        return await self.hear(
            UpdatedStationAvailability,
            lambda it: it.reservation == reservation and it.revision >= revision,
            otherwise=f"no CP12 of {reservation} with a revision of at least {revision}",
        )


def sound_session(asked: Asked, outcome: ReservationOutcome) -> None:
    """Check a schedule against what was asked for.

    Raises:
        Wrong: it passes a bound, or does not add up.
    """
    schedule, offer = outcome.schedule, asked.offer
    assert not isinstance(schedule, msgspec.UnsetType)
    values = schedule.values
    gained = float(np.sum(values))
    require(
        abs(gained - offer.energy_kwh) <= 1e-6 * (len(values) + 1),
        f"the schedule gives {gained:g} kWh, must be {offer.energy_kwh:g}",
    )
    most = offer.power_kw * schedule.step_minutes / 60
    require(float(np.max(np.abs(values))) <= most + 1e-6, f"more than {most:g} kWh in a slot")
    covers = schedule.start <= offer.arrival < schedule.start + schedule.step_seconds
    ends = schedule.end - schedule.step_seconds < offer.departure <= schedule.end
    require(covers and ends, "the schedule must cover the slots of the stay and no others")


def cost_of(outcome: Any) -> float:
    """Give what a session costs, EUR."""
    values = outcome.schedule.values
    charged, given = np.maximum(values, 0), np.maximum(-values, 0)
    return float(charged @ outcome.buy.values - given @ outcome.sell.values)


def other_station(offer: Recommendation) -> Recommendation:
    """Give the same recommendation for another station."""
    changed: Recommendation = replaced(offer, station=OTHER_STATION)
    return changed


def imposter(request: AuthenticateRecommendation) -> AuthenticationOutcome:
    """Vouch in the name of somebody whom nobody asked."""
    return AuthenticationOutcome(in_reply_to=request.msg_id, responder=STRANGER, accepted=True)
