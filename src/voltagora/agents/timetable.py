"""What is due at which instant: reminders in the order in which they were asked for."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

Act = Callable[..., None]


class Timetable:
    """Instants at which something is due, and what; both runtimes keep time by it."""

    __slots__ = ("_due", "instants")

    def __init__(self) -> None:
        self.instants: list[int] = []  # a heap
        self._due: dict[int, list[tuple[Act, tuple[Any, ...]]]] = {}

    def call_at(self, at: int, act: Act, *arguments: Any) -> None:
        """Call `act` with the arguments at an instant."""
        due = self._due.get(at)
        if due is None:
            due = self._due[at] = []
            heappush(self.instants, at)
        due.append((act, arguments))

    def next_instant(self) -> int:
        """Take away the earliest instant; `act` must follow."""
        return heappop(self.instants)

    def act(self, instant: int) -> None:
        """Do all that is due at an instant, and what becomes due at it meanwhile."""
        for act, arguments in self._due[instant]:
            act(*arguments)
        del self._due[instant]
