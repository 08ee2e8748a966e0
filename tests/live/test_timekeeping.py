"""Who leads time starts, pauses and ends it; the others follow, and no leftover starts anything."""

from __future__ import annotations

import logging

import pytest

from voltagora.domain.units import Time
from voltagora.live.clock import Clock, ClockNews
from voltagora.live.timekeeping import PATIENCE_SECONDS, Lead, Timekeeping

BEGIN, END = 1_600_000_000, 1_600_086_400
WALL = 1_700_000_000.0


class Keeper:
    """A process's time, with hands that a test moves."""

    def __init__(self, lead: Lead | None = None, *, is_real: bool = False, span: bool = True) -> None:
        self.passed = 0.0
        self.said: list[ClockNews] = []
        self.clock = Clock(lambda: self.passed, lambda: WALL + self.passed)
        self.time = Timekeeping(
            self.clock,
            lead=lead,
            is_real=is_real,
            say=self.said.append,
            span=(BEGIN, END) if span else None,
        )

    def wait(self, seconds: float) -> None:
        until = self.passed + seconds
        while self.passed < until:
            self.passed = min(until, self.passed + self.time.seconds_to_tick)
            self.time.tick()

    def hear(self, simulated: int, speed: float = 60.0, *, ago: float = 0.0, retained: bool = False) -> None:
        start = Time(int(WALL + self.passed - ago))
        news = ClockNews(start=start, speed=speed, simulated_time=Time(simulated))
        self.time.hear(news.written(), is_retained=retained)

    def word(self, word: bytes, *, retained: bool = False) -> None:
        self.time.heed(word, is_retained=retained)


def leader() -> Keeper:
    return Keeper(Lead(start_at=BEGIN, speed=60.0))


def test_the_leader_starts_once_and_says_so_again_and_again() -> None:
    keeper = leader()
    keeper.wait(5)
    assert not keeper.said
    keeper.word(b"start")
    keeper.wait(10)
    keeper.word(b"start")
    keeper.word(b"start", retained=True)

    assert keeper.clock.now() == BEGIN + 600
    assert 4 <= len(keeper.said) <= 8
    assert keeper.said[-1].speed == 60.0


def test_a_retained_start_counts() -> None:
    keeper = leader()

    keeper.word(b"start", retained=True)

    assert keeper.time.has_started


def test_pause_and_resume() -> None:
    keeper = leader()
    keeper.word(b"pause")
    assert not keeper.time.has_started
    keeper.word(b"start")
    keeper.wait(10)
    keeper.word(b"pause")
    keeper.wait(1000)
    assert keeper.clock.now() == BEGIN + 600
    assert keeper.said[-1].speed == 0.0
    keeper.word(b"resume", retained=True)
    assert keeper.clock.speed == 0.0
    keeper.word(b"resume")
    keeper.wait(10)
    assert keeper.clock.now() == BEGIN + 1200


def test_stop_ends_it_and_a_retained_one_does_not() -> None:
    keeper = leader()
    keeper.word(b"stop", retained=True)
    assert not keeper.time.is_stopped
    keeper.word(b"stop")
    assert keeper.time.is_stopped


def test_words_that_nobody_knows_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    keeper = leader()
    with caplog.at_level(logging.WARNING):
        for word in (b"go", b"", b"\xff" * 100_000, b"START"):
            keeper.word(word)
        for payload in (b"", b"{}", b"\xff"):
            Keeper().time.hear(payload, is_retained=False)

    assert not keeper.time.has_started
    assert len([record for record in caplog.records if "timer" in record.message]) == 1
    assert all(len(record.getMessage()) < 400 for record in caplog.records)


def test_who_follows_starts_with_the_first_tick_and_says_nothing() -> None:
    keeper = Keeper()
    keeper.word(b"start")
    keeper.wait(60)
    assert not keeper.time.has_started

    keeper.hear(BEGIN + 4000)
    keeper.wait(1)

    assert keeper.clock.now() == BEGIN + 4060
    assert not keeper.said


@pytest.mark.parametrize("retained_start", [True, False])
def test_a_clock_that_an_earlier_run_left_starts_nobody(retained_start: bool) -> None:
    keeper = Keeper()
    keeper.hear(BEGIN + 80_000, ago=100_000, retained=True)
    keeper.word(b"start", retained=retained_start)
    keeper.wait(10 * PATIENCE_SECONDS)
    assert not keeper.time.has_started

    keeper.hear(BEGIN)

    assert keeper.clock.now() == BEGIN


