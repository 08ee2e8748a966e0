"""What waits for the broker: saved publications of the agents in order, and words of the process itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from voltagora.live.outgoing import Outgoing
from voltagora.live.transport import Publication, Transport

MOST_UNDER_WAY: Final = 2_000
"""How many publications the transport is given before it has got rid of some."""


class Outbox:
    """Gives publications to a transport in order, and knows up to which the broker has all.

    Args:
        transport: the connection.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.taken_until = 0
        """The broker has every publication up to this number."""
        self._numbered: deque[tuple[int, Outgoing]] = deque()
        self._words: deque[Publication] = deque()  # presence and time: said anew after a restart
        self._taken: set[int] = set()

    def __len__(self) -> int:
        """Count the publications of agents that the transport has not been given."""
        return len(self._numbered)

    def resume(self, numbered: Iterable[tuple[int, Outgoing]], taken_until: int) -> int:
        """Take over after a restart what the broker may not have; give the number of the last."""
        self._numbered.extend(numbered)
        self.taken_until = taken_until
        return self._numbered[-1][0] if self._numbered else taken_until

    def add(self, first: int, words: Iterable[Outgoing]) -> None:
        """Add what is saved, numbered from `first` on."""
        self._numbered.extend(enumerate(words, first))

    def say(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Publish what is not an agent's, before anything that waits."""
        self._words.append(Publication(number=0, topic=topic, payload=payload, retain=retain))
        self.pump()

    def drop_words(self) -> None:
        """Drop what would be out of date by the next connection."""
        self._words.clear()

    def pump(self) -> None:
        """Give the transport as much as it should have."""
        numbered, words, transport = self._numbered, self._words, self.transport
        while words and transport.waiting < MOST_UNDER_WAY:
            transport.publish(words.popleft())
        while numbered and transport.waiting < MOST_UNDER_WAY:
            number, each = numbered.popleft()
            transport.publish(each.numbered(number))

    def taken(self, number: int) -> None:
        """Note what the broker has."""
        if number > 0:
            self._taken.add(number)
            while self.taken_until + 1 in self._taken:
                self.taken_until += 1
                self._taken.discard(self.taken_until)
        self.pump()

    async def drain(self) -> None:
        """Wait until the broker has everything."""
        while self._words or self._numbered:
            await self.transport.drain(MOST_UNDER_WAY // 2)
            self.pump()
        await self.transport.drain(0)
