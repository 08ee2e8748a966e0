"""`voltagora try` of prices, schedules and forecasts: JSON in and JSON out."""

import math

import pytest
from one_try import BATTERY, PREFERENCES, refused, series, tried

HOURS = [f"2020-01-01T{hour:02}:00:00Z" for hour in range(24)]


# pricing


def test_prices_come_out_as_lists_where_lists_went_in() -> None:
    assert tried("pricing", "nrgcoin", {"supply": [1, 0, 5], "demand": [1, 5, 0]}) == {
        "buy": [0.325, 0.65, 0.0],
        "sell": [0.3, 0.17358, 0.1],
    }


def test_prices_come_out_as_series_where_series_went_in() -> None:
    question = {"supply": series([1, 2]), "demand": series([1, 0])}

    assert tried("pricing", "nrgcoin", question) == {"buy": series([0.325, 0.0]), "sell": series([0.3, 0.1])}


def test_parameters_are_read_as_json() -> None:
    question = {"supply": [10], "demand": [0], "history": {"prices": [0.5, 0.4], "charging_kwh": [10, 20]}}

    assert tried("pricing", "adaptive", question, "--param", "K=1", "--param", "alpha=-0.01")["buy"] == [0.8]
    assert tried("pricing", "adaptive", question, "--param", "estimate_alpha=true")["buy"] == [0.5]


def test_time_of_use_reads_the_clock_of_the_time_zone() -> None:
    peak = ("--param", "peak_windows=[[1, 2]]")
    question = {"supply": series([1] * 3), "demand": series([1] * 3)}

    assert tried("pricing", "time_of_use", question, *peak)["buy"]["values"] == [0.2, 0.4, 0.2]
    question["time_zone"] = "Europe/Berlin"
    assert tried("pricing", "time_of_use", question, *peak)["buy"]["values"] == [0.4, 0.2, 0.2]


def test_market_takes_its_prices_from_the_question() -> None:
    question = {"supply": [1, 1], "demand": [1, 1], "market": [0.05, -0.02]}

    assert tried("pricing", "market", question, "--param", "buy_markup_eur_per_kwh=0.1")["buy"] == [
        0.15,
        0.08,
    ]


# scheduling


def session(**changes):
    return {
        "preferences": PREFERENCES,
        "battery": BATTERY,
        "connector": {"power_kw": 11, "v2g_capable": True},
        "buy": [0.3, 0.2, 0.5, 0.1],
        "sell": [0.1, 0.1, 0.4, 0.1],
    } | changes


def test_a_session_is_scheduled_within_its_stay() -> None:
    assert tried("scheduling", "first_slot", session()) == {
        "accepted": True,
        "schedule": [5.5, 4.5, 0.0, 0.0],
        "cost_eur": 2.55,
        "objective_eur": pytest.approx(2.55),
    }
    # Charged full where it is cheap, sold where it is dear: 2 - 4.4 + 1.1, and 11 kWh of wear.
    assert tried("scheduling", "v2g", session(wear_eur_per_kwh=0.01)) == {
        "accepted": True,
        "schedule": [0.0, 10.0, -11.0, 11.0],
        "cost_eur": -1.3,
        "objective_eur": pytest.approx(-1.19),
    }


def test_prices_beyond_the_stay_are_ignored_and_the_schedule_names_its_slots() -> None:
    prices = [9.0] * 8 + [0.3, 0.2, 0.5, 0.1] + [-9.0] * 5
    question = session(buy=series(prices), sell=series(prices))

    schedule = tried("scheduling", "lowest_price", question)["schedule"]

    assert schedule == series([0.0, 0.0, 0.0, 10.0], start="2020-01-01T08:00:00Z")


def test_a_stay_without_all_its_prices_is_refused() -> None:
    assert tried("scheduling", "v2g", session(buy=[0.1] * 3)) == {"accepted": False, "reason": "no_prices"}
    assert tried("scheduling", "v2g", session(sell=[0.1] * 3))["reason"] == "no_prices"


def test_an_infeasible_need_is_answered_with_what_is_possible_and_when() -> None:
    need = PREFERENCES | {"energy_kwh": 19}
    question = session(preferences=need, headroom_kw=4, buy=[0.1] * 6, sell=[0.1] * 6)

    # 3.5 h at 4 kW; the other 5 kWh take until 13:15.
    expected = {"accepted": False, "reason": "infeasible", "possible_kwh": 14.0}
    later = expected | {"possible_departure": "2020-01-01T13:15:00Z"}
    assert tried("scheduling", "v2g", question) == later
    assert tried("scheduling", "v2g", question | {"headroom_kw": [4] * 6}) == later
    assert tried("scheduling", "v2g", question | {"headroom_kw": [4] * 5}) == expected
    assert tried("scheduling", "v2g", question | {"buy": [0.1] * 5}) == expected


def test_no_departure_is_promised_to_a_battery_that_is_too_small() -> None:
    small = BATTERY | {"max_soc": 0.9}
    question = session(
        preferences=PREFERENCES | {"energy_kwh": 19}, battery=small, buy=[0.1] * 9, sell=[0.1] * 9
    )

    for headroom in ({}, {"headroom_kw": 4}, {"headroom_kw": [4] * 9}):
        answer = tried("scheduling", "v2g", question | headroom)
        assert answer["reason"] == "infeasible"
        assert "possible_departure" not in answer


def test_headroom_may_differ_by_slot() -> None:
    question = session(headroom_kw=[0, 4, 11, 2])

    assert tried("scheduling", "first_slot", question)["schedule"] == [0.0, 4.0, 6.0, 0.0]
    assert "one for each of the 4 slots" in refused("scheduling", "v2g", session(headroom_kw=[1, 2]))


