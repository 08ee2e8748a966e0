"""The checks of a charging station: negotiating (CP3), and whom it tells (CP4, CP8, CP12)."""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import UNSET

from voltagora.domain.units import Time
from voltagora.live.conform.bad_input import refuses_wrong_fields, survives_malformed
from voltagora.live.conform.check import Checks, require
from voltagora.live.conform.market import HOUR, OTHER_VEHICLE, VEHICLE
from voltagora.live.conform.stage import Replies
from voltagora.live.conform.station import (
    StationPlay,
)
from voltagora.protocols.cp03_negotiation import Decision, StationAnswer, VehicleProposal
from voltagora.protocols.cp04_station_registration import RegisterChargingStation
from voltagora.protocols.cp08_schedule import UpdatedChargingSchedule, UpdateScheduleOutcome
from voltagora.protocols.cp12_availability import (
    Availability,
    UpdateAvailabilityOutcome,
    UpdatedStationAvailability,
)
from voltagora.protocols.message import Refusal
from voltagora.protocols.topic import Kind

CHECKS = Checks()


@CHECKS.add("CP8")
async def tells_the_schedule(play: StationPlay) -> None:
    """EI and MD are told of a booking as the vehicle is."""
    asked, outcome = await play.booked(play.offer(play.stay()))
    told = (await play.schedule_of(asked.offer.id)).message
    for name in ("schedule", "buy", "sell", "cost_eur"):
        require(getattr(told, name) == getattr(outcome, name), f"{name} of CP8 differs from that of CP2")
    require(told.grid_area == play.grid_area, "grid_area must be the station's own")


@CHECKS.add("CP12")
async def tells_the_availability(play: StationPlay) -> None:
    """The recommender is told of a booking."""
    asked, _ = await play.booked(play.offer(play.stay()))
    told = (await play.availability_of(asked.offer.id)).message
    for name in ("connector", "arrival", "departure"):
        require(
            getattr(told, name) == getattr(asked.offer, name), f"{name} differs from the recommendation's"
        )
    require(told.state is Availability.RESERVED, f"state {told.state}, must be reserved")


@CHECKS.add("CP3")
async def lets_cancel(play: StationPlay) -> None:
    """A vehicle cancels before arrival: Accept; CP8 all zero, CP12 released, the slot is free."""
    asked, _ = await play.booked(play.offer(play.stay()))
    offer = asked.offer
    booked = (await play.schedule_of(offer.id)).message.revision
    held = (await play.availability_of(offer.id)).message.revision
    answer = await play.answer_to(play.propose(VEHICLE, offer.id, energy_kwh=0.0))
    require(answer.message.decision is Decision.ACCEPT, f"{answer.message.decision}, must be Accept")
    zero = (await play.schedule_of(offer.id, booked + 1)).message
    require(not np.any(zero.schedule.values), "CP8 of a cancelled session must be all zero")
    freed = (await play.availability_of(offer.id, held + 1)).message
    require(freed.state is Availability.RELEASED, f"CP12 says {freed.state}, must be released")
    await play.booked(play.offer((offer.arrival, offer.departure), OTHER_VEHICLE))


@CHECKS.add("CP3")
async def answers_proposals_again(play: StationPlay) -> None:
    """The same proposal again gets the same answer and changes nothing."""
    asked, _ = await play.booked(play.offer(play.stay()))
    proposal = play.propose(VEHICLE, asked.offer.id, energy_kwh=0.0)
    first = await play.answer_to(proposal)
    await play.schedule_of(asked.offer.id, 2)
    await play.availability_of(asked.offer.id, 2)
    since = play.mark
    play.say(Kind.VEHICLE, proposal, play.id, VEHICLE)
    again = await play.hear(StationAnswer, since=since, otherwise="a repeat was not answered")
    require(again.document == first.document, "a repeat got another answer")
    await play.silence(UpdatedChargingSchedule, since=since, otherwise="a repeat caused another CP8")


@CHECKS.add("CP3")
async def remembers_what_it_never_saw(play: StationPlay) -> None:
    """A reservation never seen can be cancelled; its late CP2 is refused: released."""
    offer = play.offer(play.stay())
    answer = await play.answer_to(play.propose(VEHICLE, offer.id, energy_kwh=0.0))
    require(answer.message.decision is Decision.ACCEPT, f"{answer.message.decision}, must be Accept")
    await play.turned_down(play.reserve(offer), Refusal.RELEASED)


