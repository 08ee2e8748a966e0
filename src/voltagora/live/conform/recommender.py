"""What a station recommender is checked by (CP1, CP4, CP5, CP12): vehicles and stations are played."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from voltagora.domain.location import distance_km
from voltagora.domain.station import Connector, Recommendation
from voltagora.domain.units import Time, replaced, round_half_even
from voltagora.live.conform.bad_input import refuses_wrong_fields, survives_malformed
from voltagora.live.conform.check import Checks, require
from voltagora.live.conform.market import (
    OTHER_STATION,
    OTHER_VEHICLE,
    PLACE,
    STATION,
    STRANGER,
    VEHICLE,
    Play,
    a_wish,
)
from voltagora.live.conform.stage import Heard
from voltagora.protocols.codec import to_builtins
from voltagora.protocols.cp01_recommendation import (
    ChargingRecommendations,
    RequestChargingRecommendations,
)
from voltagora.protocols.cp04_station_registration import RegisterChargingStation, RegistrationOutcome
from voltagora.protocols.cp05_authentication import AuthenticateRecommendation, AuthenticationOutcome
from voltagora.protocols.cp12_availability import (
    Availability,
    UpdatedStationAvailability,
)
from voltagora.protocols.message import Refusal, Request
from voltagora.protocols.topic import Kind

CHECKS = Checks()

PLUG: Final = "conform plug"
"""A type of connector that no other station has."""
UNKNOWN_STATION: Final = "conform-cs-unknown"


class RecommenderPlay(Play):
    """The market around a recommender."""

    async def prepare(self) -> None:
        """See `Play.prepare`: register two stations."""
        for station in (STATION, OTHER_STATION):
            request = self.registration()
            await self.until_answered(request, partial(self.send, request, station))

    def registration(self, **changes: Any) -> RegisterChargingStation:
        """CP4 of a station of ours with one connector."""
        plug = Connector(id="c1", connector_type=PLUG, power_kw=11.0, level=2, v2g_capable=False)
        request = RegisterChargingStation(
            msg_id=self.word(),
            network=self.network,
            grid_area=self.grid_area,
            location=PLACE,
            connectors=(plug,),
            grid_limit_kw=11.0,
        )
        changed: RegisterChargingStation = replaced(request, **changes)
        return changed

    async def ask(self, request: Request, asker: str) -> Any:
        """Ask as one of those whom we play, and wait for the reply."""
        return (await self.heard_for(request, asker)).message

    async def heard_for(self, request: Request, asker: str) -> Heard:
        """Ask, and wait for the publication of the reply."""
        since = self.mark
        self.send(request, asker)
        about = request.msg_id
        return await self.hear(type(request).reply, lambda it: it.in_reply_to == about, since=since)

    def send(self, request: Request, asker: str) -> None:
        """Ask without waiting."""
        speaker = Kind.VEHICLE if isinstance(request, RequestChargingRecommendations) else Kind.STATION
        self.say(speaker, request, asker)

    def question(self, stay: tuple[Time, Time], **changes: Any) -> RequestChargingRecommendations:
        """CP1 of a vehicle of ours."""
        wish = replaced(a_wish(stay, 5.0, PLUG, 11.0, self.network), **changes)
        return RequestChargingRecommendations(msg_id=self.word(), preferences=wish, location=PLACE)

    async def offers(self, stay: tuple[Time, Time], vehicle: str = VEHICLE) -> tuple[Recommendation, ...]:
        """Have stations recommended."""
        reply = await self.ask(self.question(stay), vehicle)
        offers: tuple[Recommendation, ...] = reply.recommendations
        require(bool(offers), f"nothing is recommended: {reply.reason}")
        return offers

    def hold(self, stay: tuple[Time, Time], reservation: str, **changes: Any) -> UpdatedStationAvailability:
        """CP12 of a reservation on a connector of ours."""
        request = UpdatedStationAvailability(
            msg_id=self.word(),
            reservation=reservation,
            revision=1,
            connector="c1",
            arrival=stay[0],
            departure=stay[1],
            state=Availability.RESERVED,
        )
        changed: UpdatedStationAvailability = replaced(request, **changes)
        return changed

    def vouch(self, offer: Recommendation) -> AuthenticateRecommendation:
        """CP5 of a station of ours."""
        return AuthenticateRecommendation(msg_id=self.word(), recommendation=offer)


def _refused(reply: Any, *reasons: Refusal) -> None:
    listed = " or ".join(reasons)
    require(not reply.accepted, f"accepted, must be refused: {listed}")
    require(reply.reason in reasons, f"reason {reply.reason}, must be {listed}")


@CHECKS.add("CP4")
async def takes_registrations(play: RecommenderPlay) -> None:
    """A station of its network is registered; the same again changes nothing."""
    for _ in range(2):
        reply = await play.ask(play.registration(), STATION)
        require(reply.accepted, f"refused: {reply.reason}")


@CHECKS.add("CP4")
async def leaves_other_networks_alone(play: RecommenderPlay) -> None:
    """It keeps silent towards stations of other networks."""
    request = play.registration(network=STRANGER)
    play.send(request, "conform-cs-3")
    await play.silence(RegistrationOutcome, lambda it: it.in_reply_to == request.msg_id)


@CHECKS.add("CP1")
async def recommends(play: RecommenderPlay) -> None:
    """It recommends distinct stations that fit, at most three, each to the vehicle that asked."""
    stay = play.stay()
    offers = await play.offers(stay)
    require(len(offers) <= 3, f"{len(offers)} recommendations, must be at most 3")
    require(len({offer.station for offer in offers}) == len(offers), "a station stands twice")
    for offer in offers:
        ours = (offer.vehicle, offer.arrival, offer.departure, offer.connector_type, offer.energy_kwh)
        require(ours == (VEHICLE, *stay, PLUG, 5.0), "a recommendation is not what was asked for")
        require(offer.recommender == play.id and offer.id.startswith(f"{play.id}-"), f"its id is {offer.id}")
        require(offer.station in (STATION, OTHER_STATION), f"{offer.station} has no {PLUG}")
        require(
            offer.issued_at <= offer.expires_at <= min(offer.arrival, offer.issued_at + 600), "expires_at"
        )
        far = round_half_even(distance_km(PLACE, offer.location), 3)
        require(abs(offer.distance_km - far) <= 0.001, f"distance_km {offer.distance_km}, must be {far}")
    require(len({offer.token for offer in offers}) == len(offers), "tokens can be guessed from each other")


@CHECKS.add("CP1")
async def answers_repeats(play: RecommenderPlay) -> None:
    """The same question again gets the same answer; another gets other ids."""
    stay = play.stay()
    question = play.question(stay)
    first = await play.heard_for(question, VEHICLE)
    again = await play.heard_for(question, VEHICLE)
    require(first.document == again.document, "a repeat got another answer")
    others = {offer.id for offer in await play.offers(stay)}
    require(not others & {offer.id for offer in first.message.recommendations}, "an id was used twice")


@CHECKS.add("CP1")
async def says_why_nothing(play: RecommenderPlay) -> None:
    """Where no station has what is asked for it says no_station."""
    for changes in ({"connector_type": "conform none"}, {"power_kw": 1e6}):
        reply = await play.ask(play.question(play.stay(), **changes), VEHICLE)
        got = (len(reply.recommendations), reply.reason)
        require(got == (0, Refusal.NO_STATION), f"{got[0]} recommendations, {got[1]}, must be no_station")


@CHECKS.add("CP1")
async def leaves_other_networks_vehicles_alone(play: RecommenderPlay) -> None:
    """It keeps silent towards who asks for another network."""
    question = play.question(play.stay(), network=STRANGER)
    play.send(question, VEHICLE)
    await play.silence(ChargingRecommendations, lambda it: it.in_reply_to == question.msg_id)


@CHECKS.add("CP5")
async def vouches_once(play: RecommenderPlay) -> None:
    """It vouches for what it issued, once: a repeat gets the same answer, another question used."""
    offer = (await play.offers(play.stay()))[0]
    question = play.vouch(offer)
    first = await play.heard_for(question, offer.station)
    require(first.message.accepted, f"refused: {first.message.reason}")
    again = await play.heard_for(question, offer.station)
    require(again.document == first.document, "a repeat got another answer")
    _refused(await play.ask(play.vouch(offer), offer.station), Refusal.USED)


@CHECKS.add("CP5")
async def vouches_for_nothing_else(play: RecommenderPlay) -> None:
    """What it did not issue is unknown; what differs from what it issued is altered."""
    offer = (await play.offers(play.stay()))[0]
    made_up = replaced(offer, id=f"{play.id}-999999999")
    _refused(await play.ask(play.vouch(made_up), offer.station), Refusal.UNKNOWN)
    changes: dict[str, Any] = {
        "token": "x" * len(offer.token),
        "vehicle": OTHER_VEHICLE,
        "connector": "c2",
        "departure": Time(offer.departure + 60),
        "energy_kwh": offer.energy_kwh + 1,
        "power_kw": offer.power_kw + 1,
    }
    for name, value in changes.items():
        altered = replaced(offer, **{name: value})
        _refused(await play.ask(play.vouch(altered), offer.station), Refusal.ALTERED)
    _refused(await play.ask(play.vouch(offer), "conform-cs-3"), Refusal.ALTERED)


@CHECKS.add("CP5")
async def leaves_others_recommendations_alone(play: RecommenderPlay) -> None:
    """It keeps silent where another recommender is named."""
    offer = (await play.offers(play.stay()))[0]
    question = play.vouch(replaced(offer, recommender=STRANGER))
    play.send(question, offer.station)
    await play.silence(AuthenticationOutcome, lambda it: it.in_reply_to == question.msg_id)


async def _take(play: RecommenderPlay, request: UpdatedStationAvailability, station: str) -> None:
    reply = await play.ask(request, station)
    require(reply.accepted, f"CP12 refused: {reply.reason}")


@CHECKS.add("CP12")
async def offers_what_is_free(play: RecommenderPlay) -> None:
    """What is reserved is not recommended, what only touches is; what is released is free again."""
    stay = play.stay()
    names = {station: play.word() for station in (STATION, OTHER_STATION)}
    for station, name in names.items():
        await _take(play, play.hold(stay, name), station)
    reply = await play.ask(play.question(stay), VEHICLE)
    got = (len(reply.recommendations), reply.reason)
    require(
        got == (0, Refusal.NO_FREE_CONNECTOR),
        f"{got[0]} recommendations, {got[1]}, must be no_free_connector",
    )
    await play.offers((stay[1], Time(stay[1] + 1800)))
    await play.offers((Time(stay[0] - 1800), stay[0]))
    free = play.hold(stay, names[STATION], revision=2, state=Availability.RELEASED)
    await _take(play, free, STATION)
    offers = await play.offers(stay)
    require([offer.station for offer in offers] == [STATION], "only what was released is free")


@CHECKS.add("CP12")
async def keeps_the_newest_revision(play: RecommenderPlay) -> None:
    """An older revision is stale, the same one changes nothing."""
    stay, name = play.stay(), play.word()
    await _take(play, play.hold(stay, name, revision=3), STATION)
    await _take(play, play.hold(stay, name, revision=3), STATION)
    _refused(await play.ask(play.hold(stay, name, revision=2), STATION), Refusal.STALE)


@CHECKS.add("CP12")
async def knows_its_stations(play: RecommenderPlay) -> None:
    """Who is not registered is told so; nobody changes another station's reservation."""
    stay, name = play.stay(), play.word()
    _refused(await play.ask(play.hold(stay, name), UNKNOWN_STATION), Refusal.NOT_REGISTERED)
    await _take(play, play.hold(stay, name), STATION)
    foreign = play.hold(stay, name, revision=9, state=Availability.RELEASED)
    _refused(await play.ask(foreign, OTHER_STATION), Refusal.UNKNOWN_RESERVATION)


