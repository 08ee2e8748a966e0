"""What producers and consumers are checked by (CP9 to CP11): EI and MD are played with them."""

from __future__ import annotations

import asyncio

from voltagora.domain.calendar import Day
from voltagora.live.conform.check import Checks, NotChecked, require
from voltagora.live.conform.market import Play
from voltagora.live.conform.stage import GRACE_SECONDS, Heard, Replies
from voltagora.protocols.cp04_station_registration import RegistrationOutcome
from voltagora.protocols.cp09_profile_registration import (
    ProfileRegistration,
    RegisterElectricityConsumer,
    RegisterElectricityProducer,
)
from voltagora.protocols.cp10_expected_energy import ExpectedEnergy, UpdateProfileOutcome
from voltagora.protocols.cp11_confidence import UpdateConfidence, UpdateConfidenceOutcome
from voltagora.protocols.message import Refusal
from voltagora.protocols.topic import Kind

CHECKS = Checks()

AREAS = (Kind.IMBALANCE, Kind.PRICING)


class ProfilePlay(Play):
    """The market around a producer or consumer, which begins by itself."""

    registration: Heard
    first_expectation: Heard | None = None

    async def prepare(self) -> None:
        """See `Play.prepare`: hear the registration and, where there is time for it, let it be repeated."""
        self.forgets = False
        self.is_silent = not self.manners.is_quick
        self.answer(ProfileRegistration, self._register)
        self.answer(ExpectedEnergy, self._expect)
        self.answer(UpdateConfidence, self.outcomes(UpdateConfidenceOutcome, *AREAS))
        self.registration = await self.hear(
            ProfileRegistration, seconds=self.manners.wait_seconds, otherwise="no CP9: is it running?"
        )
        self.grid_area = self.registration.message.grid_area
        self.appear()

    def _register(self, request: ProfileRegistration, address: tuple[str, ...]) -> Replies:
        self.grid_area = request.grid_area
        return () if self.is_silent else self.outcomes(RegistrationOutcome, *AREAS)(request, address)

    def _expect(self, request: ExpectedEnergy, address: tuple[str, ...]) -> Replies:
        if not self.forgets:
            return self.outcomes(UpdateProfileOutcome, *AREAS)(request, address)
        self.forgets = False
        return self.outcomes(UpdateProfileOutcome, Kind.PRICING, reason=Refusal.NOT_REGISTERED)(
            request, address
        )

    def day_of(self, message: ExpectedEnergy | UpdateConfidence) -> Day:
        """Give the day that a message is about."""
        return self.calendar.day(message.day)


@CHECKS.add("CP9")
async def registers(play: ProfilePlay) -> None:
    """It registers as what it is."""
    wanted = RegisterElectricityProducer if play.kind is Kind.PRODUCER else RegisterElectricityConsumer
    require(isinstance(play.registration.message, wanted), "registered as the other kind")


@CHECKS.add("CP9")
async def repeats_cp9(play: ProfilePlay) -> None:
    """An unanswered CP9 is sent again, the same, until it is answered."""
    if play.manners.is_quick:
        raise NotChecked("left out by --quick")
    try:
        await play.sent_again(type(play.registration.message), play.registration, growing=True)
    finally:
        play.is_silent = False
    about = play.registration.message.msg_id
    sends = len(play.all(ProfileRegistration, lambda it: it.msg_id == about))
    wait = 3 * play.manners.reply_seconds
    more = await play.hear_some(ProfileRegistration, sends + 1, lambda it: it.msg_id == about, seconds=wait)
    require(len(more) > sends, "it was not sent until it was answered")


@CHECKS.add("CP10")
async def expects_each_day(play: ProfilePlay) -> None:
    """It tells what it expects of today, slot by slot."""
    wait = play.manners.wait_seconds
    heard = await play.hear(ExpectedEnergy, seconds=wait)
    for told in play.all(ExpectedEnergy):
        _covers(play, told, "expected")
    require(heard.message.grid_area == play.grid_area, "grid_area is not the one it registered in")


@CHECKS.add("CP11")
async def says_how_sure_it_is(play: ProfilePlay) -> None:
    """It tells how sure it is of the days it expects something of."""
    await play.hear(UpdateConfidence, seconds=play.manners.wait_seconds)
    for told in play.all(UpdateConfidence):
        _covers(play, told, "mean")
        _covers(play, told, "std")


def _covers(play: ProfilePlay, heard: Heard, name: str) -> None:
    series, day = getattr(heard.message, name), play.day_of(heard.message)
    right = series.start == day.start and series.end == day.end
    require(
        right, f"{name} of {day.date} must begin and end with that day in {play.calendar.zone} (--time-zone)"
    )


@CHECKS.add("CP10")
async def grows_its_revision(play: ProfilePlay) -> None:
    """What it says of a day again is the same, or has a higher revision."""
    newest: dict[object, ExpectedEnergy] = {}
    for heard in play.all(ExpectedEnergy):
        message: ExpectedEnergy = heard.message
        known = newest.setdefault(message.day, message)
        same = known.revision == message.revision and known.expected == message.expected
        require(
            same or message.revision > known.revision,
            f"{message.day} was told anew with revision {message.revision}",
        )
        newest[message.day] = message


@CHECKS.add("CP9")
async def tells_who_comes_back(play: ProfilePlay) -> None:
    """Who comes back (presence) is told everything again: CP9, then CP10 and CP11."""
    since = play.mark
    await play.come_back(play.imbalance)
    again = f"when {play.imbalance} came back"
    await play.hear(ProfileRegistration, since=since, otherwise=f"no CP9 {again}")
    await play.hear(ExpectedEnergy, since=since, otherwise=f"no CP10 {again}")
    await play.hear(UpdateConfidence, since=since, otherwise=f"no CP11 {again}")


@CHECKS.add("CP10")
async def registers_where_forgotten(play: ProfilePlay) -> None:
    """Who is answered not_registered registers again, and tells what was refused again."""
    await asyncio.sleep(GRACE_SECONDS)
    play.forgets = True
    since = play.mark
    await play.come_back(play.pricing)
    first = await play.hear(ExpectedEnergy, since=since)
    day = first.message.day
    told = await play.hear_some(ExpectedEnergy, 2, lambda it: it.day == day, since=since)
    require(len(told) >= 2, "CP10 was not told again after not_registered")
    require(len(play.all(ProfileRegistration, since=since)) >= 2, "no CP9 after not_registered")
