"""Whose time a process goes by: its own, that of the process that leads the market, or the real one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import msgspec

from voltagora.domain.errors import InputError
from voltagora.domain.units import Time
from voltagora.live.clock import TICK_SECONDS, Clock, ClockNews

log = logging.getLogger("voltagora.live")

PATIENCE_SECONDS: Final = 3 * TICK_SECONDS
"""After so long without a tick, what was retained on `clock` has to do."""


class Word(StrEnum):
    """What the operator says on `timer`."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"


class Lead(msgspec.Struct, frozen=True):
    """How time goes where it is led."""

    start_at: int | None  # simulated, seconds UTC, at the word `start`; None: the real time
    speed: float


class Timekeeping:
    """Starts, pauses and ends time by the words on `timer` and the news on `clock`.

    Args:
        clock: what is set by it.
        lead: given to the process that leads; it alone heeds `start`, `pause` and `resume`.
        is_real: no process leads and time is the real one, unless news come from one that does.
        say: publishes news of the clock.
        span: when the market begins and ends, if it could be another time than now.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        lead: Lead | None,
        is_real: bool,
        say: Callable[[ClockNews], None],
        span: tuple[int, int] | None = None,
    ) -> None:
        self.clock = clock
        self.lead = lead
        self.is_real = is_real
        self.is_stopped = False
        self._say = say
        self._span = span
        self._next_tick = 0.0
        self._real_from: float | None = None
        self._retained: ClockNews | None = None
        self._retained_at = 0.0
        self._under_way: ClockNews | None = None  # left on `clock` when we came, if we lead
        self._has_lived = False  # in this run, before a restart
        self._said: set[str] = set()

    @property
    def has_started(self) -> bool:
        """Whether it is any time yet."""
        return self.clock.is_set

    def heed(self, payload: bytes, *, is_retained: bool) -> None:
        """Act on a word; a retained one counts only if it is `start`."""
        try:
            word = Word(payload.decode())
        except ValueError:
            self._not_taken("timer", f"{payload[:40]!r} is no word of an operator")
            return
        if word is Word.STOP and not is_retained:
            self.is_stopped = True
        elif word is Word.START and not self.has_started:
            self._start()
        elif self.has_started and not is_retained:
            self._change_pace(word)

    def _start(self) -> None:
        if self.lead is not None:
            at = self.lead.start_at
            if at is not None and self._under_way is not None:
                log.warning("a market is under way already, and goes on from where its clock is")
                self.clock.follow(self._under_way, is_retained=True)
                self.clock.set_speed(self.lead.speed)
            else:
                self.clock.set(self.clock.wall() if at is None else at, self.lead.speed)
            self.tell()
        elif self.is_real and self._real_from is None:
            # Whoever leads time hears the word at the same moment and is about to say so.
            self._real_from = self.clock.monotonic() + PATIENCE_SECONDS

    def _start_for_real(self) -> None:
        now = self.clock.wall()
        self._real_from = None
        if self._span is not None and not self._span[0] <= now < self._span[1]:
            first, last = (Time(each) for each in self._span)
            log.error(
                "not started: nobody leads time, so it is the real one, and the market is from %s to %s; "
                "lead it (`voltagora agent imbalance --speed`), or move the market (--set start=)",
                first,
                last,
            )
        else:
            self.clock.set(now, 1.0)

    def _change_pace(self, word: Word) -> None:
        if self.lead is None and not self.is_real:
            return  # Who leads will say so on `clock`.
        if word is Word.PAUSE:
            self.clock.set_speed(0.0)
        elif word is Word.RESUME and self.lead is None:
            self.clock.set(self.clock.wall(), 1.0)
        elif word is Word.RESUME and self.lead is not None:
            self.clock.set_speed(self.lead.speed)
        self.tell()

    def hear(self, payload: bytes, *, is_retained: bool) -> None:
        """Follow the news of who leads."""
        if self.lead is not None and not is_retained:
            return  # They are ours, come back.
        try:
            news = ClockNews.read(payload)
        except InputError as error:
            self._not_taken("clock", str(error)[:300])
            return
        if self.lead is not None:
            # Not ours, or of a life that we have forgotten: for the others time must not go back.
            self._under_way = news if self._is_under_way(news) else None
        elif not is_retained:
            self.is_real = False
            self.clock.follow(news)
        elif not self.has_started and self._has_lived:
            # Whoever has not lived in this run cannot tell it from what an earlier one left behind.
            self._retained, self._retained_at = news, self.clock.monotonic()

    def _is_under_way(self, news: ClockNews) -> bool:
        """Tell whether a market of the same span goes by these news, for all that can be known."""
        if self._span is None or news.speed <= 0:
            return False
        passed = max(0.0, self.clock.wall() - news.start)
        return self._span[0] <= news.simulated_time + passed * news.speed < self._span[1]

    def _not_taken(self, topic: str, why: str) -> None:
        """Say it once; a broker with users lets only the operator speak there."""
        if topic not in self._said:
            self._said.add(topic)
            log.warning("not taken: on %s, %s", topic, why)

    def resume(self, news: ClockNews | None) -> None:
        """Take part again after a restart.

        Args:
            news: what this process last said itself; time has passed since then, too.
        """
        self._has_lived = True
        if news is not None and self.lead is not None:
            self.clock.follow(news, is_retained=True)
            self.tell()
        elif self.lead is None and self.is_real:
            self._real_from = self.clock.monotonic() + PATIENCE_SECONDS

    def end(self) -> None:
        """Say that time stands still, so that nobody takes it for that of a market under way."""
        if self.lead is not None and self.has_started:
            self.clock.set_speed(0.0)
            self.tell()

    def tell(self) -> None:
        """Say what time it is, if that is ours to say."""
        if self.lead is not None and self.has_started:
            self._say(self.clock.news())

    def tick(self) -> None:
        """Do what time brings with it."""
        now = self.clock.monotonic()
        if self.has_started and self.lead is not None and now >= self._next_tick:
            self.tell()
            # On whole seconds, because that is what the news can say.
            wall = self.clock.wall()
            self._next_tick = now + TICK_SECONDS - wall % 1.0
        if self._real_from is not None and now >= self._real_from and not self.has_started:
            self._start_for_real()
        if self._retained is not None and now - self._retained_at > PATIENCE_SECONDS:
            news, self._retained = self._retained, None
            if not self.has_started:
                log.warning(
                    "nobody says what time it is; going by what was last said and this machine's clock"
                )
                self.clock.follow(news, is_retained=True)

    @property
    def seconds_to_tick(self) -> float:
        """How long until `tick` has something to do."""
        if self.lead is None or not self.has_started:
            return TICK_SECONDS
        return max(0.05, min(TICK_SECONDS, self._next_tick - self.clock.monotonic()))
