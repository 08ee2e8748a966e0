"""Who holds a connector when: reservations of one connector, none overlapping another."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable


class Book:
    """Half-open reservations `[start, end)`, ordered; at most one at any instant."""

    __slots__ = ("_ends", "_names", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._names: list[str] = []

    def is_free(self, start: int, end: int) -> bool:
        """Tell whether no reservation shares an instant with `[start, end)`."""
        # As none overlap, only the last one that begins before `end` can reach into it.
        place = bisect_left(self._starts, end)
        return place == 0 or self._ends[place - 1] <= start

    def add(self, start: int, end: int, name: str) -> None:
        """Enter a reservation.

        Raises:
            ValueError: it overlaps another; nothing is entered.
        """
        starts = self._starts
        place = bisect_left(starts, end)
        if place and self._ends[place - 1] > start:
            raise ValueError(f"{name} overlaps another reservation")
        starts.insert(place, start)
        self._ends.insert(place, end)
        self._names.insert(place, name)

    def remove(self, start: int, name: str) -> None:
        """Strike out a reservation; one that is not there is no error."""
        place = bisect_left(self._starts, start)
        if place < len(self._starts) and self._starts[place] == start and self._names[place] == name:
            del self._starts[place], self._ends[place], self._names[place]

    def next_start(self, moment: int) -> int | None:
        """Give the start of the first reservation that begins at or after an instant."""
        place = bisect_left(self._starts, moment)
        return self._starts[place] if place < len(self._starts) else None

    def forget(self, before: int) -> None:
        """Drop the reservations that ended by an instant."""
        gone = bisect_right(self._ends, before)
        if gone:
            del self._starts[:gone], self._ends[:gone], self._names[:gone]

    def entries(self) -> list[tuple[int, int, str]]:
        """List `(start, end, name)` in order."""
        return list(zip(self._starts, self._ends, self._names, strict=True))


def first_free(books: Iterable[Book], start: int, end: int) -> int | None:
    """Give the place of the first of some books that is free in `[start, end)`, see `Book.is_free`."""
    for place, book in enumerate(books):
        before = bisect_left(book._starts, end)
        if not before or book._ends[before - 1] <= start:
            return place
    return None
