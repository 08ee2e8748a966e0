"""Finds what a publication is and which agents of this process it is for, from its topic alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from voltagora.agents.agent import Address, Agent
from voltagora.domain.units import ID_PATTERN
from voltagora.protocols.access import OWN
from voltagora.protocols.catalogue import MESSAGES
from voltagora.protocols.message import Broadcast, Message, Reply
from voltagora.protocols.topic import Kind

_ID: Final = re.compile(ID_PATTERN)
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")

Shape = tuple[str | None, ...]
"""The levels of a topic, None where an id stands."""


class Route(NamedTuple):
    """What a topic carries."""

    message: type[Message]
    reader_place: int | None  # which of the topic's ids is the reader's; None: all of the reading kinds read


class Dispatch:
    """The agents of one process, by what they read."""

    def __init__(self, agents: Iterable[Agent]) -> None:
        self._kind_of: dict[str, Kind] = {}
        self._of_kind: dict[Kind, list[str]] = {}
        for agent in agents:
            self._kind_of[agent.id] = agent.kind
            self._of_kind.setdefault(agent.kind, []).append(agent.id)
        self._all: dict[type[Message], tuple[str, ...]] = {}

    def find(self, topic: str) -> tuple[Route, Address] | None:
        """Tell what a topic carries and which ids stand in it, or None if it is not of the contract."""
        levels = topic.split("/")
        shape, places = _shape_and_places(levels)
        route = _routes().get(shape)
        if route is None:
            return None
        address = tuple(levels[place] for place in places)
        return (route, address) if all(_ID.match(id) for id in address) else None

    def readers(self, route: Route, address: Address) -> tuple[str, ...]:
        """List the agents here that a publication is for, in the order in which they joined."""
        message, place = route
        if place is not None:
            reader = address[place]
            return (reader,) if self._kind_of.get(reader) in message.readers else ()
        readers = self._all.get(message)
        if readers is None:
            kinds = message.readers
            readers = tuple(id for id, kind in self._kind_of.items() if kind in kinds)
            self._all[message] = readers
        return readers


def _shape_and_places(levels: list[str]) -> tuple[Shape, tuple[int, ...]]:
    if len(levels) == 3:
        return (levels[0], None, levels[2]), (1,)
    if len(levels) == 6:
        return (levels[0], None, levels[2], None, levels[4], levels[5]), (1, 3)
    return tuple(levels[:7]), ()


@lru_cache(maxsize=1)
def _routes() -> dict[Shape, Route]:
    routes = {}
    for message in MESSAGES:
        for template in message.topics:
            shape = tuple(None if "{" in level else level for level in template.split("/"))
            routes[shape] = Route(message, _reader_place(message, template))
    return routes


def _reader_place(message: type[Message], template: str) -> int | None:
    if issubclass(message, Broadcast):
        return None
    names = _PLACEHOLDER.findall(template)
    for place, name in enumerate(names):
        if OWN.get(name) in message.readers or (name not in OWN and issubclass(message, Reply)):
            return place
    return None
