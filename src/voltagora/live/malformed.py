"""Answers a request that is not of the contract, as far as it can be told who asked what."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from voltagora.agents.agent import Address, Agent, refuse
from voltagora.agents.exchange import Flight
from voltagora.domain.errors import InputError
from voltagora.domain.units import is_id
from voltagora.protocols.codec import check_frame
from voltagora.protocols.message import Refusal, Request
from voltagora.protocols.topic import Kind

_ITS_OWN: Final = {
    Kind.IMBALANCE: (("grid_area",),),
    Kind.PRICING: (("grid_area",),),
    Kind.RECOMMENDER: (("network",), ("preferences", "network"), ("recommendation", "network")),
}
"""By which field a kind of agent tells whether a request is for it at all."""


class _Asked:
    """What can be read of a payload that breaks the contract somewhere."""

    def __init__(self, payload: bytes) -> None:
        self.fields: dict[str, Any] = {}
        try:
            # What is too deep is not read: how deep a parser can go depends on who calls it.
            check_frame(payload)
            read = json.loads(payload)
        except ValueError:
            return
        if isinstance(read, dict):
            self.fields = read

    def id(self, *path: str) -> str | None:
        """Give an id that stands at a path, if one does."""
        value: Any = self.fields
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value if isinstance(value, str) and is_id(value) else None


def refusal_of(
    payload: bytes,
    kind: type[Request],
    address: Address,
    agent: Agent,
    error: InputError,
    speaks_for: Callable[[str], bool],
) -> Flight | None:
    """Make the reply `invalid_request` with the field, or None where nobody can be answered.

    Without a readable `msg_id` no asker would know what was meant; a request for another area's or
    network's agent is that one's to refuse. Whoever may not speak for the asker gets no answer: it
    would reach the asker, who might take it for the answer to a question of its own.
    """
    asked = _Asked(payload)
    msg_id = asked.id("msg_id")
    asker = _asker(asked, kind, address)
    if msg_id is None or asker is None or not speaks_for(asker) or not _is_for(asked, agent):
        return None
    request = Request(msg_id=msg_id)
    reply = refuse(kind.reply, request, agent.id, Refusal.INVALID_REQUEST, error.field or None)
    to = address if len(address) > 1 else (asker,)
    return Flight(reply, to, agent, (asker,), kind.protocol)


def _asker(asked: _Asked, kind: type[Request], address: Address) -> str | None:
    if kind.protocol == "CP2":
        return asked.id("recommendation", "vehicle")
    return address[-1] if kind.reply.readers == (Kind.VEHICLE,) else address[0]


def _is_for(asked: _Asked, agent: Agent) -> bool:
    for path in _ITS_OWN.get(agent.kind, ()):
        named = asked.id(*path)
        if named is not None and named != getattr(agent, path[-1]):
            return False
    return True
