"""What EI and MD are checked by (CP4, CP6 to CP11): all who report to them are played."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final

import numpy as np
from msgspec import UNSET

from voltagora.domain.series import EnergySeries, PriceSeries, ScheduleSeries
from voltagora.domain.station import Connector
from voltagora.domain.units import replaced
from voltagora.live.conform.bad_input import refuses_wrong_fields, survives_malformed
from voltagora.live.conform.check import Checks, Missing, require
from voltagora.live.conform.market import HOUR, PLACE, STATION, STRANGER, Play
from voltagora.live.conform.stage import Heard
from voltagora.protocols.codec import to_builtins
from voltagora.protocols.cp04_station_registration import RegisterChargingStation
from voltagora.protocols.cp06_imbalance import (
    ElectricityImbalance,
    ElectricityImbalanceRequest,
    ImbalanceBroadcast,
)
from voltagora.protocols.cp07_prices import ElectricityPrices, ElectricityPricesRequest, PricesBroadcast
from voltagora.protocols.cp08_schedule import UpdatedChargingSchedule
from voltagora.protocols.cp09_profile_registration import RegisterElectricityProducer
from voltagora.protocols.cp10_expected_energy import UpdateExpectedProduction
from voltagora.protocols.cp11_confidence import UpdateConfidence
from voltagora.protocols.message import Outcome, Refusal, Request
from voltagora.protocols.topic import Kind, topic_name

BOTH = Checks()  # what EI and MD answer alike
IMBALANCE = Checks()
PRICING = Checks()

PRODUCER: Final = "conform-ep-1"
UNKNOWN_STATION: Final = "conform-cs-unknown"
UNKNOWN_PRODUCER: Final = "conform-ep-unknown"


class AreaPlay(Play):
    """The market around an EI or MD; its calendar is learnt from what it answers."""

    async def prepare(self) -> None:
        """See `Play.prepare`: register a station and a producer."""
        for request, asker in ((self.registration(), STATION), (self.profile(), PRODUCER)):
            await self.until_answered(request, partial(self.send, request, asker))
        self._revision = self.now() * 1000  # More than whatever an earlier test left behind.

    @property
    def revision(self) -> int:
        """A revision higher than all before."""
        self._revision += 2
        return self._revision

    def registration(self, **changes: Any) -> RegisterChargingStation:
        """CP4 of a station of ours."""
        plug = Connector(id="c1", connector_type="conform", power_kw=1000.0, level=3, v2g_capable=True)
        request = RegisterChargingStation(
            msg_id=self.word(),
            network=self.network,
            grid_area=self.grid_area,
            location=PLACE,
            connectors=(plug,),
            grid_limit_kw=1000.0,
        )
        changed: RegisterChargingStation = replaced(request, **changes)
        return changed

    def profile(self, **changes: Any) -> RegisterElectricityProducer:
        """CP9 of a producer of ours."""
        request = RegisterElectricityProducer(
            msg_id=self.word(),
            grid_area=self.grid_area,
            kind="conform",
            rated_power_kw=1e6,
            location=PLACE,
        )
        changed: RegisterElectricityProducer = replaced(request, **changes)
        return changed

    def session(self, reservation: str, energy_kwh: float = 100.0, **changes: Any) -> UpdatedChargingSchedule:
        """CP8 of one slot of tomorrow noon."""
        start, step = self.day(1).start + 12 * HOUR, self.calendar.step_minutes
        one = np.ones(1)
        request = UpdatedChargingSchedule(
            msg_id=self.word(),
            grid_area=self.grid_area,
            reservation=reservation,
            revision=1,
            schedule=ScheduleSeries.of(start, step, one * energy_kwh),
            buy=PriceSeries.of(start, step, one * 0.25),
            sell=PriceSeries.of(start, step, one * 0.1),
            cost_eur=round(energy_kwh * 0.25, 5),
        )
        changed: UpdatedChargingSchedule = replaced(request, **changes)
        return changed

    def expectation(self, kwh: float, revision: int, **changes: Any) -> UpdateExpectedProduction:
        """CP10 of tomorrow, the same energy in each slot."""
        day = self.day(1)
        series = EnergySeries.of(day.start, self.calendar.step_minutes, np.full(day.slots, kwh))
        request = UpdateExpectedProduction(
            msg_id=self.word(), grid_area=self.grid_area, day=day.date, revision=revision, expected=series
        )
        changed: UpdateExpectedProduction = replaced(request, **changes)
        return changed

    def confidence(self, **changes: Any) -> UpdateConfidence:
        """CP11 of tomorrow."""
        day = self.day(1)
        values = np.full(day.slots, 1.0)
        step = self.calendar.step_minutes
        request = UpdateConfidence(
            msg_id=self.word(),
            grid_area=self.grid_area,
            day=day.date,
            mean=ScheduleSeries.of(day.start, step, values),
            std=EnergySeries.of(day.start, step, values),
        )
        changed: UpdateConfidence = replaced(request, **changes)
        return changed

    def send(self, request: Request, asker: str) -> None:
        """Ask without waiting: producers as EP, all others as stations."""
        self.say(_speaker(request, asker), request, asker)

    async def heard_for(self, request: Request, asker: str) -> Heard:
        """Ask, and wait for the publication of the reply."""
        since, about = self.mark, request.msg_id
        self.send(request, asker)
        return await self.hear(type(request).reply, lambda it: it.in_reply_to == about, since=since)

    async def ask(self, request: Request, asker: str) -> Any:
        """Ask, and wait for the reply."""
        return (await self.heard_for(request, asker)).message

    async def accepted(self, request: Request, asker: str) -> None:
        """Ask what must be accepted."""
        reply = await self.ask(request, asker)
        require(reply.accepted, f"{type(request).__name__} refused: {reply.reason} {reply.field}")

    async def refused_for(self, reason: Refusal, request: Request, asker: str) -> None:
        """Ask what must be refused."""
        reply = await self.ask(request, asker)
        require(not reply.accepted, f"{type(request).__name__} accepted, must be {reason}")
        require(reply.reason == reason, f"reason {reply.reason}, must be {reason}")

    async def tomorrow(self) -> ElectricityImbalance:
        """CP6: ask EI for tomorrow."""
        reply: ElectricityImbalance = await self.ask(self.question(), STATION)
        return reply

    def question(self) -> ElectricityImbalanceRequest:
        """CP6 about tomorrow."""
        return ElectricityImbalanceRequest(msg_id=self.word(), grid_area=self.grid_area, day_index=1)


def _speaker(request: Request, asker: str) -> Kind:
    is_producer = asker.startswith("conform-ep") and Kind.PRODUCER in type(request).publishers
    return Kind.PRODUCER if is_producer else Kind.STATION


@BOTH.add("CP4")
async def takes_stations(play: AreaPlay) -> None:
    """A station of its grid area is registered; the same again changes nothing."""
    for _ in range(2):
        await play.accepted(play.registration(), STATION)


@BOTH.add("CP9")
async def takes_producers(play: AreaPlay) -> None:
    """A producer of its grid area is registered; the same again changes nothing."""
    for _ in range(2):
        await play.accepted(play.profile(), PRODUCER)


@BOTH.add("CP8")
async def keeps_the_newest_schedule(play: AreaPlay) -> None:
    """A newer schedule replaces the earlier, the same revision changes nothing, an older one is stale."""
    name = play.word()
    for revision in (2, 2, 3):
        await play.accepted(play.session(name, revision=revision), STATION)
    await play.refused_for(Refusal.STALE, play.session(name, revision=2), STATION)
    await play.accepted(play.session(name, 0.0, revision=4), STATION)


@BOTH.add("CP8")
async def knows_whose_session_it_is(play: AreaPlay) -> None:
    """Who is not registered is told so; nobody changes another station's session."""
    name, other = play.word(), "conform-cs-2"
    await play.refused_for(Refusal.NOT_REGISTERED, play.session(name), UNKNOWN_STATION)
    await play.accepted(play.registration(), other)
    await play.accepted(play.session(name), STATION)
    await play.refused_for(Refusal.UNKNOWN_RESERVATION, play.session(name, revision=9), other)
    await play.accepted(play.session(name, 0.0, revision=2), STATION)


