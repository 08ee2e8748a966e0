"""The rules by which a record is reckoned, one at a time, on a market of a few messages."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from voltagora.domain.units import Time
from voltagora.results.result import Result
from voltagora.scenario.recorded import result_of
from voltagora.scenario.recorded_sieve import Heard

DAY = int(Time.parse("2020-01-01T00:00:00Z"))
HOUR = 3600
HERE = {"latitude": 0, "longitude": 0}


class Record:
    """Messages of one station, one producer and one consumer in the area `main`, and of its EI and MD."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self._ids = (f"m{n}" for n in itertools.count())
        self.ask(0, "CS/cs/RegisterChargingStation", registration(), "RegistrationOutcome")
        for role, kind in (("EP", "Producer"), ("EC", "Consumer")):
            profile = {"grid_area": "main", "kind": "any", "rated_power_kw": 100.0, "location": HERE}
            self.ask(0, f"{role}/{role.lower()}/RegisterElectricity{kind}", profile, "RegistrationOutcome")
            what = "Production" if role == "EP" else "Consumption"
            expected = {"grid_area": "main", "day": "2020-01-01", "revision": 1, "expected": day([10.0] * 24)}
            topic = f"{role}/{role.lower()}/UpdateExpected{what}"
            self.ask(0, topic, expected, "UpdateProfileOutcome")
        self.prices(0, [0.2] * 24)

    def say(self, at: float, topic: str, content: dict[str, Any]) -> str:
        msg_id = next(self._ids)
        message = content if "in_reply_to" in content else {"msg_id": msg_id, **content}
        moment = DAY + int(at * HOUR)
        self.heard.append(
            Heard(at=moment, real=float(moment), topic=topic, payload=msgspec.json.encode(message))
        )
        return msg_id

    def ask(
        self,
        at: float,
        topic: str,
        content: dict[str, Any],
        reply: str,
        by: str = "EI MD",
        accepted: bool = True,
    ) -> None:
        msg_id, asker = self.say(at, topic, content), topic.split("/")[1]
        for role in by.split():
            outcome: dict[str, Any] = {"in_reply_to": msg_id, "responder": role.lower(), "accepted": accepted}
            self.say(at, f"{role}/{asker}/{reply}", outcome if accepted else {**outcome, "reason": "stale"})

    def prices(self, at: float, values: list[float]) -> None:
        news = {"grid_area": "main", "day": "2020-01-01", "revision": 1}
        self.say(at, "MD/ElectricityPrices", {**news, "buy": day(values), "sell": day(values)})

    def schedule(
        self, at: float, first_hour: int, values: list[float], revision: int = 1, **more: Any
    ) -> None:
        slots = {"start": str(Time(DAY + first_hour * HOUR)), "step_minutes": 60}
        price = {**slots, "values": [0.2] * len(values)}
        content = {
            "grid_area": "main",
            "reservation": "sr-1",
            "revision": revision,
            "schedule": {**slots, "values": values},
            "buy": price,
            "sell": price,
            "cost_eur": round(sum(values) * 0.2, 5),
        }
        self.ask(at, "CS/cs/UpdatedChargingSchedule", content, "UpdateScheduleOutcome", **more)

    def result(self, ends_at: float = 23.9) -> Result:
        self.say(ends_at, "EI/cs/ElectricityImbalanceRequest", {"grid_area": "main", "day_index": 0})
        return result_of(self.heard)

    def charging(self, ends_at: float = 23.9) -> dict[int, float]:
        slots = self.result(ends_at).tables["slots"].to_pylist()
        return {place: slot["charging_kwh"] for place, slot in enumerate(slots) if slot["charging_kwh"]}

    def balances(self, ends_at: float = 23.9) -> dict[str, float]:
        rows = self.result(ends_at).tables["ledger"].to_pylist()
        return {row["account"]: row["balance_eur"] for row in rows}


def registration() -> dict[str, Any]:
    connector = {"id": "c", "connector_type": "any", "power_kw": 50.0, "level": 3, "v2g_capable": True}
    place = {"network": "net", "grid_area": "main", "location": HERE}
    return {**place, "connectors": [connector], "grid_limit_kw": 50.0}


def day(values: list[float], start: int = DAY) -> dict[str, Any]:
    return {"start": str(Time(start)), "step_minutes": 60, "values": values}


def test_a_schedule_counts_when_it_is_accepted() -> None:
    record = Record()
    record.schedule(8, 10, [5.0, 3.0])
    assert record.charging() == {10: 5.0, 11: 3.0}


def test_a_refused_schedule_counts_nowhere() -> None:
    record = Record()
    record.schedule(8, 10, [5.0], accepted=False)
    assert record.charging() == {}
    assert set(record.balances()) == {"MD", "EP/ep", "EC/ec"}


def test_what_only_one_of_them_accepted_counts_for_that_one() -> None:
    record = Record()
    record.schedule(8, 10, [5.0], by="EI")
    assert record.charging() == {10: 5.0}
    assert "CS/cs" not in record.balances()


def test_a_schedule_that_comes_late_and_is_older_changes_nothing() -> None:
    record = Record()
    record.schedule(8, 10, [5.0], revision=2)
    record.schedule(8.5, 10, [9.0], revision=1)
    assert record.charging() == {10: 5.0}
    assert record.balances()["CS/cs"] == 0.0
    assert record.balances()["EV/cs"] == -1.0


