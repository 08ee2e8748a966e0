"""All agents of a tiny market in one node whose words come back to it as a test wants."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from doomed import DoomedMarket
from tiny_market import a_tiny_market

from voltagora.domain.records import Record
from voltagora.live.events import Advanced, Arrived, Event, Started
from voltagora.live.node import Node
from voltagora.live.outgoing import Outgoing
from voltagora.live.tokens import SecretRandomness
from voltagora.live.trust import OwnerTable
from voltagora.scenario.cast import Part, cast
from voltagora.simulation.days import DayJoiner


class OneNode:
    """A node and everything that it was told and said.

    Args:
        folder: for the market's stage, which is not played.
        owners: who owns which agent; None: nobody is asked.
    """

    def __init__(self, folder: Path, owners: OwnerTable | None = None) -> None:
        self.market: DoomedMarket = a_tiny_market(folder)
        self.records: list[Record] = []
        self.events: list[Event] = []
        self.words: list[Outgoing] = []
        self.held: list[Outgoing] = []
        self._under_way: deque[Outgoing] = deque()
        self.hold: Callable[[Outgoing], bool] = lambda _: False
        self.owners = owners
        self.node = self.made()
        self.begin = self.market.horizon.start
        self.hear(Started(self.begin))

    def made(self) -> Node:
        market = self.market
        played = cast(market.scenario, market.people, Part())
        randomness = SecretRandomness(market.scenario.seed, b"s" * 32)
        return played.node(randomness, DayJoiner(self.records.append), self.owners)

    def hear(self, event: Event) -> bool:
        """Let something happen; all that is said comes back in its order, but for what is held."""
        changed = self._apply(event)
        while self._under_way:
            each = self._under_way.popleft()
            self._apply(Arrived(self.node.exchange.now, each.topic, each.payload, each.agent))
        return changed

    def _apply(self, event: Event) -> bool:
        changed = self.node.apply(event)
        if changed:
            self.events.append(event)
        for each in self.node.take():
            self.words.append(each)
            (self.held if self.hold(each) else self._under_way).append(each)
        return changed

    def until(self, hour: float) -> None:
        now = self.begin + int(hour * 3600)
        self.hear(Advanced(now))

    def say(self, topic: str, payload: object, sender: str | None = None, **more: Any) -> list[Outgoing]:
        """Let somebody say something; give what is said then, in the end."""
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        before = len(self.words)
        self.hear(Arrived(self.node.exchange.now, topic, raw, sender, **more))
        return self.words[before:]

    def agent(self, id: str) -> Any:
        return self.node.exchange.agents[id]

    def restart(self) -> None:
        """Make all agents anew from what happened."""
        self.records.clear()
        self.node = self.made()
        said = []
        for event in self.events:
            self.node.apply(event)
            said += self.node.take()
        assert said == self.words
