"""One booking, message by message, in the order of docs/one-booking.md.

A market of one vehicle, two stations and everything around them is run; what was sent is then
read like a story. The numbers are worked out by hand.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import Any

import pytest
from whole_market import (
    Played,
    always,
    availability_is_the_complement,
    batteries_keep_their_books,
    beliefs_equal_the_books,
    bills_add_up,
    pictures_equal_the_books,
    play,
)

from voltagora.agents.exchange import Flight
from voltagora.domain.records import DayRecord, LedgerRecord, NeedRecord, SessionRecord
from voltagora.domain.units import Time
from voltagora.protocols.topic import topic_name
from voltagora.scenario.listed import ListedConnector, ListedNeed, ListedStation, ListedVehicle
from voltagora.scenario.settings import (
    BroadcastSettings,
    ChoiceSettings,
    Scenario,
    SchedulingSettings,
    StationSettings,
    VehicleSettings,
)

PLUG = "Single phase 32A"
ASKS, ARRIVES, LEAVES = (datetime(2020, 1, 1, hour, tzinfo=UTC) for hour in (10, 14, 18))


class Story:
    """Everything that was sent, and the reader's place in it."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int, Flight]] = []
        self.place = 0

    def watch(self, now: int, wave: int, flight: Flight) -> None:
        self.sent.append((now, wave, flight))

    def begin(self, now: int) -> None:
        self.place = next(place for place, (at, _, _) in enumerate(self.sent) if at == now)

    def next(self, wave: int, protocol: str, topic: str, sender: str) -> Any:
        """Read the next publication, which must be this one; give its message."""
        _, in_wave, flight = self.sent[self.place]
        self.place += 1
        template = type(flight.message).topic_of(flight.sender.kind)
        found = (in_wave, flight.protocol, topic_name(template, flight.address), flight.sender.id)
        assert found == (wave, protocol, topic, sender)
        return flight.message

    @property
    def is_told(self) -> bool:
        """Whether nothing more is sent at this instant."""
        return self.place == len(self.sent) or self.sent[self.place][0] != self.sent[self.place - 1][0]


def a_station(name: str, latitude: float) -> ListedStation:
    return ListedStation(
        id=name,
        latitude=latitude,
        longitude=0.0,
        connectors=(ListedConnector(connector_type=PLUG, power_kw=7.4, count=2),),
    )


def the_market() -> Scenario:
    need = ListedNeed(arrival=ARRIVES, departure=LEAVES, asks_at=ASKS, energy_kwh=12.0, soc=0.5)
    vehicle = ListedVehicle(
        id="ev-ada",
        latitude=0.0,
        longitude=0.0,
        connector_type=PLUG,
        power_kw=7.4,
        capacity_kwh=40.0,
        v2g_allowed=False,
        needs=(need,),
    )
    return Scenario(
        days=1,
        start=date(2020, 1, 1),
        vehicles=VehicleSettings(count=0, list=(vehicle,)),
        stations=StationSettings(count=0, list=(a_station("cs-far", 2.0), a_station("cs-near", 1.0))),
        scheduling=SchedulingSettings(strategy="lowest_price"),
        choice=ChoiceSettings(strategy="first"),
        broadcast=BroadcastSettings(threshold_kwh=1.0),
    )


@pytest.fixture(scope="module")
def played_and_told() -> tuple[Played, Story]:
    story = Story()
    return play(the_market(), check=always, watch=story.watch), story


def moment(when: datetime) -> int:
    return int(when.timestamp())


def test_everybody_registers_and_foretells_then_the_days_are_opened(
    played_and_told: tuple[Played, Story],
) -> None:
    played, story = played_and_told
    early = [(now, flight.protocol) for now, _, flight in story.sent if now < moment(ASKS)]
    midnight = moment(datetime(2020, 1, 1, tzinfo=UTC))
    assert early.count((midnight, "CP4")) == 2 * 4
    assert early.count((midnight, "CP9")) == 3 * 3
    assert early.count((midnight, "CP10")) == early.count((midnight, "CP11")) == 2 * 3 * 3
    assert early[-4:] == [(midnight + 3600, "CP6")] * 2 + [(midnight + 7200, "CP7")] * 2
    assert played.counts["CP7"] == 2 + 1