def test_a_newer_schedule_replaces_the_older_one() -> None:
    record = Record()
    record.schedule(8, 10, [5.0], revision=1)
    record.schedule(9, 12, [4.0], revision=2)
    assert record.charging() == {12: 4.0}
    assert record.balances()["EV/cs"] == -0.8


def test_a_session_that_was_made_longer_is_posted_once_at_its_new_end() -> None:
    record = Record()
    record.schedule(8, 10, [5.0], revision=1)
    record.schedule(9, 10, [5.0, 5.0, 5.0], revision=2)
    record.schedule(12.5, 10, [5.0, 5.0, 1.0], revision=3)  # it left early, within its last slot
    assert record.balances()["EV/cs"] == -2.2


def test_what_is_posted_stays_posted() -> None:
    record = Record()
    record.schedule(8, 10, [5.0], revision=1)
    record.schedule(13, 10, [1.0], revision=2)
    assert record.balances()["EV/cs"] == -1.0


def test_a_day_stands_as_it_was_when_it_ended() -> None:
    record = Record()
    news = {"grid_area": "main", "day": "2020-01-02", "revision": 1}
    tomorrow = day([0.2] * 24, DAY + 24 * HOUR)
    record.say(2, "MD/ElectricityPrices", {**news, "buy": tomorrow, "sell": tomorrow})
    record.schedule(20, 23, [5.0, 5.0], revision=1)
    record.schedule(24.5, 23, [0.0, 7.0], revision=2)
    assert record.charging(ends_at=30) == {23: 5.0, 24: 7.0}


def test_the_prices_of_a_slot_are_the_newest_before_it_begins() -> None:
    record = Record()
    record.prices(9.5, [0.3] * 24)
    record.prices(10, [0.4] * 24)  # as slot 10 begins: after it
    slots = record.result().tables["slots"].to_pylist()
    assert [slot["buy_eur_per_kwh"] for slot in slots[8:13]] == [0.2, 0.2, 0.3, 0.4, 0.4]


def test_slots_without_published_prices_are_null_and_unpaid() -> None:
    record = Record()
    record.heard = [it for it in record.heard if it.topic != "MD/ElectricityPrices"]
    record.prices(20.5, [0.5] * 24)
    result = record.result()
    assert [slot["buy_eur_per_kwh"] for slot in result.tables["slots"].to_pylist()] == [None] * 20 + [0.5] * 4
    assert result.tables["ledger"].to_pylist()[1] == {
        "area": "main",
        "account": "EP/ep",
        "balance_eur": 4 * 10 * 0.5,
    }


def test_all_accounts_sum_to_nothing() -> None:
    record = Record()
    record.schedule(8, 10, [5.0, -2.0])
    assert sum(record.balances().values()) == pytest.approx(0.0, abs=1e-9)


def test_a_station_counts_once_somebody_has_taken_its_registration() -> None:
    record = Record()
    another = {**registration(), "connectors": registration()["connectors"] * 1}
    record.ask(1, "CS/refused/RegisterChargingStation", another, "RegistrationOutcome", accepted=False)
    record.ask(1, "CS/silent/RegisterChargingStation", another, "RegistrationOutcome", by="")
    record.ask(1, "CS/taken/RegisterChargingStation", another, "RegistrationOutcome", by="SR")
    assert record.result().tables["stations"]["station"].to_pylist() == ["cs", "taken"]


def test_what_trickles_in_after_the_last_day_begins_no_other() -> None:
    record = Record()
    news = {"grid_area": "main", "day": "2020-01-02", "revision": 1}
    tomorrow = day([0.2] * 24, DAY + 24 * HOUR)
    record.say(2, "MD/ElectricityPrices", {**news, "buy": tomorrow, "sell": tomorrow})
    alone = record.balances()
    late = {"in_reply_to": "m1", "responder": "sr", "accepted": True}
    record.say(24.1, "CS/cs/UpdateAvailabilityOutcome", late)
    record.heard.append(Heard(at=DAY + 26 * HOUR, real=0.0, topic="timer", payload=b"stop"))

    result = result_of(record.heard)

    assert len(result.tables["slots"]) == 24
    assert {row["account"]: row["balance_eur"] for row in result.tables["ledger"].to_pylist()} == alone
    assert result.metrics["messages"]["CP12"] == 1


def test_a_vehicle_that_was_offered_nothing_has_no_capacity_and_made_no_cycle() -> None:
    record = Record()
    preferences = {
        "arrival": str(Time(DAY + 10 * HOUR)),
        "departure": str(Time(DAY + 12 * HOUR)),
        "energy_kwh": 5.0,
        "connector_type": "any",
        "power_kw": 7.0,
        "v2g_allowed": True,
        "min_soc": 0.1,
    }
    asked = {"preferences": preferences, "location": HERE}
    for at in (8, 8.1):
        msg_id = record.say(at, "EV/ev/RequestChargingRecommendations", asked)
        none = {"in_reply_to": msg_id, "responder": "sr", "reason": "no_free_connector"}
        record.say(at, "EV/ev/ChargingRecommendations", none)

    result = record.result()

    [vehicle] = result.tables["vehicles"].to_pylist()
    assert (vehicle["area"], vehicle["capacity_kwh"], vehicle["full_cycles"]) == ("main", None, 0.0)
    [need] = result.tables["needs"].to_pylist()
    assert (need["rounds"], need["reservation"], need["outcome"]) == (2, None, "no_free_connector")
    assert result.metrics["full_cycles"] == 0.0
    assert result.metrics["bookings_asked"] == 1
    assert result.metrics["refusals"] == {"no_free_connector": 2}