@BOTH.add("CP8")
async def answers_repeats(play: AreaPlay) -> None:
    """The same request again gets the same answer, even when it is stale by then."""
    name = play.word()
    request = play.session(name)
    first = await play.heard_for(request, STATION)
    await play.accepted(play.session(name, 0.0, revision=2), STATION)
    again = await play.heard_for(request, STATION)
    require(again.document == first.document, "a repeat got another answer")


@BOTH.add("CP10")
async def keeps_the_newest_expectation(play: AreaPlay) -> None:
    """A newer forecast replaces the earlier, an older one is stale; who is not registered is told so."""
    revision = play.revision
    await play.accepted(play.expectation(5.0, revision), PRODUCER)
    await play.accepted(play.expectation(5.0, revision), PRODUCER)
    await play.refused_for(Refusal.STALE, play.expectation(6.0, revision - 1), PRODUCER)
    await play.refused_for(Refusal.NOT_REGISTERED, play.expectation(5.0, revision), UNKNOWN_PRODUCER)


@BOTH.add("CP11")
async def takes_confidence(play: AreaPlay) -> None:
    """It takes how sure a producer and a station are; who is not registered is told so."""
    await play.accepted(play.confidence(), PRODUCER)
    await play.accepted(play.confidence(), STATION)
    await play.refused_for(Refusal.NOT_REGISTERED, play.confidence(), UNKNOWN_PRODUCER)


