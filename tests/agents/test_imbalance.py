"""EI's picture is the exact sum of the newest words, whatever the order in which they came."""

from __future__ import annotations

import itertools
from collections import defaultdict
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_agent import DAY, HERE, HOUR, Stage, a_connector, a_registration, a_schedule, at, energies

from voltagora.agents.imbalance import BroadcastRule, ImbalanceAgent
from voltagora.domain.calendar import Calendar
from voltagora.domain.records import EnergyDayRecord
from voltagora.domain.series import EnergySeries, ScheduleSeries
from voltagora.domain.units import Time
from voltagora.protocols.cp06_imbalance import ElectricityImbalanceRequest, ImbalanceBroadcast
from voltagora.protocols.cp09_profile_registration import (
    RegisterElectricityConsumer,
    RegisterElectricityProducer,
)
from voltagora.protocols.cp10_expected_energy import (
    ExpectedEnergy,
    UpdateExpectedConsumption,
    UpdateExpectedProduction,
)
from voltagora.protocols.cp11_confidence import UpdateConfidence
from voltagora.protocols.message import Refusal


def an_imbalance_agent(
    *, zone: str = "UTC", step_minutes: int = 60, start: date = DAY, horizon_days: int = 1, **rule: Any
) -> Stage:
    calendar = Calendar(zone, step_minutes)
    agent = ImbalanceAgent("ei", "main", calendar, horizon_days=horizon_days, broadcast=BroadcastRule(**rule))
    stage = Stage(agent, calendar.day(start).start)
    agent.start(stage)
    strong = a_connector(power_kw=100.0)
    for station in ("cs-1", "cs-2"):
        assert stage.deliver(a_registration(strong), station).accepted
    for kind, name in ((RegisterElectricityProducer, "ep"), (RegisterElectricityConsumer, "ec")):
        request = kind(msg_id="r1", grid_area="main", kind="wind", rated_power_kw=500.0, location=HERE)
        assert stage.deliver(request, name).accepted
    return stage


def expect(stage: Stage, name: str, of: date, values: Any, revision: int = 1, **more: Any) -> Any:
    calendar = stage.agent.calendar  # type: ignore[attr-defined]
    kind: type[ExpectedEnergy] = UpdateExpectedProduction if name == "ep" else UpdateExpectedConsumption
    given: dict[str, Any] = {
        "msg_id": f"{name}-{of}-{revision}",
        "grid_area": "main",
        "day": of,
        "revision": revision,
        "expected": energies(calendar.day(of), calendar.step_minutes, values),
    }
    return stage.deliver(kind(**(given | more)), name)


def ask(stage: Stage, day_index: int) -> Any:
    request = ElectricityImbalanceRequest(msg_id=f"q{day_index}", grid_area="main", day_index=day_index)
    return stage.deliver(request, "md")


# Sums.

SESSION = st.fixed_dictionaries(
    {
        "reservation": st.sampled_from(["a", "b", "c", "d"]),
        "revision": st.integers(1, 4),
        "start": st.integers(0, 40),
        "energies": st.lists(st.integers(-9_000_000, 9_000_000), min_size=1, max_size=12),
    }
)
FORECAST = st.fixed_dictionaries(
    {
        "profile": st.sampled_from(["ep", "ec"]),
        "day": st.integers(0, 1),
        "revision": st.integers(1, 4),
        "value": st.integers(0, 400_000_000),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(SESSION, FORECAST), max_size=25))
