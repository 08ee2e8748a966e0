"""From a publication to its subscribers: last and retained values, routes, shared subscriptions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from voltagora.hub.journal import Journal
from voltagora.hub.limits import Limits
from voltagora.hub.publication import Publication, Topic
from voltagora.hub.topic_table import TopicTable
from voltagora.hub.topics import Filter
from voltagora.hub.trie import Subscription, Trie


class Subscriber(Protocol):
    """Whoever can be handed a publication: a session, or a part of our own process."""

    user: str

    @property
    def online(self) -> bool:
        """Whether it can take messages now; a shared subscription prefers those."""

    def may_receive(self, topic: str) -> bool:
        """Whether rights let it be handed a message of this topic, now."""

    def deliver(self, publication: Publication, qos: int, retain: bool, identifiers: tuple[int, ...]) -> int:
        """Take a message, if rights let it; give the ticket of what must be saved."""


class Target:
    """One subscriber of a topic, all its matching subscriptions made one."""

    __slots__ = ("identifiers", "keeps_retain", "local", "qos", "subscriber")

    def __init__(self, subscriber: Subscriber, subscriptions: Sequence[Subscription]) -> None:
        self.subscriber = subscriber
        self.qos = max(each.qos for each in subscriptions)
        self.keeps_retain = any(each.retain_as_published for each in subscriptions)
        self.identifiers = tuple(each.identifier for each in subscriptions if each.identifier is not None)
        self.local: Target | None = self
        """What holds for messages the subscriber published itself."""
        heard = [each for each in subscriptions if not each.no_local]
        if len(heard) < len(subscriptions):
            self.local = Target(subscriber, heard) if heard else None


class SharedTarget:
    """The members of one shared subscription; each message goes to one of them, in turn."""

    __slots__ = ("members", "turn")

    def __init__(self, members: Sequence[Target], turn: int) -> None:
        self.members = tuple(members)
        self.turn = turn % len(self.members)

    def choose(self, topic: str) -> Target | None:
        """Give the next member that may receive, one that is online if there is any."""
        count = len(self.members)
        waiting = None
        for step in range(count):
            member = self.members[(self.turn + step) % count]
            if not member.subscriber.may_receive(topic):
                continue
            if member.subscriber.online:
                self.turn = (self.turn + step + 1) % count
                return member
            waiting = waiting or member
        self.turn = (self.turn + 1) % count
        return waiting


Route = tuple[Target | SharedTarget, ...]


class Router:
    """Subscriptions and topics together: takes publications and finds who gets them."""

    def __init__(self, limits: Limits, journal: Journal) -> None:
        self.topics = TopicTable(limits)
        self.trie: Trie[Subscriber] = Trie()
        self._journal = journal

    def take(self, publication: Publication, *, keep: bool = True) -> tuple[int, bool]:
        """Remember a publication and hand it to everyone it is for.

        Args:
            publication: the publication.
            keep: whether a retained one is to outlive the process.

        Returns:
            The ticket its acknowledgement waits for, and whether anybody subscribed.
        """
        topic = publication.topic
        ticket = 0
        self.topics.remember(publication)
        if publication.retain:
            self.topics.retain(publication)
            if keep:
                ticket = self._journal.retained(topic, topic.retained)
        if topic.route_version != self.trie.version:
            topic.route = self._route(topic)
            topic.route_version = self.trie.version
        route: Route = topic.route
        for target in route:
            ticket = max(ticket, self._hand(publication, target))
        # What is only remembered from here on need not keep its encoded form.
        publication.pieces3 = publication.pieces5 = None
        return ticket, bool(route)

    def _hand(self, publication: Publication, target: Target | SharedTarget) -> int:
        chosen: Target | None
        if isinstance(target, Target):
            chosen = target.local if publication.origin is target.subscriber else target
        else:
            chosen = target.choose(publication.topic.name)
        if chosen is None:
            return 0
        qos = publication.qos
        return chosen.subscriber.deliver(
            publication,
            qos if qos < chosen.qos else chosen.qos,
            publication.retain and chosen.keeps_retain,
            chosen.identifiers,
        )

    def _route(self, topic: Topic) -> Route:
        """Find everyone subscribed, each once, in the order of the filters met."""
        found: dict[Subscriber, list[Subscription]] = {}
        shared: list[SharedTarget] = []
        for node in self.trie.matching(topic.levels):
            for subscriber, subscription in node.direct.items():
                found.setdefault(subscriber, []).append(subscription)
            for members in node.shared.values():
                targets = [Target(who, [how]) for who, how in members.items()]
                shared.append(SharedTarget(targets, self.trie.version))
        return (*(Target(who, how) for who, how in found.items()), *shared)

    def retained(self, wanted: Filter) -> Iterator[Topic]:
        """Give the topics with a retained message that a filter matches."""
        return (topic for topic in self.topics.select(wanted.levels) if topic.retained is not None)
