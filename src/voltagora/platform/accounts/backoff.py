"""Slows down whoever guesses passwords: 10 failures an account or 50 an address in a minute."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

OF_ACCOUNT: Final = 10
OF_ADDRESS: Final = 50
WINDOW_SECONDS: Final = 60.0
MOST_REMEMBERED: Final = 20_000


class Backoff:
    """Failures of the last minute, by account and by address.

    An address from which an account got in before has a count of its own for that account: so a
    stranger who guesses from elsewhere does not lock its owner out.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._failures: dict[tuple[str, str], deque[float]] = {}
        self._homes: dict[tuple[str, str], None] = {}

    def may_try(self, account: str, address: str) -> bool:
        """Whether a try is looked at at all; if not, it gets the answer of a wrong password."""
        with self._lock:
            limits = ((self._account(account, address), OF_ACCOUNT), (("", address), OF_ADDRESS))
            return all(self._count(key) < most for key, most in limits)

    def failed(self, account: str, address: str) -> None:
        """Take note of a wrong password."""
        with self._lock:
            for key, most in ((self._account(account, address), OF_ACCOUNT), (("", address), OF_ADDRESS)):
                times = self._failures.pop(key, None) or deque(maxlen=most)
                times.append(self._monotonic())
                self._failures[key] = times
            while len(self._failures) > MOST_REMEMBERED:
                del self._failures[next(iter(self._failures))]

    def succeeded(self, account: str, address: str) -> None:
        """Forget the failures of an account; those of its address stay, for it may own one account."""
        with self._lock:
            self._failures.pop(self._account(account, address), None)
            self._homes.pop((account, address), None)
            self._homes[account, address] = None
            if len(self._homes) > MOST_REMEMBERED:
                del self._homes[next(iter(self._homes))]

    def _account(self, account: str, address: str) -> tuple[str, str]:
        return (account, address if (account, address) in self._homes else "")

    def _count(self, key: tuple[str, str]) -> int:
        times = self._failures.get(key)
        if times is None:
            return 0
        since = self._monotonic() - WINDOW_SECONDS
        while times and times[0] <= since:
            times.popleft()
        if not times:
            del self._failures[key]
        return len(times)
