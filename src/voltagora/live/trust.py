"""Who may say what: a publication counts only if the user behind it owns the agent that it speaks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from voltagora.agents.agent import Address
from voltagora.protocols.cp06_imbalance import ImbalanceBroadcast
from voltagora.protocols.cp07_prices import PricesBroadcast
from voltagora.protocols.message import Broadcast, Message, Reply, Request
from voltagora.protocols.topic import Kind


class OwnerTable(Protocol):
    """Who owns which agent."""

    def owner(self, id: str) -> str | None:
        """Give the user that owns an agent, None if nobody is known to."""


class Trust:
    """Compares the sender that the broker stamped with the agent a message speaks for.

    Where the broker does not stamp there is nothing to compare: then its rights decide alone, and
    those who may publish on a shared topic must trust each other (docs/security.md).

    Args:
        owners: who owns which agent; None: a market without users, in which all trust all.
        authorities: the EI and MD of each grid area known here, for their broadcasts.
    """

    def __init__(
        self, owners: OwnerTable | None = None, authorities: Mapping[tuple[Kind, str], str] | None = None
    ) -> None:
        self._owners = owners
        self._authorities = authorities or {}

    def believes(self, message: Message, address: Address, sender: str | None) -> bool:
        """Tell whether a publication comes from whom it says."""
        speaker = self._speaker(message, address)
        return speaker is None or self.may_speak_for(speaker, sender)

    def may_speak_for(self, agent: str, sender: str | None) -> bool:
        """Tell whether a user owns an agent, as far as that can be known here."""
        return self._owners is None or sender is None or self._owners.owner(agent) == sender

    def _speaker(self, message: Message, address: Address) -> str | None:
        """Name the agent that a message speaks for; None: one we know nothing of, whom nobody reads."""
        if isinstance(message, Reply):
            return message.responder
        if isinstance(message, Request):
            return message.asker(address)
        if isinstance(message, ImbalanceBroadcast):
            return self._authorities.get((Kind.IMBALANCE, message.grid_area))
        if isinstance(message, PricesBroadcast):
            return self._authorities.get((Kind.PRICING, message.grid_area))
        assert not isinstance(message, Broadcast)
        return None
