"""The checks of a charging station: booking (CP2), with whom it asks (CP5, CP7)."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import numpy as np
from msgspec import UNSET

from voltagora.domain.units import Time, replaced
from voltagora.live.conform.bad_input import refuses_wrong_fields, survives_malformed
from voltagora.live.conform.check import Checks, require
from voltagora.live.conform.market import HOUR, OTHER_VEHICLE, STRANGER
from voltagora.live.conform.stage import GRACE_SECONDS, Replies
from voltagora.live.conform.station import (
    DAYS_PRICED,
    Asked,
    StationPlay,
    cost_of,
    imposter,
    other_station,
    sound_session,
)
from voltagora.protocols.codec import to_builtins
from voltagora.protocols.cp02_reservation import ReservationOutcome, ReserveChargingSlot
from voltagora.protocols.cp05_authentication import AuthenticateRecommendation
from voltagora.protocols.cp07_prices import ElectricityPrices, ElectricityPricesRequest
from voltagora.protocols.cp08_schedule import UpdatedChargingSchedule
from voltagora.protocols.message import Refusal
from voltagora.protocols.topic import Kind

CHECKS = Checks()


@CHECKS.add("CP2")
async def books_a_slot(play: StationPlay) -> None:
    """A slot that is vouched for and free is booked: right schedule, prices and cost."""
    asked, outcome = await play.booked(play.offer(play.stay()))
    require(outcome.reservation == asked.offer.id, "the reservation must have the recommendation's id")
    sound_session(asked, outcome)
    cost: Any = outcome.cost_eur
    require(abs(cost_of(outcome) - cost) <= 2e-5, f"cost_eur {cost}, must be {cost_of(outcome):.5f}")


@CHECKS.add("CP7")
async def books_at_broadcast_prices(play: StationPlay) -> None:
    """Bookings are made at the prices that MD has broadcast."""
    stay = play.stay()
    _, outcome = await play.booked(play.offer(stay))
    buy, _ = play.prices(play.calendar.day_at(stay[0]))
    expected = buy.between(stay[0], min(stay[1], buy.end))
    assert expected is not None
    told: Any = outcome.buy
    require(np.allclose(told.values[: len(expected)], expected, atol=1e-5), f"buy {told.values.tolist()}")


@CHECKS.add("CP7")
async def ignores_stale_prices(play: StationPlay) -> None:
    """Neither an older revision nor another grid area's prices change what is in force."""
    stay = play.stay()
    day = play.calendar.day_at(stay[0])
    play.broadcast_prices(day, 5, shift=1.0)
    play.broadcast_prices(day, 4, shift=2.0)
    play.broadcast_prices(day, 9, shift=3.0, area=STRANGER)
    await asyncio.sleep(GRACE_SECONDS)
    _, outcome = await play.booked(play.offer((stay[0], Time(stay[0] + HOUR))))
    expected = play.prices(day, 1.0)[0].between(stay[0], stay[0] + 1)
    assert expected is not None
    told: Any = outcome.buy
    got = float(told.values[0])
    require(abs(got - expected[0]) < 1e-5, f"buy {got:g}, must be {expected[0]:g} of revision 5")


@CHECKS.add("CP7")
async def asks_for_missing_prices(play: StationPlay) -> None:
    """Prices that are missing for a stay are asked for, and the stay is booked at them."""
    since = play.mark
    arrival = play.day(DAYS_PRICED + 1).start + 10 * HOUR
    asked = play.reserve(play.offer((Time(arrival), Time(arrival + HOUR))))
    heard = await play.hear(ElectricityPricesRequest, since=since)
    ahead = (play.calendar.day_at(arrival).date - play.day().date).days
    require(heard.message.grid_area == play.grid_area, "grid_area must be the station's own")
    require(heard.message.day_index == ahead, f"day_index {heard.message.day_index}, must be {ahead}")
    outcome = await play.outcome(asked)
    require(outcome.message.accepted, f"refused: {outcome.message.reason}")


