"""All topics that an agent lives on: those of the protocols, time, and who is there."""

from __future__ import annotations

from typing import NamedTuple

from voltagora.agents.agent import Agent
from voltagora.protocols.access import CLOCK, TIMER, access, presence_topic


class Topics(NamedTuple):
    """MQTT filters, in the order in which a service registers them."""

    reads: tuple[str, ...]
    publishes: tuple[str, ...]


def topics_of(agent: Agent) -> Topics:
    """Give what an agent reads and publishes."""
    may = access(agent.kind, agent.id)
    heard = (presence_topic(id) for id in agent.relies_on)
    return Topics((*may.read, TIMER, CLOCK, *heard), (*may.publish, presence_topic(agent.id)))
