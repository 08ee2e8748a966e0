"""What an electric vehicle is checked by (CP1, CP2, CP3): recommenders and stations are played with it.

A vehicle begins by itself, so its checks are one story: it asks, is offered, books, is negotiated with.
What waits for time-outs comes first, since a vehicle that has booked may ask for nothing more.
"""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from msgspec import UNSET

from voltagora.domain.series import PriceSeries, ScheduleSeries
from voltagora.domain.station import Recommendation
from voltagora.domain.units import Time, replaced
from voltagora.live.conform.bad_input import refuses_wrong_fields, survives_malformed
from voltagora.live.conform.check import Checks, Missing, NotChecked, require
from voltagora.live.conform.market import OTHER_STATION, PLACE, STATION, STRANGER, Play
from voltagora.live.conform.stage import GRACE_SECONDS, Heard, shown
from voltagora.protocols.codec import to_builtins
from voltagora.protocols.cp01_recommendation import (
    ChargingRecommendations,
    RequestChargingRecommendations,
)
from voltagora.protocols.cp02_reservation import ReservationOutcome, ReserveChargingSlot
from voltagora.protocols.cp03_negotiation import (
    Decision,
    StationAnswer,
    StationProposal,
    StationTerms,
    VehicleAnswer,
    VehicleProposal,
)
from voltagora.protocols.message import Refusal
from voltagora.protocols.topic import Kind

CHECKS = Checks()


