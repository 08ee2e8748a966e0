"""Until when replies are waited for, in real time; after a restart they are waited for anew."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator

from voltagora.agents.exchange import Waited


class Deadlines:
    """The requests whose replies are awaited, by when it has taken too long.

    Args:
        monotonic: where real time comes from, seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._order = itertools.count()
        self._due: list[tuple[float, int, Waited, int]] = []  # a heap

    def add(self, deadlines: Iterable[tuple[float, Waited, int]]) -> None:
        """Wait from now on: seconds, what for, sends so far."""
        now = self._monotonic()
        for seconds, waited, sends in deadlines:
            heapq.heappush(self._due, (now + seconds, next(self._order), waited, sends))

    def take_due(self) -> Iterator[tuple[Waited, int]]:
        """Take away what has taken too long by now."""
        now = self._monotonic()
        while self._due and self._due[0][0] <= now:
            _, _, waited, sends = heapq.heappop(self._due)
            yield waited, sends

    @property
    def seconds_to_next(self) -> float | None:
        """How long until the next has taken too long; None: nothing is waited for."""
        return self._due[0][0] - self._monotonic() if self._due else None