def test_the_booking_is_told_in_the_order_of_the_page(played_and_told: tuple[Played, Story]) -> None:
    _, story = played_and_told
    story.begin(moment(ASKS))

    # 1. The vehicle wakes and asks.
    asked = story.next(1, "CP1", "EV/ev-ada/RequestChargingRecommendations", "ev-ada")
    assert (asked.preferences.arrival, asked.preferences.energy_kwh) == (moment(ARRIVES), 12.0)

    # 2. The recommender answers: two stations, the nearer first.
    offers = story.next(2, "CP1", "EV/ev-ada/ChargingRecommendations", "sr-main")
    assert offers.in_reply_to == asked.msg_id
    near, far = offers.recommendations
    assert (near.station, far.station) == ("cs-near", "cs-far")
    assert near.distance_km == round(6371.0088 * math.pi / 180, 3)

    # 3. The vehicle chooses and reserves.
    reserve = story.next(3, "CP2", "CS/cs-near/ReserveChargingSlot", "ev-ada")
    assert reserve.recommendation == near
    assert reserve.battery.soc == 0.5

    # 4. The station has the offer vouched for.
    question = story.next(4, "CP5", "CS/cs-near/AuthenticateRecommendation", "cs-near")
    assert question.recommendation == near
    vouched = story.next(5, "CP5", "CS/cs-near/AuthenticateRecommendationOutcome", "sr-main")
    assert (vouched.accepted, vouched.recommendation_id) == (True, near.id)

    # 5. and 6. It looks again, schedules, books; everybody hears of it, the vehicle its outcome.
    update = story.next(6, "CP8", "CS/cs-near/UpdatedChargingSchedule", "cs-near")
    hold = story.next(6, "CP12", "CS/cs-near/UpdatedStationAvailability", "cs-near")
    outcome = story.next(6, "CP2", "EV/ev-ada/ReservationOutcome", "cs-near")
    assert outcome.accepted
    assert outcome.reservation == update.reservation == hold.reservation == near.id
    assert (hold.connector, hold.arrival, hold.departure) == ("c0", moment(ARRIVES), moment(LEAVES))
    assert (outcome.schedule, outcome.cost_eur) == (update.schedule, update.cost_eur)

    # 7. The grid answers, and the recommender.
    story.next(7, "CP6", "EI/ElectricityImbalance", "ei-main")
    assert story.next(7, "CP8", "EI/cs-near/UpdateScheduleOutcome", "ei-main").accepted
    assert story.next(7, "CP8", "MD/cs-near/UpdateScheduleOutcome", "md-main").accepted
    assert story.next(7, "CP12", "CS/cs-near/UpdateAvailabilityOutcome", "sr-main").accepted
    story.next(8, "CP7", "MD/ElectricityPrices", "md-main")
    assert story.is_told


def test_the_answer_of_the_grid_comes_after_the_booking_and_changes_later_prices_only(
    played_and_told: tuple[Played, Story],
) -> None:
    played, story = played_and_told
    here = [flight.message for now, _, flight in story.sent if now == moment(ASKS)]
    (imbalance,) = [m for m in here if type(m).__name__ == "ImbalanceBroadcast"]
    (prices,) = [m for m in here if type(m).__name__ == "PricesBroadcast"]
    (update,) = [m for m in here if type(m).__name__ == "UpdatedChargingSchedule"]
    assert here.index(update) < here.index(imbalance) < here.index(prices)
    assert imbalance.revision == prices.revision == 2
    (day,) = played.of(DayRecord)
    demand = imbalance.demand.values - day.consumption_kwh
    assert demand[14:18] == pytest.approx(update.schedule.values)
    # nrgcoin, by hand, for the first slot of the stay; the session keeps the price it was quoted.
    supply, wanted = imbalance.supply.values[14], imbalance.demand.values[14]
    assert prices.buy.values[14] == round(0.65 * wanted / (wanted + supply), 5)
    (session,) = played.of(SessionRecord)
    before = day.consumption_kwh[14]
    assert session.buy_eur_per_kwh[0] == round(0.65 * before / (before + supply), 5)


def test_the_cheapest_hours_were_chosen_and_are_billed(played_and_told: tuple[Played, Story]) -> None:
    played, _ = played_and_told
    (session,) = played.of(SessionRecord)
    by_price = sorted(range(4), key=lambda slot: (session.buy_eur_per_kwh[slot], slot))
    expected = [0.0] * 4
    expected[by_price[0]], expected[by_price[1]] = 7.4, 4.6
    assert session.schedule_kwh.tolist() == pytest.approx(expected)
    cost = sum(k * b for k, b in zip(expected, session.buy_eur_per_kwh.tolist(), strict=True))
    assert session.cost_eur == pytest.approx(cost, abs=1e-5)


def test_at_departure_the_session_is_closed_posted_and_in_everybodys_books(
    played_and_told: tuple[Played, Story],
) -> None:
    played, _ = played_and_told
    (session,) = played.of(SessionRecord)
    assert (session.state, session.revision) == ("completed", 1)
    (need,) = played.of(NeedRecord)
    assert (need.outcome, need.reservation, need.rounds) == ("booked", session.reservation, 1)
    accounts = {record.account: record.balance_eur for record in played.of(LedgerRecord)}
    assert accounts["EV/cs-near"] == -session.cost_eur
    assert accounts["CS/cs-near"] == 0.0
    assert sum(accounts.values()) == pytest.approx(0.0, abs=1e-9)
    pictures_equal_the_books(played)
    availability_is_the_complement(played)
    beliefs_equal_the_books(played)
    batteries_keep_their_books(played)
    bills_add_up(played)
    assert str(Time(session.departure)) == "2020-01-01T18:00:00Z"


def test_eleven_messages_and_one_broadcast_each(played_and_told: tuple[Played, Story]) -> None:
    _, story = played_and_told
    at_once = [flight.protocol for now, _, flight in story.sent if now == moment(ASKS)]
    assert len(at_once) == 11 + 2
