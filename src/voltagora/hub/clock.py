"""Time as the hub is given it, and things due at a time."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count


@dataclass(frozen=True, slots=True)
class Clock:
    """The two clocks of the hub, handed in so that tests and simulations turn them.

    Attributes:
        monotonic: seconds, never set back; all time-outs and expiries.
        wall: seconds since 1970; stamps, and what must outlive a restart.
    """

    monotonic: Callable[[], float]
    wall: Callable[[], float]


class Timer:
    """Something due; `cancel` forgets it."""

    __slots__ = ("action", "due")

    def __init__(self, due: float, action: Callable[[], None]) -> None:
        self.due = due
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Forget it."""
        self.action = None


class Timers:
    """What is due when, first come first; the owner calls `run`."""

    __slots__ = ("_heap", "_numbers", "woken")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._numbers = count()
        self.woken: Callable[[], None] = lambda: None
        """Called when something is due earlier than all before."""

    def at(self, due: float, action: Callable[[], None]) -> Timer:
        """Have an action called at a time of the monotonic clock."""
        timer = Timer(due, action)
        heapq.heappush(self._heap, (due, next(self._numbers), timer))
        if self._heap[0][2] is timer:
            self.woken()
        return timer

    @property
    def next_due(self) -> float | None:
        """When `run` should be called next."""
        while self._heap and self._heap[0][2].action is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run(self, now: float) -> None:
        """Call everything due."""
        while self._heap and self._heap[0][0] <= now:
            action = heapq.heappop(self._heap)[2].action
            if action is not None:
                action()
