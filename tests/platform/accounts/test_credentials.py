"""What an instance of a service shows to the broker."""

from __future__ import annotations

import asyncio
from pathlib import Path

from accounts_stage import FAR, the_accounts
from registry_stage import Wall, a_registry, a_service, a_user

from voltagora.platform.accounts.credentials import RegistryCredentials
from voltagora.platform.rights import PlatformRights


def test_each_instance_has_a_token_within_the_services_topics(tmp_path: Path) -> None:
    with a_registry(tmp_path) as registry:
        accounts = the_accounts(registry, Wall())
        rights = PlatformRights(registry, accounts.entrance.enter)
        service = a_service(registry, a_user(registry, "a"), "S", ["in"], ["out"])
        credentials = RegistryCredentials(registry)

        async def journey() -> None:
            first, second = [await credentials.issue(service, number) for number in (1, 2)]
            assert (first.username, first.principal, second.principal) == ("a", "a+1", "a+2")
            assert first.password not in repr(first)
            assert accounts.entrance.enter("a", first.password, FAR) == "a+1"
            assert rights.may_publish("a+1", "out")
            assert not rights.may_publish("a+1", "in")
            await credentials.withdraw("a+1")
            assert accounts.entrance.enter("a", first.password, FAR) is None
            assert accounts.entrance.enter("a", second.password, FAR) == "a+2"
            for gone in ("a+1", "b+2", "a", "", "a+x", "a+99999999999"):
                await credentials.withdraw(gone)
            assert accounts.entrance.enter("a", second.password, FAR) == "a+2"

        asyncio.run(journey())
        rights.close()
        accounts.close()