def test_totals_are_the_exact_sum_of_the_newest_revisions_in_any_order(words: list[dict[str, Any]]) -> None:
    stage = an_imbalance_agent()
    newest: dict[Any, dict[str, Any]] = {}
    for number, word in enumerate(words):
        key = word.get("reservation") or (word["profile"], word["day"])
        if "reservation" in word:
            update = a_schedule(
                word["start"],
                [energy / 1e6 for energy in word["energies"]],
                reservation=word["reservation"],
                revision=word["revision"],
                msg_id=f"u{number}",
            )
            outcome = stage.deliver(update, "cs-1")
        else:
            day = DAY + timedelta(days=word["day"])
            outcome = expect(stage, word["profile"], day, word["value"] / 1e6, word["revision"])
        held = newest.get(key)
        assert outcome.accepted == (held is None or word["revision"] >= held["revision"])
        if not outcome.accepted:
            assert outcome.reason == Refusal.STALE
        elif held is None or word["revision"] > held["revision"]:
            newest[key] = word
    supply: dict[int, int] = defaultdict(int)
    demand: dict[int, int] = defaultdict(int)
    for word in newest.values():
        if "reservation" in word:
            for place, energy in enumerate(word["energies"]):
                (demand if energy > 0 else supply)[word["start"] + place] += abs(energy)
        else:
            for hour in range(24):
                (supply if word["profile"] == "ep" else demand)[24 * word["day"] + hour] += word["value"]
    for index in (0, 1):
        said = ask(stage, index)
        hours = range(24 * index, 24 * index + 24)
        assert said.supply.values.tolist() == [supply[hour] / 1e6 for hour in hours]
        assert said.demand.values.tolist() == [demand[hour] / 1e6 for hour in hours]


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2020, 3, 29), 23), (date(2020, 10, 25), 25), (date(2020, 6, 1), 24)]
)
@pytest.mark.parametrize("step_minutes", [5, 15, 30, 60])
def test_days_of_23_and_25_hours_have_their_slots(day: date, hours: int, step_minutes: int) -> None:
    stage = an_imbalance_agent(zone="Europe/Athens", step_minutes=step_minutes, start=day)
    start = stage.now
    slots = hours * 60 // step_minutes
    assert expect(stage, "ep", day, np.arange(slots) / 10).accepted
    said = ask(stage, 0)
    assert len(said.supply) == slots
    assert said.supply.values.tolist() == [place / 10 for place in range(slots)]
    # A session over the coming midnight is counted in both days.
    across = (start + hours * HOUR - HOUR - at(0)) / HOUR
    counted = a_schedule(across, [1.0] * (120 // step_minutes), step_minutes=step_minutes)
    assert stage.deliver(counted, "cs-1").accepted
    per_hour = 60 // step_minutes
    assert ask(stage, 0).demand.values.tolist() == [0.0] * (slots - per_hour) + [1.0] * per_hour
    assert ask(stage, 1).demand.values.tolist()[: per_hour + 1] == [1.0] * per_hour + [0.0]


# Asking.


def test_a_week_back_and_a_week_ahead_can_be_asked_for_and_nothing_is_invented() -> None:
    stage = an_imbalance_agent()
    for number in range(12):
        expect(stage, "ep", DAY + timedelta(days=number), float(number))
        stage.pass_until(at(24 * number + 12))
    for index in range(-7, 8):
        said = ask(stage, index)
        if index <= 1:  # the horizon, opened at midnight or foretold
            assert said.day == DAY + timedelta(days=11 + index)
            expected = 11.0 + index if index < 1 else 0.0
            assert said.supply.values.tolist() == [expected] * 24
        else:
            assert said.reason == Refusal.NO_DATA
    (past,) = {ask(stage, index).revision for index in (-7,)}
    assert past >= 1


def test_asking_again_gives_the_same_revision_until_something_changes() -> None:
    stage = an_imbalance_agent()
    expect(stage, "ep", DAY, 3.0)
    first = ask(stage, 0).revision
    assert ask(stage, 0).revision == first
    expect(stage, "ep", DAY, 4.0, revision=2)
    assert ask(stage, 0).revision == first + 1
    assert ask(stage, 0).supply.values.tolist() == [4.0] * 24


def test_another_area_is_not_answered() -> None:
    stage = an_imbalance_agent()
    request = ElectricityImbalanceRequest(msg_id="q", grid_area="other", day_index=0)
    assert stage.deliver(request, "md") is None
    assert expect(stage, "ep", DAY, 1.0, grid_area="other") is None


# Broadcasting.


def test_the_horizon_is_opened_at_one_and_then_one_day_a_day() -> None:
    stage = an_imbalance_agent(horizon_days=2)
    stage.pass_until(at(1) - 1)
    assert not stage.published
    stage.pass_until(at(1))
    assert [news.day for news in stage.published] == [DAY + timedelta(days=n) for n in range(3)]
    stage.pass_until(at(25))
    assert [news.day for news in stage.published[3:]] == [DAY + timedelta(days=3)]


@pytest.mark.parametrize(("change", "speaks"), [(0.999999, False), (1.0, False), (1.000001, True)])
def test_only_more_than_the_threshold_is_news(change: float, speaks: bool) -> None:
    for energy in (change, -change):
        stage = an_imbalance_agent(threshold_kwh=1.0)
        stage.pass_until(at(1))
        before = len(stage.published)
        stage.deliver(a_schedule(5, [energy, energy / 2]), "cs-1")
        assert len(stage.published) - before == int(speaks)


def test_what_a_latecomer_expects_of_today_is_news() -> None:
    stage = an_imbalance_agent(threshold_kwh=1.0)
    stage.pass_until(at(5))
    before = len(stage.published)
    today = stage.agent.calendar.day(DAY)  # type: ignore[attr-defined]
    request = RegisterElectricityProducer(
        msg_id="r1",
        grid_area="main",
        kind="solar",
        rated_power_kw=500.0,
        location=HERE,
        expected=energies(today, 60, 7.0),
    )
    assert stage.deliver(request, "ep-late").accepted
    (news,) = stage.published[before:]
    assert news.supply.values.tolist() == [7.0] * 24


def test_who_starts_in_the_middle_of_a_day_opens_it_at_once() -> None:
    agent = ImbalanceAgent("ei", "main", Calendar(), horizon_days=1, broadcast=BroadcastRule())
    stage = Stage(agent, at(10.3))
    agent.start(stage)
    stage.pass_until(stage.now)
    assert [news.day for news in stage.published] == [DAY, DAY + timedelta(days=1)]


def test_small_changes_add_up_to_news() -> None:
    stage = an_imbalance_agent(threshold_kwh=1.0)
    stage.pass_until(at(1))
    before = len(stage.published)
    for number in range(3):
        stage.deliver(a_schedule(5, [0.4], reservation=f"b{number}"), "cs-1")
    (news,) = stage.published[before:]
    assert news.demand.values[5] == pytest.approx(1.2)


def test_a_day_that_is_not_open_is_not_talked_about() -> None:
    stage = an_imbalance_agent(threshold_kwh=0.0)
    stage.deliver(a_schedule(5, [9.0]), "cs-1")
    assert not stage.published


def test_always_means_every_day_of_the_horizon_for_every_accepted_schedule() -> None:
    stage = an_imbalance_agent(always=True, horizon_days=2)
    stage.pass_until(at(1))
    before = len(stage.published)
    stage.deliver(a_schedule(5, [9.0]), "cs-1")
    stage.deliver(a_schedule(5, [9.0], msg_id="u2"), "cs-1")  # a repeat is not accepted anew
    stage.deliver(a_schedule(5, [9.0], reservation="b2", msg_id="u3"), "cs-9")  # nobody knows cs-9
    days = [news.day for news in stage.published[before:]]
    assert days == [DAY + timedelta(days=n) for n in range(3)]
    assert all(isinstance(news, ImbalanceBroadcast) for news in stage.published)


def test_revisions_of_a_day_only_grow_and_say_when_it_changed() -> None:
    stage = an_imbalance_agent(always=True)
    stage.pass_until(at(1))
    for number in range(4):
        stage.deliver(a_schedule(5, [float(number % 3)], reservation="b", revision=number + 1), "cs-1")
    today = [news for news in stage.published if news.day == DAY]
    for earlier, later in itertools.pairwise(today):
        same = earlier.demand == later.demand and earlier.supply == later.supply
        assert later.revision == earlier.revision + (not same)


# What is refused.


def test_strangers_are_told_to_register() -> None:
    stage = an_imbalance_agent()
    assert stage.deliver(a_schedule(5, [1.0]), "cs-9").reason == Refusal.NOT_REGISTERED
    day = stage.agent.calendar.day(DAY)  # type: ignore[attr-defined]
    request = UpdateExpectedProduction(
        msg_id="x", grid_area="main", day=DAY, revision=1, expected=energies(day, 60, 1.0)
    )
    assert stage.deliver(request, "ep-9").reason == Refusal.NOT_REGISTERED
    sure = UpdateConfidence(
        msg_id="y",
        grid_area="main",
        day=DAY,
        mean=ScheduleSeries.of(day.start, 60, np.zeros(24)),
        std=energies(day, 60, 0.0),
    )
    assert stage.deliver(sure, "cs-9").reason == Refusal.NOT_REGISTERED
    assert stage.deliver(sure, "cs-1").accepted


def test_no_station_rewrites_anothers_session() -> None:
    stage = an_imbalance_agent()
    stage.deliver(a_schedule(5, [9.0]), "cs-1")
    lie = stage.deliver(a_schedule(5, [0.0], revision=7), "cs-2")
    assert lie.reason == Refusal.UNKNOWN_RESERVATION
    assert ask(stage, 0).demand.values[5] == 9.0


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"step_minutes": 30}, "expected.step_minutes"),
        ({"start": at(1)}, "expected.start"),
        ({"values": np.zeros(23)}, "expected.values"),
        ({"values": np.zeros(0)}, "expected.values"),
        ({"values": np.full(24, 500.01)}, "expected.values"),
        ({"values": np.full(24, 1e12)}, "expected.values"),
    ],
)
def test_a_forecast_that_cannot_be_is_refused(wrong: dict[str, Any], field: str) -> None:
    stage = an_imbalance_agent()
    series = {"start": at(0), "step_minutes": 60, "values": np.zeros(24)} | wrong
    outcome = expect(stage, "ep", DAY, 0.0, expected=EnergySeries(**series))
    assert (outcome.reason, outcome.field) == (Refusal.INVALID_REQUEST, field)
    assert not ask(stage, 0).supply.values.any()


