"""A clock that never goes back, and keeps up with another whatever the network and the wall clock do."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voltagora.domain.errors import InputError
from voltagora.domain.units import Time
from voltagora.live.clock import Clock, ClockNews

BEGIN = 1_600_000_000
SPEEDS = st.sampled_from([1.0, 60.0, 3600.0, 40_000.0])


class Hands:
    """Real time as a test sets it."""

    def __init__(self, wall: float = 1_700_000_000.0) -> None:
        self.passed = 50.0
        self.wall_offset = wall - self.passed

    def clock(self) -> Clock:
        return Clock(lambda: self.passed, lambda: self.passed + self.wall_offset)


def test_it_goes_as_fast_as_it_is_set() -> None:
    hands = Hands()
    clock = hands.clock()
    clock.set(BEGIN, 3600.0)

    hands.passed += 2.5

    assert clock.now() == BEGIN + 9000
    assert clock.seconds_until(BEGIN + 10_800) == pytest.approx(0.5)
    clock.set_speed(0.0)
    hands.passed += 1000
    assert clock.now() == BEGIN + 9000
    assert clock.seconds_until(BEGIN + 10_800) is None


steps = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.floats(0.0, 700.0)),
        st.tuples(st.just("wall"), st.floats(-100_000.0, 100_000.0)),
        st.tuples(st.just("speed"), st.sampled_from([0.0, 1.0, 60.0, 3600.0])),
        st.tuples(st.just("tick"), st.integers(-20_000, 20_000)),
        st.tuples(st.just("retained"), st.integers(-20_000, 20_000)),
        st.tuples(st.just("floor"), st.integers(-20_000, 20_000)),
    ),
    max_size=20,
)


@given(steps)
def test_it_never_goes_back_whatever_happens(history: list[tuple[str, float]]) -> None:
    hands = Hands()
    clock = hands.clock()
    clock.set(BEGIN, 60.0)
    last = clock.now()
    for what, value in history:
        if what == "wait":
            hands.passed += value
        elif what == "wall":
            hands.wall_offset += value
        elif what == "speed":
            clock.set_speed(value)
        elif what == "floor":
            clock.floor(BEGIN + int(value))
        else:
            news = ClockNews(start=Time(1_700_000_000), speed=60.0, simulated_time=Time(BEGIN + int(value)))
            clock.follow(news, is_retained=what == "retained")
        assert clock.now() >= last
        last = clock.now()


@given(st.lists(st.floats(-500_000.0, 500_000.0), max_size=10), SPEEDS)
def test_a_wall_clock_that_jumps_changes_nothing(jumps: list[float], speed: float) -> None:
    hands, still = Hands(), Hands()
    clock, other = hands.clock(), still.clock()
    clock.set(BEGIN, speed)
    other.set(BEGIN, speed)
    for jump in jumps:
        hands.wall_offset += jump
        hands.passed += 1.7
        still.passed += 1.7
        assert clock.now() == other.now()


@given(SPEEDS, st.lists(st.floats(0.0, 0.3), min_size=3, max_size=40), st.floats(-90_000.0, 90_000.0))
def test_who_follows_is_never_ahead_and_behind_by_no_more_than_the_network(
    speed: float, delays: list[float], wrong_by: float
) -> None:
    hands = Hands()
    other = Hands(1_700_000_000.0 + wrong_by)  # whose wall clock is hours off
    leader, follower = hands.clock(), other.clock()
    leader.set(BEGIN, speed)
    for delay in delays:
        news = leader.news()
        hands.passed += delay
        other.passed = hands.passed
        follower.follow(news)
        behind = leader.now() - follower.now()
        assert -1 <= behind <= speed * 0.3 + 2
        hands.passed += 2.0 - delay
        other.passed = hands.passed
        assert -1 <= leader.now() - follower.now() <= speed * 0.3 + 2


def test_late_ticks_do_not_slow_who_follows() -> None:
    hands = Hands()
    leader, follower = hands.clock(), hands.clock()
    leader.set(BEGIN, 3600.0)
    follower.follow(leader.news())
    for _, delay in zip(range(20), itertools.cycle([0.4, 0.0, 0.2]), strict=False):
        hands.passed += 2.0
        news = leader.news()
        hands.passed += delay
        follower.follow(news)

    assert leader.now() - follower.now() <= 1


def test_who_began_late_catches_up_with_the_first_tick_that_is_not() -> None:
    hands = Hands()
    leader, follower = hands.clock(), hands.clock()
    leader.set(BEGIN, 3600.0)
    news = leader.news()
    hands.passed += 0.4
    follower.follow(news)
    assert leader.now() - follower.now() > 1000
    hands.passed += 1.6

    follower.follow(leader.news())

    assert leader.now() - follower.now() <= 1


def test_a_pause_and_what_comes_after_are_followed() -> None:
    hands = Hands()
    leader, follower = hands.clock(), hands.clock()
    leader.set(BEGIN, 60.0)
    follower.follow(leader.news())
    hands.passed += 10
    leader.set_speed(0.0)
    follower.follow(leader.news())
    hands.passed += 1000
    assert follower.now() == leader.now() == BEGIN + 600
    leader.set_speed(60.0)
    follower.follow(leader.news())
    hands.passed += 10
    assert follower.now() == leader.now() == BEGIN + 1200


def test_of_what_was_said_long_ago_the_time_since_is_added() -> None:
    hands = Hands(1_700_000_100.0)
    clock = hands.clock()

    news = ClockNews(start=Time(1_700_000_000), speed=60.0, simulated_time=Time(BEGIN))
    clock.follow(news, is_retained=True)

    assert clock.now() == BEGIN + 6000


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"now",
        b"[]",
        b'{"start":"2020-01-01T00:00:00Z","speed":-1,"simulated_time":"2020-01-01T00:00:00Z"}',
        b'{"start":"2020-01-01T00:00:00Z","speed":NaN,"simulated_time":"2020-01-01T00:00:00Z"}',
        b'{"start":"2020-01-01T00:00:00Z","speed":1e300,"simulated_time":"2020-01-01T00:00:00Z"}',
        b'{"start":"yesterday","speed":1,"simulated_time":"2020-01-01T00:00:00Z"}',
        b'{"start":"2020-01-01T00:00:00Z","speed":"fast","simulated_time":"2020-01-01T00:00:00Z"}',
        b'{"start":"2020-01-01T00:00:00Z","simulated_time":"2020-01-01T00:00:00Z"}',
    ],
)
def test_news_that_are_none_are_refused(payload: bytes) -> None:
    with pytest.raises(InputError):
        ClockNews.read(payload)


def test_news_come_back_as_they_were_said() -> None:
    news = ClockNews(start=Time(1_700_000_000), speed=2.5, simulated_time=Time(BEGIN))

    assert ClockNews.read(news.written()) == news
