"""What waits because a broker said that it is full."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

from voltagora.live.transport import Publication

SHORTEST_SECONDS: Final = 0.1
LONGEST_SECONDS: Final = 30.0


class FullLane:
    """Publications of one sort, retained or not, that the broker takes later, in their order.

    The sorts wait apart: a quota of retained messages that is used up says nothing about the others,
    and would otherwise stand in their way.

    Args:
        is_under_way: whether answers to some of this sort are still to come; they would come out of turn.
        release: called when it is time to try again.
    """

    def __init__(self, is_under_way: Callable[[], bool], release: Callable[[], None]) -> None:
        self._is_under_way = is_under_way
        self._release = release
        self._refused: list[Publication] = []
        self._behind: list[Publication] = []
        self._timer: asyncio.TimerHandle | None = None
        self._seconds = SHORTEST_SECONDS

    def __len__(self) -> int:
        return len(self._refused) + len(self._behind)

    @property
    def is_closed(self) -> bool:
        """Whether nothing of this sort is to be sent now."""
        return self._timer is not None

    def refused(self, publication: Publication) -> None:
        """Keep what came back, and let a pause begin if none has."""
        self._refused.append(publication)
        if self._timer is None:
            delay = random.uniform(0.5, 1.0) * self._seconds
            self._timer = asyncio.get_running_loop().call_later(delay, self._try_again)
            self._seconds = min(LONGEST_SECONDS, self._seconds * 2)

    def wait(self, publication: Publication) -> None:
        """Keep what was said later than all that was refused."""
        self._behind.append(publication)

    def has_room(self) -> None:
        """Hear that the broker took one of this sort."""
        self._seconds = SHORTEST_SECONDS

    def take(self) -> list[Publication]:
        """Take all away, in the order in which they were said."""
        found = self._refused + self._behind
        self._refused, self._behind = [], []
        return found

    def _try_again(self) -> None:
        if self._is_under_way():
            self._timer = asyncio.get_running_loop().call_later(SHORTEST_SECONDS, self._try_again)
            return
        self._timer = None
        self._release()

    def stop(self) -> None:
        """Try no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
