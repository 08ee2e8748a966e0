"""The registry, as one object: every method is one transaction, or one read of one state.

`user_id` is always who acts. What is refused raises `refusals.Refusal` with the status and the
exact words of the contract. It may be used from any thread; writes take turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final

from voltagora.platform.registry.audit import Audit
from voltagora.platform.registry.database import Database, Listener
from voltagora.platform.registry.entities import Quotas
from voltagora.platform.registry.exchange import Exchange
from voltagora.platform.registry.grants import Grants
from voltagora.platform.registry.logins import Logins
from voltagora.platform.registry.subscriptions import Subscriptions
from voltagora.platform.registry.tokens import Tokens
from voltagora.platform.registry.topics import Topics
from voltagora.platform.registry.users import Users

RESERVED: Final = ("admin", "broker", "operator")
"""Usernames that nobody may register: the broker's own, and who everybody is in a hub without users."""


class Registry(Users, Topics, Grants, Exchange, Subscriptions, Tokens, Logins, Audit):
    """Opens a database and brings its tables up to date.

    Args:
        url: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`.
        quotas: how much one user may have.
        wall: gives the time, seconds since 1970.
        reserved: usernames that nobody may register.

    Raises:
        InputError: the URL is none of these.
        MissingExtra: the driver is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        quotas: Quotas | None = None,
        wall: Callable[[], float] = time.time,
        reserved: Iterable[str] = RESERVED,
    ) -> None:
        super().__init__(Database(url, wall), quotas or Quotas(), reserved)

    def __enter__(self) -> Registry:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def now(self) -> int:
        """Give the registry's time, whole seconds since 1970."""
        return self._database.now()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Have a function called after each commit, in the order of the commits; gives what ends it.

        It is called in the thread that made the change and before that thread goes on, so it must be
        quick and may read but not write.
        """
        return self._database.listen(listener)

    def close(self) -> None:
        """Close all connections to the database."""
        self._database.close()
