"""All topic names in use, found by their bytes or by a filter."""

from __future__ import annotations

from collections.abc import Iterator

from voltagora.hub.limits import Limits
from voltagora.hub.publication import Publication, Topic
from voltagora.hub.topics import topic_levels


class _Level:
    __slots__ = ("below", "topic")

    def __init__(self) -> None:
        self.below: dict[str, _Level] = {}
        self.topic: Topic | None = None


class TopicTable:
    """Topics with their last and retained values, within the limits on their number and bytes.

    Attributes:
        known: topics by their name in UTF-8, oldest first; looked up for every message.
    """

    __slots__ = ("_limits", "_root", "known", "last_bytes", "retained", "retained_bytes")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._root = _Level()
        self.known: dict[bytes, Topic] = {}
        self.last_bytes = 0
        self.retained = 0
        self.retained_bytes = 0

    def named(self, name: str) -> Topic:
        """Give the topic of this name, new if need be.

        Raises:
            PacketError: it is no topic name.
        """
        key = name.encode()
        found = self.known.get(key)
        if found is not None:
            return found
        topic = Topic(name, topic_levels(name))
        level = self._root
        for word in topic.levels:
            below = level.below.get(word)
            if below is None:
                below = level.below[word] = _Level()
            level = below
        level.topic = topic
        self.known[key] = topic
        if len(self.known) > self._limits.topics:
            self._forget_oldest(topic)
        return topic

    def remember(self, publication: Publication) -> None:
        """Make a publication the last value of its topic."""
        topic = publication.topic
        before = topic.last
        topic.last = publication
        self.last_bytes += len(publication.payload)
        if before is not None:
            self.last_bytes -= len(before.payload)
        while self.last_bytes > self._limits.last_value_bytes and self._forget_oldest(topic):
            pass

    def room_to_retain(self, publication: Publication) -> bool:
        """Whether the limits let a publication be retained."""
        kept = publication.topic.retained
        if not publication.payload:
            return True
        bytes_after = self.retained_bytes + len(publication.payload) - (len(kept.payload) if kept else 0)
        number_after = self.retained + (kept is None)
        return number_after <= self._limits.retained and bytes_after <= self._limits.retained_bytes

    def retain(self, publication: Publication) -> None:
        """Keep a publication for later subscribers; an empty one clears the topic."""
        topic = publication.topic
        if topic.retained is not None:
            self.retained -= 1
            self.retained_bytes -= len(topic.retained.payload)
            topic.retained = None
        if publication.payload:
            topic.retained = publication
            self.retained += 1
            self.retained_bytes += len(publication.payload)

    def forget(self, topic: Topic) -> None:
        """Drop the values of a topic, as if nothing had ever been published there."""
        if topic.retained is not None:
            self.retained -= 1
            self.retained_bytes -= len(topic.retained.payload)
            topic.retained = None
        if topic.last is not None:
            self.last_bytes -= len(topic.last.payload)
            topic.last = None

    def select(self, levels: tuple[str, ...]) -> Iterator[Topic]:
        """Give the topics that a filter matches."""
        stack = [(self._root, 0)]
        while stack:
            level, depth = stack.pop()
            if depth == len(levels):
                if level.topic is not None:
                    yield level.topic
                continue
            word = levels[depth]
            if word == "#" and level.topic is not None:
                yield level.topic
            if word in ("#", "+"):
                deeper = depth if word == "#" else depth + 1
                hidden = level is self._root
                stack.extend(
                    (below, deeper)
                    for name, below in level.below.items()
                    if not (hidden and name.startswith("$"))
                )
            elif word in level.below:
                stack.append((level.below[word], depth + 1))

    def _forget_oldest(self, but: Topic) -> bool:
        """Forget the last value that came first; retained topics are only looked at once in a round."""
        for _ in range(len(self.known)):
            key, topic = next(iter(self.known.items()))
            del self.known[key]
            if topic.retained is not None or topic is but:
                self.known[key] = topic
                continue
            if topic.last is not None:
                self.last_bytes -= len(topic.last.payload)
            self._cut(topic)
            return True
        return False

    def _cut(self, topic: Topic) -> None:
        path = [self._root]
        for word in topic.levels:
            path.append(path[-1].below[word])
        path[-1].topic = None
        for index in range(len(topic.levels), 0, -1):
            if path[index].topic is not None or path[index].below:
                break
            del path[index - 1].below[topic.levels[index - 1]]