@CHECKS.add("CP2")
async def books_nothing_without_prices(play: StationPlay) -> None:
    """Without prices there is no booking: no_prices."""

    def no_data(request: ElectricityPricesRequest, _address: tuple[str, ...]) -> Replies:
        reply = ElectricityPrices(
            in_reply_to=request.msg_id, responder=play.pricing, reason=str(Refusal.NO_DATA)
        )
        return [(Kind.PRICING, reply)]

    arrival = play.day(DAYS_PRICED + 2).start + 10 * HOUR
    with play.answering(ElectricityPricesRequest, no_data):
        asked = play.reserve(play.offer((Time(arrival), Time(arrival + HOUR))))
        await play.turned_down(asked, Refusal.NO_PRICES)


@CHECKS.add("CP5")
async def has_it_vouched_for(play: StationPlay) -> None:
    """The recommender is asked about the recommendation exactly as it was issued."""
    asked = play.reserve(play.offer(play.stay()))
    heard = await play.hear(AuthenticateRecommendation, since=asked.since)
    require(heard.message.recommendation == asked.offer, "the recommendation was changed on its way")
    await play.outcome(asked)


@CHECKS.add("CP5")
async def books_nothing_unvouched(play: StationPlay) -> None:
    """What the recommender does not vouch for is not booked: not_authentic or expired."""
    stay = play.stay()
    for said in (Refusal.UNKNOWN, Refusal.ALTERED, Refusal.USED, Refusal.EXPIRED):
        wanted = Refusal.EXPIRED if said is Refusal.EXPIRED else Refusal.NOT_AUTHENTIC
        asked = play.reserve(play.offer(stay), partial(play.vouched, reason=said))
        await play.turned_down(asked, wanted)


@CHECKS.add("CP5")
async def believes_the_recommender_alone(play: StationPlay) -> None:
    """Nobody but the recommender that was asked can vouch."""

    def both(request: AuthenticateRecommendation) -> Replies:
        return [(Kind.RECOMMENDER, imposter(request)), *play.vouched(request, Refusal.UNKNOWN)]

    asked = play.reserve(play.offer(play.stay()), both)
    await play.turned_down(asked, Refusal.NOT_AUTHENTIC)


@CHECKS.add("CP2")
async def answers_repeats(play: StationPlay) -> None:
    """The same request again gets the same answer, once each time, and books nothing more."""
    asked, _ = await play.booked(play.offer(play.stay()))
    first = await play.outcome(asked)
    await play.availability_of(asked.offer.id)
    await play.schedule_of(asked.offer.id)
    since = play.mark
    play.send(asked.request)
    again = await play.hear_some(ReservationOutcome, 1, since=since)
    require(bool(again), "a repeat was not answered")
    require(again[0].document == first.document, "a repeat got another answer")
    await play.silence(AuthenticateRecommendation, since=since, otherwise="a repeat was vouched for again")
    require(not play.all(UpdatedChargingSchedule, since=since), "a repeat caused another CP8")
    require(len(play.all(ReservationOutcome, since=since)) == 1, "a repeat was answered more than once")


@CHECKS.add("CP2")
async def answers_once(play: StationPlay) -> None:
    """Each request is answered once."""
    asked, _ = await play.booked(play.offer(play.stay()))
    await asyncio.sleep(GRACE_SECONDS)
    count = len(play.all(ReservationOutcome, lambda it: it.in_reply_to == asked.request.msg_id))
    require(count == 1, f"answered {count} times")


@CHECKS.add("CP2")
async def keeps_its_answer(play: StationPlay) -> None:
    """One recommendation, one booking, one answer for ever, whatever the msg_id."""
    asked, outcome = await play.booked(play.offer(play.stay()))
    again = play.reserve(asked.offer)
    heard = (await play.outcome(again)).message
    kept = replaced(heard, in_reply_to=outcome.in_reply_to)
    require(kept == outcome, "asked with another msg_id, the answer is another one")


@CHECKS.add("CP2")
async def books_nothing_twice(play: StationPlay) -> None:
    """A connector is never booked twice at a time: slot_taken."""
    arrival, departure = play.stay()
    await play.booked(play.offer((arrival, departure), energy_kwh=1.0))
    half = HOUR // 2
    for stay in (
        (arrival, departure),
        (arrival - half, arrival + half),
        (departure - half, departure + half),
        (arrival + half, departure - half),
        (arrival - half, departure + half),
    ):
        offer = play.offer((Time(stay[0]), Time(stay[1])), OTHER_VEHICLE, energy_kwh=0.5)
        await play.turned_down(play.reserve(offer), Refusal.SLOT_TAKEN)


