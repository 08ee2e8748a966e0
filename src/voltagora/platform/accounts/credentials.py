"""Gives each instance of a service a token of its own, scoped to the service's topics."""

from __future__ import annotations

import asyncio

from voltagora.platform.registry.entities import Service, TokenKind
from voltagora.platform.registry.registry import Registry
from voltagora.platform.runner.interface import Credential


class RegistryCredentials:
    """Implements `runner.interface.Credentials` with device tokens of the registry.

    A token follows its service's topics, goes with the service, and nobody's password is in it.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def issue(self, service: Service, instance: int) -> Credential:
        """Make one for an instance that is about to be started.

        Raises:
            Refusal: the service is gone or another's, or its owner has too many tokens.
        """
        token, secret = await asyncio.to_thread(
            self._registry.create_token,
            service.owner_id,
            TokenKind.SERVICE,
            f"{service.name} {instance}",
            service_id=service.id,
        )
        return Credential(username=token.username, password=secret, principal=token.principal)

    async def withdraw(self, principal: str) -> None:
        """End one whose instance has ended; it may be gone with its service already."""
        await asyncio.to_thread(self._registry.withdraw_token, principal)