@BOTH.add("CP8")
async def leaves_other_areas_alone(play: AreaPlay) -> None:
    """It keeps silent where another grid area is named."""
    requests: tuple[tuple[Request, str], ...] = (
        (play.registration(grid_area=STRANGER), "conform-cs-3"),
        (play.profile(grid_area=STRANGER), "conform-ep-3"),
        (play.session(play.word(), grid_area=STRANGER), STATION),
        (play.expectation(1.0, play.revision, grid_area=STRANGER), PRODUCER),
        (play.confidence(grid_area=STRANGER), PRODUCER),
    )
    since = play.mark
    for request, asker in requests:
        play.send(request, asker)
    asked = {request.msg_id for request, _ in requests}
    await play.silence(Outcome, lambda it: it.in_reply_to in asked, since=since)


def _samples(play: AreaPlay) -> dict[str, tuple[Request, str]]:
    return {
        "CP4": (play.registration(), "conform-cs-5"),
        "CP8": (play.session(play.word()), STATION),
        "CP9": (play.profile(), "conform-ep-5"),
        "CP10": (play.expectation(1.0, play.revision), PRODUCER),
        "CP11": (play.confidence(), PRODUCER),
        "CP6": (play.question(), STATION),
        "CP7": (_prices_of(play), STATION),
    }


def _prices_of(play: AreaPlay) -> ElectricityPricesRequest:
    return ElectricityPricesRequest(msg_id=play.word(), grid_area=play.grid_area, day_index=1)


def _bad_input(checks: Checks, protocol: str) -> None:
    def bad(play: AreaPlay) -> tuple[str, type[Request], dict[str, Any]]:
        request, asker = _samples(play)[protocol]
        topic = topic_name(type(request).topic_of(_speaker(request, asker)), (asker,))
        return topic, type(request), to_builtins(request)

    async def refuses_wrong(play: AreaPlay) -> None:
        """Every field that is missing, mistyped or out of range is refused and named."""
        await refuses_wrong_fields(play, *bad(play))

    async def survives_bad(play: AreaPlay) -> None:
        """What is no JSON object, has NaN, or is too deep or too large is not taken, and survived."""
        await survives_malformed(play, *bad(play))
        await play.accepted(play.registration(), STATION)

    for act in (refuses_wrong, survives_bad):
        act.__name__ += f"_{protocol.lower()}"
        checks.add(protocol)(act)


for _protocol in ("CP4", "CP8", "CP9", "CP10", "CP11"):
    _bad_input(BOTH, _protocol)


@IMBALANCE.add("CP6")
async def adds_up(play: AreaPlay) -> None:
    """What is expected and scheduled shows in supply and demand, once each, and goes when cancelled."""
    name = play.word()
    await play.accepted(play.expectation(10.0, play.revision), PRODUCER)
    before = await play.tomorrow()
    session = play.session(name, 100.0)
    await play.accepted(session, STATION)
    play.send(session, STATION)
    after = await play.tomorrow()
    demand, supply = _changes(before, after)
    told = f"100 kWh scheduled, demand grew by {demand:g} kWh, supply by {supply:g}"
    require(abs(demand - 100.0) < 1e-4 and abs(supply) < 1e-4, told)
    revisions: tuple[Any, Any] = (before.revision, after.revision)
    require(revisions[1] > revisions[0], "the revision did not grow with a change")
    await play.accepted(play.session(name, 0.0, revision=2), STATION)
    demand, _ = _changes(before, await play.tomorrow())
    require(abs(demand) < 1e-4, f"after the cancellation demand is still {demand:g} kWh more")