@pytest.mark.parametrize("day", [date.max, date.min, date(1971, 1, 1), DAY + timedelta(days=63)])
def test_a_day_beyond_all_foresight_is_refused_and_harms_nobody(day: date) -> None:
    stage = an_imbalance_agent()
    series = EnergySeries.of(at(0), 60, np.zeros(24))
    outcome = expect(stage, "ep", DAY, 0.0, day=day, expected=series)
    assert (outcome.reason, outcome.field) == (Refusal.INVALID_REQUEST, "day")
    sure = UpdateConfidence(
        msg_id="y",
        grid_area="main",
        day=day,
        mean=ScheduleSeries.of(at(0), 60, np.zeros(24)),
        std=series,
    )
    assert stage.deliver(sure, "ep").field == "day"


@pytest.mark.parametrize(
    ("start", "values", "field"),
    [
        (5.5, [1.0], "schedule.start"),
        (5, [], "schedule.values"),
        (5, [101.0], "schedule.values"),
        (5, [-101.0], "schedule.values"),
        (24 * 63, [1.0], "schedule.start"),
        (-24 * 8, [1.0], "schedule.start"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(start: float, values: list[float], field: str) -> None:
    stage = an_imbalance_agent()
    outcome = stage.deliver(a_schedule(start, values), "cs-1")
    assert (outcome.reason, outcome.field) == (Refusal.INVALID_REQUEST, field)
    wrong_step = stage.deliver(a_schedule(5, [1.0], step_minutes=30), "cs-1")
    assert wrong_step.field == "schedule.step_minutes"


def test_one_session_may_draw_more_than_the_grid_gives_if_another_feeds_it() -> None:
    stage = an_imbalance_agent()
    strong = a_connector(power_kw=50.0)
    stage.deliver(a_registration(strong, grid_limit_kw=10.0, msg_id="r2"), "cs-1")
    assert stage.deliver(a_schedule(5, [50.0]), "cs-1").accepted


# Records.


def test_each_day_is_recorded_once_when_it_is_over() -> None:
    stage = an_imbalance_agent()
    expect(stage, "ep", DAY, 2.0)
    stage.deliver(a_schedule(23, [3.0, -4.0]), "cs-1")
    stage.pass_until(at(24))
    stage.now = int(at(48))
    stage.agent.finish(stage)
    first, second = stage.recorded(EnergyDayRecord)
    assert (first.day, second.day) == (DAY, DAY + timedelta(days=1))
    assert first.production_kwh.tolist() == [2.0] * 24
    assert first.charging_kwh[23] == 3.0
    assert second.discharging_kwh[0] == 4.0
    assert Time(first.start) == at(0)
