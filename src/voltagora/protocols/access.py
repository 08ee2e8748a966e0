"""What an agent of a kind may publish and read: MQTT filters, made from the types of the contract."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from voltagora.domain.units import is_id
from voltagora.protocols.catalogue import MESSAGES
from voltagora.protocols.message import Message, Reply, Request
from voltagora.protocols.topic import Kind

TIMER: Final = "timer"
"""The operator's words: `start`, `pause`, `resume`, `stop`."""
CLOCK: Final = "clock"
"""What time it is; the operator's, retained."""
PRESENCE: Final = "presence/{id}"
"""Whether an agent is there; written by the id's owner, retained."""

OWN: Final = {  # ids in topics that are of one kind; any other is whoever asks
    "vehicle": Kind.VEHICLE,
    "station": Kind.STATION,
    "producer": Kind.PRODUCER,
    "consumer": Kind.CONSUMER,
}


class Access(NamedTuple):
    """Topic filters, in the order of the contract."""

    publish: tuple[str, ...]
    read: tuple[str, ...]


def access(kind: Kind, id: str) -> Access:
    """Give the topics of the twelve protocols that one agent speaks and reads on, no more.

    Its own id stands where a topic names it: as vehicle, station, producer or consumer, or as the
    one that asks. Anybody's id, `+`, stands where a topic names the other side.
    """
    templates = _templates(kind)
    return Access(
        tuple(template.replace("{}", id) for template in templates.publish),
        tuple(template.replace("{}", id) for template in templates.read),
    )


def presence_topic(id: str) -> str:
    """Give the topic on which it is said whether an agent is there."""
    return PRESENCE.replace("{id}", id)


def presence_of(topic: str) -> str | None:
    """Tell whose presence a topic is about, None if it is no such topic."""
    opening, _, id = topic.partition("/")
    return id if opening == "presence" and is_id(id) else None


@lru_cache(maxsize=16)
def _templates(kind: Kind) -> Access:
    publish, read = [], []
    for message in MESSAGES:
        asks = not issubclass(message, Reply)
        if kind in message.publishers:
            publish.append(_filled(message.topic_of(kind), kind, is_asker=asks))
        if kind in message.readers:
            read += [_filled(topic, kind, is_asker=not asks) for topic in _read_topics(message, kind)]
    return Access(tuple(dict.fromkeys(publish)), tuple(dict.fromkeys(read)))


def _read_topics(message: type[Message], kind: Kind) -> tuple[str, ...]:
    """Leave out the reply topics of those whom this kind never asks."""
    if len(message.topics) == 1 or not issubclass(message, Reply):
        return message.topics
    asked = {
        responder
        for request in MESSAGES
        if issubclass(request, Request) and request.reply is message and kind in request.publishers
        for responder in request.readers
    }
    return tuple(topic for topic in message.topics if topic.split("/")[0] in asked)


def _filled(template: str, kind: Kind, *, is_asker: bool) -> str:
    def fill(found: re.Match[str]) -> str:
        name = found[1]
        is_own = is_asker if name not in OWN else OWN[name] is kind
        return "{}" if is_own else "+"

    return re.sub(r"\{(\w+)\}", fill, template)
