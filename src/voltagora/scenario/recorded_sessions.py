"""Sessions as they ended, from bookings (CP2), schedules (CP8), holds (CP12) and what was agreed (CP3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from msgspec import UNSET, UnsetType

from voltagora.agents.sessions import energy_cost_eur
from voltagora.domain.records import SessionRecord, SessionState
from voltagora.domain.series import PriceSeries, ScheduleSeries
from voltagora.domain.terms import Terms
from voltagora.domain.units import round_money
from voltagora.protocols.cp02_reservation import ReservationOutcome, ReserveChargingSlot
from voltagora.protocols.cp08_schedule import UpdatedChargingSchedule
from voltagora.protocols.cp12_availability import Availability, UpdatedStationAvailability


@dataclass(slots=True)
class _Booked:
    """One booking that a station confirmed."""

    request: ReserveChargingSlot
    outcome: ReservationOutcome
    energy_kwh: float
    cancelled: bool = False
    waiting: Terms | None = None  # a station's, that the vehicle accepted and the station has yet to apply


class SessionBook:
    """All sessions on record."""

    def __init__(self) -> None:
        self._booked: dict[str, _Booked] = {}
        self._schedules: dict[str, UpdatedChargingSchedule] = {}
        self._holds: dict[str, UpdatedStationAvailability] = {}
        self._stations: dict[str, str] = {}  # whose a reservation is, as its first CP8 or CP12 says

    def book(self, request: ReserveChargingSlot, outcome: ReservationOutcome) -> None:
        """CP2 accepted: one reservation, one booking, the first answer for ever."""
        self._booked.setdefault(
            request.recommendation.id, _Booked(request, outcome, request.preferences.energy_kwh)
        )

    def is_booked(self, reservation: str) -> bool:
        """Tell whether a station confirmed a reservation."""
        return reservation in self._booked

    def cancel(self, reservation: str) -> None:
        """CP3: the station let a vehicle cancel."""
        booked = self._booked.get(reservation)
        if booked is not None:
            booked.cancelled = True

    def agree(self, reservation: str, terms: Terms) -> None:
        """CP3: the station accepted what a vehicle asked for."""
        booked = self._booked.get(reservation)
        if booked is not None and not isinstance(terms.energy_kwh, UnsetType):
            booked.energy_kwh = terms.energy_kwh

    def await_change(self, reservation: str, terms: Terms) -> None:
        """CP3: the vehicle accepted what a station asked for; the next schedule says that it is done."""
        booked = self._booked.get(reservation)
        if booked is not None:
            booked.waiting = terms

    def update_schedule(self, request: UpdatedChargingSchedule, station: str, now: int) -> None:
        """CP8: the newest revision counts."""
        held = self._schedules.get(request.reservation)
        if not self._is_its_own(request.reservation, station) or (
            held is not None and request.revision <= held.revision
        ):
            return
        self._schedules[request.reservation] = request
        booked = self._booked.get(request.reservation)
        if booked is not None and booked.waiting is not None:
            # What a station changes after arrival follows from the connector, not from what was agreed.
            if now < self._stay(request.reservation, booked)[0]:
                self.agree(request.reservation, booked.waiting)
            booked.waiting = None

    def update_hold(self, request: UpdatedStationAvailability, station: str) -> None:
        """CP12: the newest revision counts."""
        held = self._holds.get(request.reservation)
        if self._is_its_own(request.reservation, station) and (
            held is None or request.revision > held.revision
        ):
            self._holds[request.reservation] = request

    def _is_its_own(self, reservation: str, station: str) -> bool:
        return self._stations.setdefault(reservation, station) == station

    @property
    def stations(self) -> set[str]:
        """Whose sessions they are."""
        return set(self._stations.values())

    @property
    def unbooked(self) -> int:
        """How many sessions have schedules on record, but no booking."""
        return len(self._schedules.keys() - self._booked.keys())

    def records(self, end: int, area_of: Callable[[str], str]) -> Iterator[SessionRecord]:
        """Give every session as it stands at an instant, seconds UTC.

        Args:
            end: the instant.
            area_of: the grid area of a station.
        """
        for reservation, booked in self._booked.items():
            offer, battery = booked.request.recommendation, booked.request.battery
            update = self._schedules.get(reservation)
            schedule, buy, sell, cost_eur = _plan(update or booked.outcome)
            arrival, departure = self._stay(reservation, booked)
            yield SessionRecord(
                reservation=reservation,
                area=update.grid_area if update is not None else area_of(offer.station),
                network=offer.network,
                vehicle=offer.vehicle,
                station=offer.station,
                connector=offer.connector,
                arrival=arrival,
                departure=departure,
                energy_kwh=booked.energy_kwh,
                capacity_kwh=battery.capacity_kwh,
                soc_at_arrival=battery.soc,
                charge_efficiency=battery.charge_efficiency,
                discharge_efficiency=battery.discharge_efficiency,
                power_kw=offer.power_kw,
                v2g=booked.request.preferences.v2g_allowed and offer.v2g_capable,
                state=self._state(reservation, booked, end),
                revision=1 if update is None else update.revision,
                first_slot=int(schedule.start),
                step_minutes=schedule.step_minutes,
                schedule_kwh=schedule.values,
                buy_eur_per_kwh=buy.values,
                sell_eur_per_kwh=sell.values,
                # The rest of the sum: what energy costs at these prices and is not billed.
                compensation_eur=round_money(round_money(energy_cost_eur(schedule, (buy, sell))) - cost_eur),
                cost_eur=cost_eur,
            )

    def _stay(self, reservation: str, booked: _Booked) -> tuple[int, int]:
        hold = self._holds.get(reservation) or booked.request.recommendation
        return int(hold.arrival), int(hold.departure)

    def _state(self, reservation: str, booked: _Booked, end: int) -> SessionState:
        hold = self._holds.get(reservation)
        arrival, departure = self._stay(reservation, booked)
        if booked.cancelled:
            return SessionState.CANCELLED
        if hold is not None and hold.state is Availability.RELEASED:
            return SessionState.NO_SHOW
        if departure <= end:
            return SessionState.COMPLETED
        return SessionState.CHARGING if arrival <= end else SessionState.BOOKED


def _plan(
    said: UpdatedChargingSchedule | ReservationOutcome,
) -> tuple[ScheduleSeries, PriceSeries, PriceSeries, float]:
    """Give schedule, prices and cost; an accepted outcome has them all."""
    parts = (said.schedule, said.buy, said.sell, said.cost_eur)
    assert UNSET not in parts
    return parts  # type: ignore[return-value]


def is_sound(outcome: ReservationOutcome) -> bool:
    """Tell whether an accepted outcome's prices stand for the slots of its schedule."""
    series = (outcome.schedule, outcome.buy, outcome.sell)
    return len({(s.start, s.step_minutes, len(s)) for s in series if not isinstance(s, UnsetType)}) == 1