@IMBALANCE.add("CP6")
async def counts_expectations(play: AreaPlay) -> None:
    """A newer forecast replaces the earlier in the day's supply."""
    await play.accepted(play.expectation(10.0, play.revision), PRODUCER)
    before = await play.tomorrow()
    await play.accepted(play.expectation(12.0, play.revision), PRODUCER)
    _, supply = _changes(before, await play.tomorrow())
    require(abs(supply - 2.0 * play.day(1).slots) < 1e-3, f"supply grew by {supply:g} kWh, must be 2 a slot")


def _changes(before: ElectricityImbalance, after: ElectricityImbalance) -> tuple[float, float]:
    return _sum(after.demand) - _sum(before.demand), _sum(after.supply) - _sum(before.supply)


def _sum(series: Any) -> float:
    if series is UNSET:
        raise Missing("no series of tomorrow, although something is expected of it")
    return float(series.values.sum())


@IMBALANCE.add("CP6")
async def has_no_data_of_long_ago(play: AreaPlay) -> None:
    """Of a day it knows nothing of it says no_data; towards other areas it keeps silent."""
    request = replaced(play.question(), day_index=-7)
    reply = await play.ask(request, STATION)
    require(reply.reason == Refusal.NO_DATA or reply.demand is not UNSET, f"reason {reply.reason}")
    other = replaced(play.question(), grid_area=STRANGER)
    play.send(other, STATION)
    await play.silence(ElectricityImbalance, lambda it: it.in_reply_to == other.msg_id)


@IMBALANCE.add("CP6")
async def broadcasts_changes(play: AreaPlay) -> None:
    """A large change of a day is broadcast."""
    since = play.mark
    await play.accepted(play.expectation(4000.0, play.revision), PRODUCER)
    await play.hear(
        ImbalanceBroadcast,
        lambda it: it.grid_area == play.grid_area and it.day == play.day(1).date,
        since=since,
    )
    await play.accepted(play.expectation(10.0, play.revision), PRODUCER)


@PRICING.add("CP7")
async def prices_the_imbalance(play: AreaPlay) -> None:
    """A day whose imbalance is broadcast has prices for each of its slots, asked for or broadcast."""
    day = play.day(1)
    values = np.full(day.slots, 50.0)
    step = play.calendar.step_minutes
    news = ImbalanceBroadcast(
        msg_id=play.word(),
        grid_area=play.grid_area,
        day=day.date,
        revision=play.revision,
        supply=EnergySeries.of(day.start, step, values * 2),
        demand=EnergySeries.of(day.start, step, values),
    )
    play.say(Kind.IMBALANCE, news)
    reply = await _priced(play)
    for name in ("buy", "sell"):
        series: Any = getattr(reply, name)
        right = series.start == day.start and series.end == day.end
        require(right, f"{name} must begin and end with {day.date} in {play.calendar.zone} (--time-zone)")


async def _priced(play: AreaPlay) -> ElectricityPrices:
    reply: ElectricityPrices | None = None
    for _ in range(10):
        reply = await play.ask(_prices_of(play), STATION)
        if reply.buy is not UNSET:
            return reply
        await asyncio.sleep(play.manners.patience_seconds / 10)
    raise Missing(f"no prices of tomorrow: {reply.reason if reply else ''}")


@PRICING.add("CP7")
async def broadcasts_new_prices(play: AreaPlay) -> None:
    """All it broadcasts of its area has a revision that grows; towards other areas it keeps silent."""
    newest: dict[object, int] = {}
    for heard in play.all(PricesBroadcast, lambda it: it.grid_area == play.grid_area):
        news: PricesBroadcast = heard.message
        require(
            news.revision >= newest.get(news.day, 0),
            f"revision {news.revision} of {news.day} after a higher one",
        )
        newest[news.day] = news.revision
    other = replaced(_prices_of(play), grid_area=STRANGER)
    play.send(other, STATION)
    await play.silence(ElectricityPrices, lambda it: it.in_reply_to == other.msg_id)


_bad_input(IMBALANCE, "CP6")
_bad_input(PRICING, "CP7")
