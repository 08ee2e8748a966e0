"""Half-open stretches of time."""

from __future__ import annotations

from typing import NamedTuple


class Interval(NamedTuple):
    """`[start, end)` in seconds UTC."""

    start: int
    end: int

    def overlaps(self, other: Interval) -> bool:
        """Tell whether both share an instant; touching ends do not."""
        return self.start < other.end and other.start < self.end