class VehiclePlay(Play):
    """The market around a vehicle."""

    asked: Heard  # the CP1 under way
    offers: tuple[Recommendation, ...] = ()
    uncertain: ReserveChargingSlot | None = None
    held: ReserveChargingSlot | None = None

    async def prepare(self) -> None:
        """See `Play.prepare`: hear the first question."""
        self._issued = 0
        self.asked = await self.hear(
            RequestChargingRecommendations,
            seconds=self.manners.wait_seconds,
            otherwise=f"no CP1 within {self.manners.wait_seconds:g} s: is it running, has it a need?",
        )

    @property
    def named_recommenders(self) -> tuple[str, ...]:
        """Those whom the vehicle knows."""
        return self.setting.recommenders or (self.recommender,)

    def offer(self, station: str, **changes: Any) -> Recommendation:
        """Issue a recommendation for what was asked."""
        self._issued += 1
        wish = self.asked.message.preferences
        offer = Recommendation(
            id=f"{self.recommender}-{self.word()}"[:64],
            token=f"conform-token-{self.word()}",
            recommender=self.recommender,
            network=self.network if wish.network is UNSET else wish.network,
            vehicle=self.id,
            station=station,
            connector="c1",
            arrival=wish.arrival,
            departure=wish.departure,
            connector_type=wish.connector_type,
            power_kw=wish.power_kw,
            energy_kwh=wish.energy_kwh,
            v2g_capable=False,
            location=PLACE,
            distance_km=1.0,
            issued_at=Time(self.now()),
            expires_at=Time(min(self.now() + 600, wish.arrival)),
        )
        changed: Recommendation = replaced(offer, **changes)
        return changed

    def recommend(self) -> None:
        """CP1: offer two stations, after what is no offer to this vehicle."""
        offers = (
            self.offer("conform-cs-trap-1", vehicle=STRANGER),
            self.offer("conform-cs-trap-2", departure=Time(self.asked.message.preferences.departure + 60)),
            self.offer(STATION),
            self.offer(OTHER_STATION),
        )
        self.offers = offers[2:]
        for responder in self.named_recommenders:
            ours = offers if responder == self.recommender else ()
            reason = UNSET if ours else str(Refusal.NO_STATION)
            reply = ChargingRecommendations(
                in_reply_to=self.asked.message.msg_id,
                responder=responder,
                recommendations=ours,
                reason=reason,
            )
            self.say(Kind.RECOMMENDER, reply, self.id)

    async def next_request(self, since: int, *, otherwise: str = "no CP2") -> Heard:
        """Wait until the vehicle wants to book."""
        wait = self.manners.patience_seconds + self.manners.reply_seconds
        return await self.hear(ReserveChargingSlot, since=since, seconds=wait, otherwise=otherwise)

    def refuse(self, request: ReserveChargingSlot, reason: Refusal) -> None:
        """CP2: say no as the station that was asked."""
        reply = ReservationOutcome(
            in_reply_to=request.msg_id,
            responder=request.recommendation.station,
            accepted=False,
            reason=str(reason),
        )
        self.say(Kind.STATION, reply, self.id)

    def accept(self, request: ReserveChargingSlot, responder: str | None = None) -> None:
        """CP2: book as the station that was asked, or as somebody else."""
        terms = self.terms(request)
        reply = ReservationOutcome(
            in_reply_to=request.msg_id,
            responder=responder or request.recommendation.station,
            accepted=True,
            reservation=request.recommendation.id,
            schedule=terms.schedule,
            buy=terms.buy,
            sell=terms.sell,
            cost_eur=terms.cost_eur,
        )
        self.say(Kind.STATION, reply, self.id)

    def terms(self, request: ReserveChargingSlot, **asked: Any) -> StationTerms:
        """Make up the session of a booking: its energy spread evenly, at 0.25 EUR/kWh."""
        wish, step = request.preferences, self.calendar.step_seconds
        first = self.calendar.slot_start(wish.arrival)
        count = -((first - wish.departure) // step)
        minutes = self.calendar.step_minutes
        price = PriceSeries.of(first, minutes, np.full(count, 0.25))
        return StationTerms(
            schedule=ScheduleSeries.of(first, minutes, np.full(count, wish.energy_kwh / count)),
            buy=price,
            sell=price,
            cost_eur=round(wish.energy_kwh * 0.25, 5),
            **asked,
        )

    def propose(self, **changes: Any) -> StationProposal:
        """CP3: propose as the station that has the booking."""
        held = self.held
        if held is None:
            raise NotChecked("nothing was booked")
        terms = self.terms(held, compensation_eur=0.0)
        proposal = StationProposal(
            msg_id=self.word(), reservation=held.recommendation.id, round=1, terms=terms
        )
        changed: StationProposal = replaced(proposal, **changes)
        self.say(Kind.STATION, changed, held.recommendation.station, self.id)
        return changed

    async def answer_to(self, proposal: StationProposal) -> VehicleAnswer:
        """Wait for the vehicle's answer."""
        heard = await self.hear(VehicleAnswer, lambda it: it.in_reply_to == proposal.msg_id)
        answer: VehicleAnswer = heard.message
        return answer


@CHECKS.add("CP1")
async def asks_for_a_stay_to_come(play: VehiclePlay) -> None:
    """It asks for a stay that is to come."""
    wish = play.asked.message.preferences
    require(wish.arrival >= play.now(), f"arrival {wish.arrival} is past, it is {Time(play.now())}")


@CHECKS.add("CP1")
async def repeats_cp1(play: VehiclePlay) -> None:
    """Without a reply CP1 is sent again, the same, and no more than three times."""
    _only_unhurried(play)
    sends = await play.sent_again(RequestChargingRecommendations, play.asked)
    require(len(sends) <= 3, f"sent {len(sends)} times")


@CHECKS.add("CP2")
async def gives_up_on_a_silent_station(play: VehiclePlay) -> None:
    """Without an outcome CP2 is sent three times, 10 s apart, the same, and nothing else is booked."""
    _only_unhurried(play)
    since = play.mark
    play.recommend()
    first = await play.next_request(since)
    play.uncertain = first.message
    await play.sent_again(ReserveChargingSlot, first, times=3)
    await asyncio.sleep(1.2 * play.manners.reply_seconds)
    sends = play.all(ReserveChargingSlot, since=since)
    others = [it for it in sends if it.message.msg_id != first.message.msg_id]
    require(not others, "another slot was asked for while it is not known whether the first is booked")
    require(len(sends) == 3, f"sent {len(sends)} times, must be 3")


@CHECKS.add("CP3")
async def cancels_what_nobody_answered(play: VehiclePlay) -> None:
    """A reservation that nobody answered for is cancelled, and that is sent again until it is answered."""
    _only_unhurried(play)
    request = play.uncertain
    if request is None:
        raise NotChecked("nothing was left unanswered")
    offer = request.recommendation
    wait = play.manners.patience_seconds + play.manners.reply_seconds
    first = await play.hear(VehicleProposal, seconds=wait, otherwise="no CP3 that cancels")
    proposal: VehicleProposal = first.message
    right = proposal.reservation == offer.id and proposal.terms.energy_kwh == 0
    require(right and first.address == (offer.station, play.id), f"no cancellation of it: {shown(first)}")
    await play.sent_again(VehicleProposal, first)
    terms = play.terms(request, energy_kwh=0.0)
    none = ScheduleSeries.of(terms.schedule.start, terms.schedule.step_minutes, terms.schedule.values * 0)
    answer = StationAnswer(
        in_reply_to=proposal.msg_id,
        responder=offer.station,
        reservation=offer.id,
        round=proposal.round,
        decision=Decision.ACCEPT,
        terms=replaced(terms, schedule=none, cost_eur=0.0),
    )
    play.say(Kind.STATION, answer, offer.station, play.id)


@CHECKS.add("CP1")
async def asks_once_more(play: VehiclePlay) -> None:
    """After a booking that came to nothing it asks once more."""
    _only_unhurried(play)
    if play.uncertain is None:
        raise NotChecked("nothing came to nothing")
    before = play.asked.message.msg_id
    play.asked = await play.hear(
        RequestChargingRecommendations,
        lambda it: it.msg_id != before,
        seconds=play.manners.wait_seconds,
        otherwise="no further CP1 within --wait",
    )


@CHECKS.add("CP2")
async def books_what_it_was_offered(play: VehiclePlay) -> None:
    """It takes up a recommendation exactly as it was issued to it, for the stay it asked for."""
    since = play.mark
    play.recommend()
    request = (await play.next_request(since)).message
    play.held = request
    offered = {offer.id: offer for offer in play.offers}
    require(request.recommendation.id in offered, "it takes up what was not offered to it for this stay")
    require(request.recommendation == offered[request.recommendation.id], "the recommendation was changed")
    for name in ("arrival", "departure", "energy_kwh", "connector_type"):
        same = getattr(request.preferences, name) == getattr(request.recommendation, name)
        require(same, f"preferences.{name} is not the recommendation's")


@CHECKS.add("CP2")
async def believes_the_station_alone(play: VehiclePlay) -> None:
    """An outcome counts only from the station that was asked; after its no the next one is tried."""
    request = _request(play)
    since = play.mark
    play.accept(request, STRANGER)
    await asyncio.sleep(GRACE_SECONDS)
    play.refuse(request, Refusal.SLOT_TAKEN)
    following = await play.next_request(since, otherwise="no CP2 to the next station after slot_taken")
    play.held = following.message
    require(following.message.recommendation.id != request.recommendation.id, "the same slot again")
    require(following.message.msg_id != request.msg_id, "another request must have another msg_id")


@CHECKS.add("CP2")
async def repeats_cp2(play: VehiclePlay) -> None:
    """Without an outcome CP2 is sent again, the same; an answer to the second counts."""
    _only_unhurried(play)
    request = _request(play)
    first = await play.hear(ReserveChargingSlot, lambda it: it.msg_id == request.msg_id)
    await play.sent_again(ReserveChargingSlot, first)


@CHECKS.add("CP2")
async def books_once(play: VehiclePlay) -> None:
    """Once it has booked it books nothing more for the same time, however often it is told."""
    request = _request(play)
    since = play.mark
    play.accept(request)
    play.accept(request)
    await play.silence(ReserveChargingSlot, since=since, seconds=1.0)


@CHECKS.add("CP3")
async def answers_a_station(play: VehiclePlay) -> None:
    """A station's proposal is answered: its reservation, its round, Accept, Reject or Counter."""
    proposal = play.propose()
    answer = await play.answer_to(proposal)
    require(answer.reservation == proposal.reservation, "reservation is not the proposal's")
    require(answer.round == proposal.round, "round is not the proposal's")


@CHECKS.add("CP3")
async def answers_a_station_again(play: VehiclePlay) -> None:
    """The same proposal again gets the same answer, once."""
    proposal = play.propose()
    await play.answer_to(proposal)
    first = play.all(VehicleAnswer, lambda it: it.in_reply_to == proposal.msg_id)[0]
    since = play.mark
    play.say(Kind.STATION, proposal, _request(play).recommendation.station, play.id)
    again = await play.hear(VehicleAnswer, since=since, otherwise="a repeat was not answered")
    require(again.document == first.document, "a repeat got another answer")
    await asyncio.sleep(GRACE_SECONDS)
    require(len(play.all(VehicleAnswer, since=since)) == 1, "a repeat was answered more than once")


@CHECKS.add("CP3")
async def knows_its_reservations(play: VehiclePlay) -> None:
    """Terms for a reservation that it does not have are refused: unknown_reservation."""
    answer = await play.answer_to(play.propose(reservation="conform-none-1"))
    reason = answer.reason
    require(reason == Refusal.UNKNOWN_RESERVATION, f"reason {reason}, must be unknown_reservation")


@CHECKS.add("CP3")
async def lets_no_other_station_change_it(play: VehiclePlay) -> None:
    """Another station cannot change a reservation."""
    held = _request(play)
    proposal = StationProposal(
        msg_id=play.word(),
        reservation=held.recommendation.id,
        round=1,
        terms=play.terms(held, compensation_eur=9.0),
    )
    play.say(Kind.STATION, proposal, STRANGER, play.id)
    heard = await play.hear_some(VehicleAnswer, 1, lambda it: it.in_reply_to == proposal.msg_id)
    if not heard:
        raise Missing("no answer, must be unknown_reservation")
    require(heard[0].message.decision is not Decision.ACCEPT, "Accept, must be unknown_reservation")


def _bad_cp3(play: VehiclePlay) -> tuple[str, dict[str, Any]]:
    held = _request(play)
    proposal = StationProposal(
        msg_id="x", reservation="conform-none-2", round=1, terms=play.terms(held, compensation_eur=0.0)
    )
    topic = f"CS/{held.recommendation.station}/EV/{play.id}/CS_start/start_negotiation"
    return topic, to_builtins(proposal)


@CHECKS.add("CP3")
async def refuses_bad_cp3(play: VehiclePlay) -> None:
    """Every field that is missing, mistyped or out of range is refused and named."""
    topic, sample = _bad_cp3(play)
    await refuses_wrong_fields(play, topic, StationProposal, sample)


@CHECKS.add("CP3")
async def survives_bad_cp3(play: VehiclePlay) -> None:
    """What is no JSON object, has NaN, or is too deep or too large is not taken, and survived."""
    topic, sample = _bad_cp3(play)
    await survives_malformed(play, topic, StationProposal, sample)
    await play.answer_to(play.propose(reservation="conform-none-3"))


def _only_unhurried(play: VehiclePlay) -> None:
    if play.manners.is_quick:
        raise NotChecked("left out by --quick")


def _request(play: VehiclePlay) -> ReserveChargingSlot:
    if play.held is None:
        raise NotChecked("it asked for no slot")
    return play.held