def test_who_lived_in_this_run_goes_by_what_was_last_said_if_nobody_leads() -> None:
    keeper = Keeper()
    keeper.time.resume(None)
    keeper.hear(BEGIN + 600, ago=10, retained=True)
    assert not keeper.time.has_started

    keeper.wait(PATIENCE_SECONDS + 3)

    assert keeper.clock.now() == pytest.approx(BEGIN + 600 + 60 * (10 + keeper.passed), abs=61)


def test_who_lived_in_this_run_prefers_who_leads() -> None:
    keeper = Keeper()
    keeper.time.resume(None)
    keeper.hear(BEGIN + 600, ago=3600, retained=True)
    keeper.wait(1)
    keeper.hear(BEGIN + 700)
    keeper.wait(3 * PATIENCE_SECONDS)

    assert keeper.clock.now() == BEGIN + 700 + int(60 * (keeper.passed - 1))


def test_a_leader_goes_on_after_a_restart_with_the_time_that_has_passed() -> None:
    keeper = leader()
    said = ClockNews(start=Time(int(WALL) - 100), speed=60.0, simulated_time=Time(BEGIN + 60))

    keeper.time.resume(said)

    assert keeper.clock.now() == BEGIN + 60 + 6000
    assert keeper.said


def test_a_leader_whose_wall_clock_went_back_goes_on_from_what_it_said() -> None:
    keeper = leader()
    said = ClockNews(start=Time(int(WALL) + 7200), speed=60.0, simulated_time=Time(BEGIN + 60))

    keeper.time.resume(said)

    assert keeper.clock.now() == BEGIN + 60


def test_a_leader_that_has_forgotten_goes_on_where_its_market_is() -> None:
    keeper = leader()
    keeper.hear(BEGIN + 600, ago=10, retained=True)
    keeper.wait(3)
    assert not keeper.time.has_started

    keeper.word(b"start")

    assert keeper.clock.now() == BEGIN + 600 + 60 * 13


@pytest.mark.parametrize(
    ("simulated", "speed", "ago"), [(END, 0.0, 5), (BEGIN + 600, 60.0, 90_000), (BEGIN - 9999, 60.0, 0)]
)
def test_a_leader_begins_anew_where_a_market_is_over(simulated: int, speed: float, ago: float) -> None:
    keeper = leader()
    keeper.hear(simulated, speed, ago=ago, retained=True)

    keeper.word(b"start")

    assert keeper.clock.now() == BEGIN


def test_a_leader_does_not_follow_its_own_words() -> None:
    keeper = leader()
    keeper.word(b"start")
    keeper.wait(4)
    keeper.hear(BEGIN + 50_000)

    assert keeper.clock.now() == BEGIN + 240


def test_at_the_end_nobody_can_take_the_clock_for_one_that_goes() -> None:
    keeper = leader()
    keeper.word(b"start")

    keeper.time.end()

    assert keeper.said[-1].speed == 0.0


def test_real_time_begins_if_nobody_leads_and_only_within_the_market(
    caplog: pytest.LogCaptureFixture,
) -> None:
    outside = Keeper(is_real=True)
    outside.word(b"start")
    outside.wait(2 * PATIENCE_SECONDS)
    assert not outside.time.has_started
    assert "not started" in caplog.text

    keeper = Keeper(is_real=True, span=False)
    keeper.word(b"start")
    keeper.wait(PATIENCE_SECONDS + 3)
    assert keeper.clock.now() == int(WALL + keeper.passed)


def test_real_time_gives_way_to_who_leads() -> None:
    keeper = Keeper(is_real=True, span=False)
    keeper.word(b"start")
    keeper.wait(1)
    keeper.hear(BEGIN)
    keeper.wait(PATIENCE_SECONDS * 2)

    assert keeper.clock.now() == BEGIN + int(60 * (keeper.passed - 1))


def test_real_time_goes_on_after_a_restart() -> None:
    keeper = Keeper(is_real=True, span=False)
    keeper.time.resume(None)
    keeper.wait(PATIENCE_SECONDS + 3)

    assert keeper.clock.now() == int(WALL + keeper.passed)


def test_who_follows_is_not_woken_more_often_than_needed() -> None:
    keeper = Keeper()
    keeper.hear(BEGIN)

    assert keeper.time.seconds_to_tick >= 1.0
