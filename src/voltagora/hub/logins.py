"""Slows down whoever guesses passwords, per account and address and per address."""

from __future__ import annotations

from typing import Final

FREE_TRIES: Final = 5
"""Wrong passwords before the first wait."""
FREE_TRIES_OF_ADDRESS: Final = 50
"""The same for an address as a whole, behind which there may be many users."""
LONGEST_SECONDS: Final = 60.0
MOST_REMEMBERED: Final = 10_000


class Backoff:
    """Failures by account and address; each beyond the free ones doubles the wait."""

    __slots__ = ("_failures",)

    def __init__(self) -> None:
        self._failures: dict[tuple[str, str | None], tuple[int, float]] = {}

    def may_try(self, address: str, user: str | None, now: float) -> bool:
        """Whether a try is looked at at all; if not, it gets the answer of a wrong password."""
        return all(now >= self._failures.get(key, (0, now))[1] for key in _keys(address, user))

    def failed(self, address: str, user: str | None, now: float) -> None:
        """Take note of a wrong password."""
        for key, free in zip(_keys(address, user), (FREE_TRIES, FREE_TRIES_OF_ADDRESS), strict=True):
            number = self._failures.pop(key, (0, 0.0))[0] + 1
            wait = min(LONGEST_SECONDS, 2.0 ** min(number - free, 10)) if number > free else 0.0
            self._failures[key] = (number, now + wait)
        while len(self._failures) > MOST_REMEMBERED:
            del self._failures[next(iter(self._failures))]

    def succeeded(self, address: str, user: str | None) -> None:
        """Forget the failures of an account from this address."""
        self._failures.pop((address, user or ""), None)


def _keys(address: str, user: str | None) -> tuple[tuple[str, str | None], tuple[str, str | None]]:
    return (address, user or ""), (address, None)