def test_a_desired_soc_that_contradicts_the_energy_is_an_invalid_request() -> None:
    fitting, contradicting = PREFERENCES | {"desired_soc": 0.7505}, PREFERENCES | {"desired_soc": 0.76}

    assert tried("scheduling", "v2g", session(preferences=fitting))["accepted"]
    assert tried("scheduling", "v2g", session(preferences=contradicting)) == {
        "accepted": False,
        "reason": "invalid_request",
        "field": "preferences.desired_soc",
    }


def test_a_station_schedules_its_sessions_together() -> None:
    one = {name: value for name, value in session().items() if name not in ("buy", "sell")}
    question = {"sessions": [one, one], "buy": [0.3, 0.2, 0.5, 0.1], "sell": [0.0] * 4, "grid_limit_kw": 11}

    answers = tried("scheduling", "station", question)["sessions"]

    # 20 kWh within 11 kW: 11 where it costs 0.1 and 9 where it costs 0.2.
    totals = [math.fsum(slot) for slot in zip(*(each["schedule"] for each in answers), strict=True)]
    assert totals == pytest.approx([0.0, 9.0, 0.0, 11.0], abs=2e-6)
    assert sum(each["cost_eur"] for each in answers) == pytest.approx(2.9, abs=2e-5)
    without = question | {"sessions": [one, one | {"preferences": PREFERENCES | {"desired_soc": 0.1}}]}
    reasons = [each.get("reason") for each in tried("scheduling", "station", without)["sessions"]]
    assert reasons == [None, "invalid_request"]


# forecast


def test_a_forecast_comes_out_as_its_history_went_in() -> None:
    week = [float(hour) for hour in range(7 * 24)]

    answer = tried("forecast", "persistence", {"history": series(week), "day": "2020-01-08"})
    listed = tried("forecast", "persistence", {"history": week, "day": "2020-01-08"})

    assert answer["expected"] == series(week[:24], "2020-01-08T00:00:00Z")
    assert listed == {"expected": week[:24], "mean": week[:24], "std": [0.0] * 24}
    assert tried("forecast", "weekday_hour_mean", {"history": week, "day": "2020-01-08"}) == listed


def test_perfect_takes_the_day_from_the_history_or_from_actual() -> None:
    days = [float(hour) for hour in range(48)]

    whole = tried("forecast", "perfect", {"history": series(days), "day": "2020-01-02"})
    told = tried("forecast", "perfect", {"history": days[:24], "day": "2020-01-02", "actual": [7] * 24})

    assert whole["expected"]["values"] == days[24:]
    assert told["expected"] == [7.0] * 24


def test_a_forecast_without_history_is_a_refusal_not_an_error() -> None:
    question = {"history": series([1.0] * 24, "2020-03-01T00:00:00Z"), "day": "2020-01-02"}

    for name in ("persistence", "weekday_hour_mean", "perfect"):
        assert tried("forecast", name, question) == {"reason": "no_history"}


def test_a_history_longer_than_any_message_is_taken() -> None:
    history = series([1.234567] * 35_064, "2017-01-01T00:00:00Z")

    answer = tried("forecast", "weekday_hour_mean", {"history": history, "day": "2020-12-31"})

    assert answer["std"]["values"] == [0.0] * 24


# bad input


@pytest.mark.parametrize(
    ("kind", "name", "question", "words", "sentence"),
    [
        ("pricing", "nrgcoin", {"supply": [1, -1], "demand": [1, 1]}, (), "supply[1]: got -1.0, must be"),
        ("pricing", "nrgcoin", {"supply": [1], "demand": [1, 1]}, (), "demand: "),
        ("pricing", "nrgcoin", {"supply": [1]}, (), "demand: got nothing, must be present"),
        ("pricing", "nrgcoin", {"supply": ["1"], "demand": [1]}, (), "supply"),
        ("pricing", "nrgcoin", '{"supply": [NaN], "demand": [1]}', (), "supply[0]: got NaN"),
        ("pricing", "nrgcoin", "not json", (), "payload"),
        ("pricing", "nrgcoin", "", (), "payload"),
        ("pricing", "nrgcoin", {"supply": series([1]), "demand": series([1], HOURS[1])}, (), "demand.start"),
        ("pricing", "nrgcoin", {"supply": [1], "demand": [1], "time_zone": "Mars"}, (), "time_zone"),
        ("pricing", "market", {"supply": [1], "demand": [1]}, (), "market: "),
        ("pricing", "nrgcoin", {}, ("--param", "amount"), "--param: got 'amount', must be key=value"),
        ("pricing", "flat", {}, ("--param", "x=1"), "pricing.x: "),
        ("pricing", "flat", {}, ("--param", "buy_eur_per_kwh=a"), "pricing.buy_eur_per_kwh: got 'a'"),
        ("pricing", "adaptive", {}, ("--param", "K=1", "--param", "K=2"), "the only one for K"),
        ("pricing", "nrgcoins", {}, (), "did you mean 'nrgcoin'?"),
        (
            "scheduling",
            "v2g",
            session(connector={"power_kw": 0, "v2g_capable": True}),
            (),
            "connector.power_kw",
        ),
        ("scheduling", "v2g", session(sell=series([1], HOURS[8], 30)), (), "sell.step_minutes"),
        ("scheduling", "station", session(), (), "sessions: got nothing, must be present"),
        ("forecast", "perfect", {"history": [1.0], "day": "01-02-2020"}, (), "day"),
        (
            "forecast",
            "persistence",
            {"history": series([1], step_minutes=7), "day": "2020-01-02"},
            (),
            "step_min",
        ),
    ],
)
def test_bad_input_names_the_field_and_leaves_with_2(kind, name, question, words, sentence) -> None:
    assert sentence in refused(kind, name, question, *words)