@CHECKS.add("CP4")
async def strands_nobody(play: RecommenderPlay) -> None:
    """A registration that would strand a reservation is refused: in_use."""
    stay, station = play.stay(), "conform-cs-4"
    await play.ask(play.registration(), station)
    await _take(play, play.hold(stay, play.word()), station)
    other = replaced(play.registration().connectors[0], id="c9")
    _refused(await play.ask(play.registration(connectors=(other,)), station), Refusal.IN_USE)


def _samples(play: RecommenderPlay) -> dict[str, tuple[str, type[Request], Request]]:
    stay = play.stay()
    offer = Recommendation(
        id=f"{play.id}-0",
        token="x" * 32,
        recommender=play.id,
        network=play.network,
        vehicle=VEHICLE,
        station=STATION,
        connector="c1",
        arrival=stay[0],
        departure=stay[1],
        connector_type=PLUG,
        power_kw=11.0,
        energy_kwh=5.0,
        v2g_capable=False,
        location=PLACE,
        distance_km=0.0,
        issued_at=Time(play.now()),
        expires_at=Time(play.now() + 600),
    )
    return {
        "CP1": (
            f"EV/{VEHICLE}/RequestChargingRecommendations",
            RequestChargingRecommendations,
            play.question(stay),
        ),
        "CP4": ("CS/conform-cs-5/RegisterChargingStation", RegisterChargingStation, play.registration()),
        "CP5": (f"CS/{STATION}/AuthenticateRecommendation", AuthenticateRecommendation, play.vouch(offer)),
        "CP12": (
            f"CS/{STATION}/UpdatedStationAvailability",
            UpdatedStationAvailability,
            play.hold(stay, play.word()),
        ),
    }


def _bad_input(protocol: str) -> None:
    async def refuses_wrong(play: RecommenderPlay) -> None:
        """Every field that is missing, mistyped or out of range is refused and named."""
        topic, kind, sample = _samples(play)[protocol]
        await refuses_wrong_fields(play, topic, kind, to_builtins(sample))

    async def survives_bad(play: RecommenderPlay) -> None:
        """What is no JSON object, has NaN, or is too deep or too large is not taken, and survived."""
        topic, kind, sample = _samples(play)[protocol]
        await survives_malformed(play, topic, kind, to_builtins(sample))
        await play.ask(play.registration(), STATION)

    for act in (refuses_wrong, survives_bad):
        act.__name__ += f"_{protocol.lower()}"
        CHECKS.add(protocol)(act)


for _protocol in ("CP1", "CP4", "CP5", "CP12"):
    _bad_input(_protocol)
