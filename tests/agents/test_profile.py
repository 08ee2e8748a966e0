"""Producers and consumers register, then say each day what they expect and how sure they are."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from one_agent import DAY, HERE, Stage, at, refused

from voltagora.agents.consumer import ConsumerAgent
from voltagora.agents.producer import ProducerAgent
from voltagora.domain.calendar import Calendar
from voltagora.domain.fleet import ProfilePlan
from voltagora.domain.series import EnergySeries
from voltagora.protocols.cp09_profile_registration import (
    RegisterElectricityConsumer,
    RegisterElectricityProducer,
)
from voltagora.protocols.cp10_expected_energy import (
    UpdateExpectedConsumption,
    UpdateExpectedProduction,
    UpdateProfileOutcome,
)
from voltagora.protocols.cp11_confidence import UpdateConfidence
from voltagora.strategies import registry

HISTORY_DAYS = 21


def actual_of(day: int, hour: int) -> float:
    """What is really made: different in every hour of every day."""
    return float(100 * (day + HISTORY_DAYS) + hour)


def a_profile(role: str = "EP", forecast: str = "perfect", history: int = HISTORY_DAYS) -> Stage:
    values = [actual_of(day, hour) for day in range(-history, 5) for hour in range(24)]
    plan = ProfilePlan(
        id="p1",
        role=role,  # type: ignore[arg-type]
        kind="wind",
        rated_power_kw=1e5,
        location=HERE,
        actual=EnergySeries.of(at(-24 * history), 60, np.array(values)),
    )
    kind: Any = ProducerAgent if role == "EP" else ConsumerAgent
    agent = kind(
        plan,
        grid_area="main",
        calendar=Calendar(),
        horizon_days=1,
        forecast=registry.build("forecast", forecast, {}),
        imbalance="ei",
        pricing="md",
    )
    stage = Stage(agent, at(0))
    agent.start(stage)
    return stage


@pytest.mark.parametrize(
    ("role", "registration", "expectation"),
    [
        ("EP", RegisterElectricityProducer, UpdateExpectedProduction),
        ("EC", RegisterElectricityConsumer, UpdateExpectedConsumption),
    ],
)
def test_first_comes_cp9_then_cp10_and_cp11_for_each_day_of_the_horizon_then_one_a_day(
    role: str, registration: type, expectation: type
) -> None:
    stage = a_profile(role)
    assert [type(request) for request, _ in stage.told] == [
        registration,
        expectation,
        UpdateConfidence,
        expectation,
        UpdateConfidence,
    ]
    assert {whom for _, whom in stage.told} == {("ei", "md")}
    stage.pass_until(at(48))
    days = [request.day for request in stage.told_of(expectation)]
    assert days == [DAY + timedelta(days=n) for n in range(4)]
    assert len({request.msg_id for request, _ in stage.told}) == len(stage.told)


def test_perfect_foresight_is_what_comes() -> None:
    stage = a_profile()
    for number, told in enumerate(stage.told_of(UpdateExpectedProduction)):
        assert told.expected.values.tolist() == [actual_of(number, hour) for hour in range(24)]


def test_persistence_is_the_same_slot_a_week_ago() -> None:
    stage = a_profile(forecast="persistence")
    stage.pass_until(at(24))
    for number, told in enumerate(stage.told_of(UpdateExpectedProduction)):
        assert told.expected.values.tolist() == [actual_of(number - 7, hour) for hour in range(24)]


def test_the_mean_of_like_days_comes_with_its_spread_and_looks_at_nothing_from_today_on() -> None:
    stage = a_profile(forecast="weekday_hour_mean")
    told, sure = stage.told_of(UpdateExpectedProduction)[1], stage.told_of(UpdateConfidence)[1]
    like = np.array([[actual_of(1 - 7 * week, hour) for hour in range(24)] for week in (1, 2, 3)])
    assert sure.mean.values.tolist() == pytest.approx(like.mean(axis=0).tolist())
    assert sure.std.values.tolist() == pytest.approx(like.std(axis=0, ddof=1).tolist(), abs=1e-6)
    assert told.expected.values.tolist() == pytest.approx(like.mean(axis=0).tolist())


def test_without_history_nothing_is_told_but_that_it_is_there() -> None:
    stage = a_profile(forecast="persistence", history=0)
    assert [type(request) for request, _ in stage.told] == [RegisterElectricityProducer]
    stage.pass_until(at(24))  # Now there is a day to look back on.
    assert [request.day for request in stage.told_of(UpdateExpectedProduction)] == [date(2020, 1, 3)]


def test_who_has_forgotten_it_is_told_again() -> None:
    stage = a_profile()
    forecast = stage.told_of(UpdateExpectedProduction)[0]
    stage.agent.told(stage, forecast, refused(UpdateProfileOutcome, forecast, "md", "not_registered"))
    (registration, first), (again, second) = stage.told[-2:]
    assert isinstance(registration, RegisterElectricityProducer)
    assert first == second == ("md",)
    assert (again.day, again.expected) == (forecast.day, forecast.expected)
    count = len(stage.told)
    stage.agent.told(stage, forecast, refused(UpdateProfileOutcome, forecast, "md", "stale"))
    assert len(stage.told) == count