@CHECKS.add("CP3")
async def protects_reservations(play: StationPlay) -> None:
    """Nobody cancels another vehicle's reservation."""
    asked, _ = await play.booked(play.offer(play.stay()))
    since = play.mark
    answer = await play.answer_to(play.propose(OTHER_VEHICLE, asked.offer.id, energy_kwh=0.0))
    require(answer.message.decision is not Decision.ACCEPT, "Accept, must be unknown_reservation")
    await play.silence(
        UpdatedStationAvailability,
        lambda it: it.reservation == asked.offer.id and it.state is Availability.RELEASED,
        since=since,
        otherwise="the reservation was released",
    )


@CHECKS.add("CP3")
async def accepts_no_overlap(play: StationPlay) -> None:
    """A change that overlaps another reservation is never accepted."""
    arrival, departure = play.stay()
    asked, _ = await play.booked(play.offer((arrival, departure), energy_kwh=1.0))
    await play.booked(play.offer((departure, Time(departure + HOUR)), OTHER_VEHICLE, energy_kwh=0.5))
    proposal = play.propose(VEHICLE, asked.offer.id, departure=Time(departure + HOUR // 2))
    answer = await play.answer_to(proposal)
    require(answer.message.decision is not Decision.ACCEPT, "Accept, must be Reject or Counter")


@CHECKS.add("CP3")
async def answers_other_terms(play: StationPlay) -> None:
    """Other terms are answered; what is accepted is scheduled anew and told (CP8)."""
    asked, _ = await play.booked(play.offer(play.stay()))
    less = asked.offer.energy_kwh / 2
    heard = await play.answer_to(play.propose(VEHICLE, asked.offer.id, energy_kwh=less))
    answer = heard.message
    require(answer.reservation == asked.offer.id and answer.round == 1, "reservation or round is another's")
    if answer.decision is Decision.ACCEPT:
        require(answer.terms is not UNSET, "a station accepts with terms")
        told = (await play.schedule_of(asked.offer.id, 2)).message
        require(told.schedule == answer.terms.schedule, "CP8 differs from what was accepted")
        gained = float(told.schedule.values.sum())
        require(abs(gained - less) < 1e-4, f"the schedule gives {gained:g} kWh, must be {less:g}")


@CHECKS.add("CP3")
async def knows_no_other_reservation(play: StationPlay) -> None:
    """Other terms for a reservation that is not there are refused: unknown_reservation."""
    answer = (await play.answer_to(play.propose(VEHICLE, "conform-none-1", energy_kwh=1.0))).message
    require(
        answer.reason == Refusal.UNKNOWN_RESERVATION, f"reason {answer.reason}, must be unknown_reservation"
    )


def _bad_cp3(play: StationPlay) -> tuple[str, dict[str, Any]]:
    sample = {"msg_id": "x", "reservation": "conform-none-2", "round": 1, "terms": {"energy_kwh": 1.0}}
    return f"CS/{play.id}/EV/{VEHICLE}/EV_start/start_negotiation", sample


@CHECKS.add("CP3")
async def refuses_bad_cp3(play: StationPlay) -> None:
    """Every field that is missing, mistyped or out of range is refused and named."""
    topic, sample = _bad_cp3(play)
    await refuses_wrong_fields(play, topic, VehicleProposal, sample)


@CHECKS.add("CP3")
async def survives_bad_cp3(play: StationPlay) -> None:
    """What is no JSON object, has NaN, or is too deep or too large is not taken, and survived."""
    topic, sample = _bad_cp3(play)
    await survives_malformed(play, topic, VehicleProposal, sample)
    await play.answer_to(play.propose(VEHICLE, "conform-none-3", energy_kwh=1.0))


@CHECKS.add("CP4")
async def registers_where_forgotten(play: StationPlay) -> None:
    """Who is answered not_registered registers again, and tells the schedule again (CP8)."""
    since = play.mark
    forgotten = play.outcomes(UpdateScheduleOutcome, Kind.IMBALANCE, reason=Refusal.NOT_REGISTERED)
    is_first = True

    def once(request: UpdatedChargingSchedule, address: tuple[str, ...]) -> Replies | None:
        nonlocal is_first
        if not is_first:
            return None
        is_first = False
        return [
            *forgotten(request, address),
            *play.outcomes(UpdateScheduleOutcome, Kind.PRICING)(request, address),
        ]

    with play.answering(UpdatedChargingSchedule, once):
        asked, _ = await play.booked(play.offer(play.stay()))
        await play.hear(RegisterChargingStation, since=since, otherwise="no CP4 after not_registered")
        told = await play.hear_some(
            UpdatedChargingSchedule, 2, lambda it: it.reservation == asked.offer.id, since=since
        )
    require(len(told) >= 2, "CP8 was not told again after not_registered")


@CHECKS.add("CP12")
async def tells_a_forgetful_recommender(play: StationPlay) -> None:
    """The recommender that has forgotten the station is told again (CP4, CP12)."""
    since = play.mark
    forgotten = play.outcomes(UpdateAvailabilityOutcome, Kind.RECOMMENDER, reason=Refusal.NOT_REGISTERED)
    is_first = True

    def once(request: UpdatedStationAvailability, address: tuple[str, ...]) -> Replies | None:
        nonlocal is_first
        if not is_first:
            return None
        is_first = False
        return forgotten(request, address)

    with play.answering(UpdatedStationAvailability, once):
        asked, _ = await play.booked(play.offer(play.stay()))
        await play.hear(RegisterChargingStation, since=since, otherwise="no CP4 after not_registered")
        told = await play.hear_some(
            UpdatedStationAvailability, 2, lambda it: it.reservation == asked.offer.id, since=since
        )
    require(len(told) >= 2, "CP12 was not told again after not_registered")


@CHECKS.add("CP4")
async def tells_who_comes_back(play: StationPlay) -> None:
    """Who comes back (presence) is told everything again: CP4, then CP8 or CP12."""
    asked, _ = await play.booked(play.offer(play.stay()))
    await play.schedule_of(asked.offer.id)
    await play.availability_of(asked.offer.id)
    told: tuple[tuple[str, type[UpdatedChargingSchedule | UpdatedStationAvailability]], ...] = (
        (play.imbalance, UpdatedChargingSchedule),
        (play.recommender, UpdatedStationAvailability),
    )
    for id, kind in told:
        since = play.mark
        await play.come_back(id)
        await play.hear(RegisterChargingStation, since=since, otherwise=f"no CP4 when {id} came back")
        await play.hear(
            kind,
            lambda it: it.reservation == asked.offer.id,
            since=since,
            otherwise=f"no {kind.__name__} when {id} came back",
        )


@CHECKS.add("CP8", slow=True)
async def repeats_cp8(play: StationPlay) -> None:
    """An unanswered CP8 is sent again, the same, until it is answered."""
    offer = play.offer(play.stay())

    def silent(request: UpdatedChargingSchedule, _address: tuple[str, ...]) -> Replies | None:
        return () if request.reservation == offer.id else None

    with play.answering(UpdatedChargingSchedule, silent):
        await play.booked(offer)
        first = await play.schedule_of(offer.id)
        await play.sent_again(UpdatedChargingSchedule, first, growing=True)


@CHECKS.add("CP12", slow=True)
async def repeats_cp12(play: StationPlay) -> None:
    """An unanswered CP12 is sent again, the same, until it is answered."""
    offer = play.offer(play.stay())

    def silent(request: UpdatedStationAvailability, _address: tuple[str, ...]) -> Replies | None:
        return () if request.reservation == offer.id else None

    with play.answering(UpdatedStationAvailability, silent):
        await play.booked(offer)
        first = await play.availability_of(offer.id)
        await play.sent_again(UpdatedStationAvailability, first, growing=True)


@CHECKS.add("CP4", slow=True)
async def repeats_cp4(play: StationPlay) -> None:
    """An unanswered CP4 is sent again, the same, until it is answered."""
    since = play.mark
    with play.answering(RegisterChargingStation, lambda _request, _address: ()):
        await play.come_back(play.pricing)
        first = await play.hear(RegisterChargingStation, since=since)
        await play.sent_again(RegisterChargingStation, first, growing=True)