@CHECKS.add("CP2")
async def books_what_only_touches(play: StationPlay) -> None:
    """Who comes when another leaves finds the connector free: stays are half-open."""
    arrival, departure = play.stay()
    await play.booked(play.offer((arrival, departure), energy_kwh=1.0))
    half = HOUR // 2
    after = play.offer((departure, Time(departure + half)), OTHER_VEHICLE, energy_kwh=0.1)
    before = play.offer((Time(arrival - half), arrival), OTHER_VEHICLE, energy_kwh=0.1)
    await play.booked(after)
    await play.booked(before)


@CHECKS.add("CP2")
async def books_nothing_infeasible(play: StationPlay) -> None:
    """A need that cannot be met is refused whole: infeasible, with possible_kwh."""
    stay = play.stay()
    most = play.connector.power_kw * (stay[1] - stay[0]) / 3600
    heard = await play.turned_down(play.reserve(play.offer(stay, energy_kwh=2 * most)), Refusal.INFEASIBLE)
    possible = heard.message.possible_kwh
    require(possible is not UNSET, "possible_kwh is missing")
    require(0 <= possible <= most + 1e-6, f"possible_kwh {possible}, must be at most {most:g}")


@CHECKS.add("CP2")
async def refuses_contradictions(play: StationPlay) -> None:
    """Preferences that contradict the recommendation are an invalid_request that names the field."""
    offer = play.offer(play.stay())
    wish = play.request(offer).preferences
    for field, value in (
        ("arrival", Time(wish.arrival + 60)),
        ("departure", Time(wish.departure - 60)),
        ("energy_kwh", wish.energy_kwh + 1),
        ("connector_type", "another"),
        ("desired_soc", 0.999),
    ):
        wrong = replaced(wish, **{field: value})
        request = replaced(play.request(offer), preferences=wrong)
        since = play.mark
        play.send(request)
        heard = await play.outcome(Asked(request, since))
        named = (heard.message.reason, heard.message.field)
        wanted = (Refusal.INVALID_REQUEST, f"preferences.{field}")
        require(named == wanted, f"reason and field {named}, must be {wanted[0]} and {wanted[1]}")


@CHECKS.add("CP2")
async def refuses_another_stations(play: StationPlay) -> None:
    """A recommendation for another station is refused: unknown_station."""
    asked = play.reserve(other_station(play.offer(play.stay())))
    await play.turned_down(asked, Refusal.UNKNOWN_STATION)


def _bad_cp2(play: StationPlay) -> tuple[str, dict[str, Any]]:
    return f"CS/{play.id}/ReserveChargingSlot", to_builtins(play.request(play.offer(play.stay())))


@CHECKS.add("CP2")
async def refuses_bad_cp2(play: StationPlay) -> None:
    """Every field that is missing, mistyped or out of range is refused and named."""
    topic, sample = _bad_cp2(play)
    await refuses_wrong_fields(play, topic, ReserveChargingSlot, sample)


@CHECKS.add("CP2")
async def survives_bad_cp2(play: StationPlay) -> None:
    """What is no JSON object, has NaN, or is too deep or too large is not taken, and survived."""
    topic, sample = _bad_cp2(play)
    await survives_malformed(play, topic, ReserveChargingSlot, sample)
    await play.booked(play.offer(play.stay()))


@CHECKS.add("CP5", slow=True)
async def gives_up_on_a_silent_recommender(play: StationPlay) -> None:
    """Without a reply CP5 is sent three times, 10 s apart, the same; then CP2 is refused."""
    asked = play.reserve(play.offer(play.stay()), lambda _: ())
    about = asked.offer.id
    first = await play.hear(AuthenticateRecommendation, lambda it: it.recommendation.id == about)
    await play.sent_again(AuthenticateRecommendation, first, times=3)
    wait = play.manners.patience_seconds + 1.5 * play.manners.reply_seconds
    heard = await play.outcome(asked, seconds=wait)
    require(not heard.message.accepted, "booked although nobody vouched")
    count = len(play.all(AuthenticateRecommendation, lambda it: it.recommendation.id == about))
    require(count == 3, f"CP5 was sent {count} times, must be 3")
