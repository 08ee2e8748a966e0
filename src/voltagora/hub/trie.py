"""Subscriptions by filter: which of 10,000 filters match is found by walking the topic's levels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from voltagora.hub.topics import Filter

Subscriber = TypeVar("Subscriber")


@dataclass(slots=True, eq=False)
class Subscription:
    """One filter of one subscriber, with its options."""

    filter: Filter
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    identifier: int | None = None


class Node(Generic[Subscriber]):
    """A level of some filters: who subscribed exactly here, and the levels below."""

    __slots__ = ("below", "direct", "shared")

    def __init__(self) -> None:
        self.below: dict[str, Node[Subscriber]] = {}
        self.direct: dict[Subscriber, Subscription] = {}
        self.shared: dict[str, dict[Subscriber, Subscription]] = {}

    def subscriptions(self, group: str | None) -> dict[Subscriber, Subscription]:
        """Give the subscribers of this filter, in their group or in none."""
        return self.direct if group is None else self.shared.setdefault(group, {})

    @property
    def empty(self) -> bool:
        """Nothing is left here or below."""
        return not (self.below or self.direct or self.shared)


class Trie(Generic[Subscriber]):
    """All subscriptions; `version` changes with every change, so that routes may be kept."""

    __slots__ = ("_root", "size", "version")

    def __init__(self) -> None:
        self._root: Node[Subscriber] = Node()
        self.version = 0
        self.size = 0

    def add(self, subscription: Subscription, subscriber: Subscriber) -> bool:
        """Subscribe, replacing an equal filter of the same subscriber; say whether it is new."""
        node = self._root
        for level in subscription.filter.levels:
            found = node.below.get(level)
            if found is None:
                found = node.below[level] = Node()
            node = found
        here = node.subscriptions(subscription.filter.group)
        new = subscriber not in here
        here[subscriber] = subscription
        self.size += new
        self.version += 1
        return new

    def remove(self, wanted: Filter, subscriber: Subscriber) -> bool:
        """Unsubscribe and forget the levels that nobody needs; say whether it was there."""
        path = [self._root]
        for level in wanted.levels:
            found = path[-1].below.get(level)
            if found is None:
                return False
            path.append(found)
        node = path[-1]
        here = node.subscriptions(wanted.group)
        gone = here.pop(subscriber, None) is not None
        if wanted.group is not None and not here:
            del node.shared[wanted.group]
        for parent, level in zip(reversed(path[:-1]), reversed(wanted.levels), strict=True):
            if not node.empty:
                break
            del parent.below[level]
            node = parent
        self.size -= gone
        self.version += 1
        return gone

    def matching(self, levels: tuple[str, ...]) -> Iterator[Node[Subscriber]]:
        """Give the nodes whose filters match a topic, each once."""
        nodes = [self._root]
        wild = not levels[0].startswith("$")
        for level in levels:
            deeper = []
            for node in nodes:
                below = node.below
                if wild:
                    if "#" in below:
                        yield below["#"]
                    if "+" in below:
                        deeper.append(below["+"])
                if level in below:
                    deeper.append(below[level])
            if not deeper:
                return
            nodes, wild = deeper, True
        for node in nodes:
            yield node
            if "#" in node.below:
                yield node.below["#"]
