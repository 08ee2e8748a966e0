"""Simulated time from the time that really passes: started, quickened, stopped and gone on with."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import msgspec

from voltagora.domain.errors import InputError
from voltagora.domain.units import Time
from voltagora.protocols.codec import decode, encode

TICK_SECONDS: Final = 2.0
"""How often who keeps the clock says what time it is."""
LATEST_TICK_SECONDS: Final = 0.5
WHOLE_SECOND: Final = 1.0
"""How much less a tick may say than is true, because it says whole seconds."""
FASTEST: Final = 1_000_000.0


class ClockNews(msgspec.Struct, frozen=True, kw_only=True):
    """What is published on `clock`."""

    start: Time  # wall clock of the publisher when it was said
    speed: float  # seconds simulated a second; 0: paused
    simulated_time: Time  # at `start`

    def __post_init__(self) -> None:
        if not 0 <= self.speed <= FASTEST:
            raise InputError("speed", self.speed, f"0 to {FASTEST:.0f}")

    @classmethod
    def read(cls, payload: bytes) -> ClockNews:
        """Read a publication.

        Raises:
            InputError: it is not one.
        """
        return decode(payload, cls)

    def written(self) -> bytes:
        """Give the payload."""
        return encode(self)


class Clock:
    """What time it is for the agents; it never goes back.

    Whoever follows another's clock takes the moment a tick arrives for the moment it was said, so a
    wrong wall clock here does no harm.

    Args:
        monotonic, wall: where real time comes from (seconds; seconds UTC).
    """

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self.monotonic = monotonic
        self.wall = wall
        self.speed = 0.0
        self.is_set = False
        self._from = 0.0  # simulated
        self._since = 0.0  # monotonic
        self._last = 0

    def set(self, simulated: float, speed: float) -> None:
        """Let it be such a time from this moment on."""
        self._from, self._since, self.speed = simulated, self.monotonic(), speed
        self.is_set = True

    def set_speed(self, speed: float) -> None:
        """Let time go faster, slower or not at all from this moment on."""
        self.set(self._exactly(), speed)

    def follow(self, news: ClockNews, *, is_retained: bool = False) -> None:
        """Go as another clock goes; of what was said some time ago, add what has passed since then."""
        passed = max(0.0, self.wall() - news.start) if is_retained else 0.0
        told = news.simulated_time + passed * news.speed
        if is_retained or news.speed != self.speed or not self.is_set:
            self.set(told, news.speed)
        elif self.speed > 0:
            # A tick that came late says too little: one that says more than we believe is nearer to
            # the truth, one that says a little less is not.
            behind = told - self._exactly()
            if behind > 0 or behind < -self.speed * LATEST_TICK_SECONDS - WHOLE_SECOND:
                self.set(told, news.speed)

    def now(self) -> int:
        """Give the simulated time, whole seconds UTC."""
        self._last = max(self._last, int(self._exactly()))
        return self._last

    def floor(self, simulated: int) -> None:
        """Never be earlier than what the agents have lived through."""
        self._last = max(self._last, int(simulated))

    def news(self) -> ClockNews:
        """Say what time it is."""
        return ClockNews(
            start=Time(int(self.wall())), speed=self.speed, simulated_time=Time(int(self._exactly()))
        )

    def seconds_until(self, simulated: int) -> float | None:
        """Give how long it takes really until a simulated instant; None: it stands still."""
        if self.speed <= 0:
            return None
        return max(0.0, (simulated - self._exactly()) / self.speed)

    def _exactly(self) -> float:
        return self._from + (self.monotonic() - self._since) * self.speed
