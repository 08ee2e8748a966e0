"""Who is behind a username and a password or token: the same answer on every way in."""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
from collections.abc import Callable
from typing import Final

from voltagora.hub.rights import owner_of
from voltagora.platform.accounts.backoff import Backoff
from voltagora.platform.accounts.passwords import Passwords
from voltagora.platform.registry.entities import Change, User
from voltagora.platform.registry.registry import Registry

REMEMBERED_SECONDS: Final = 60.0
MOST_REMEMBERED: Final = 10_000

_TOKEN: Final = re.compile(r"[0-9a-f]{40}\Z")


class Entrance:
    """Checks credentials; those that were right are remembered for a minute as a keyed hash.

    Args:
        registry: knows users and tokens.
        passwords: checks what is stored.
        must_confirm: users who have not confirmed their address stay outside.
        monotonic: gives the time for the minute and for the back-off.
    """

    def __init__(
        self,
        registry: Registry,
        passwords: Passwords,
        *,
        must_confirm: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._passwords = passwords
        self._must_confirm = must_confirm
        self._monotonic = monotonic
        self.backoff = Backoff(monotonic)
        self._pepper = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._known: dict[tuple[str, bytes], tuple[str, float]] = {}
        self._changes = 0
        self._stop = registry.listen(self._changed)

    def close(self) -> None:
        """Listen to the registry no longer."""
        self._stop()

    def enter(self, username: str, password: str, address: str) -> str | None:
        """Give the principal behind a username (or a token's principal) and a password or token."""
        return self._enter(username, password, address, tokens=True)

    def check(self, username: str, password: str, address: str) -> User | None:
        """Give the user with this account password; no token will do.

        A user who has not confirmed the address is given all the same.
        """
        if self._enter(username, password, address, tokens=False, confirmed=False) is None:
            return None
        return self._registry.find_user(username=username)

    def _enter(
        self, username: str, password: str, address: str, *, tokens: bool, confirmed: bool = True
    ) -> str | None:
        # A token has 160 random bits: nobody guesses it, so nobody need be slowed down, and a
        # service keeps its way in while somebody guesses passwords from the same machine.
        if tokens and _TOKEN.match(password):
            found = self._remembered(username, password) or self._by_token(username, password)
            if found is not None:
                return found if self._admits(found, confirmed) else None
        if not self.backoff.may_try(username, address):
            return None
        found = self._remembered(username, password)
        if found != username:
            # What is remembered may be a token, which is no account password.
            found = self._by_password(username, password)
        if found is None:
            self.backoff.failed(username, address)
            return None
        self.backoff.succeeded(username, address)
        return found if self._admits(found, confirmed) else None

    def _by_token(self, username: str, secret: str) -> str | None:
        changes = self._changes
        token = self._registry.find_token(secret)
        if token is None or username not in (token.username, token.principal):
            return None
        # One that expires is looked up each time.
        if token.expires_at is None:
            self._remember(username, secret, token.principal, changes)
        return token.principal

    def _by_password(self, username: str, password: str) -> str | None:
        changes = self._changes
        user = self._registry.find_user(username=username)
        stored = self._registry.password_hash(user.id) if user is not None else None
        right = self._passwords.is_right(password, stored)
        if user is None or stored is None or not right:
            return None
        if self._passwords.is_stale(stored):
            self._registry.rehash_password(user.id, self._passwords.hash(password))
        self._remember(username, password, username, changes)
        return username

    def _admits(self, principal: str, confirmed: bool) -> bool:
        if not (confirmed and self._must_confirm):
            return True
        user = self._registry.find_user(username=owner_of(principal))
        return user is not None and user.confirmed_at is not None

    def _mark(self, username: str, password: str) -> tuple[str, bytes]:
        raw = password.encode("utf-8", "surrogatepass")
        return username, hashlib.blake2b(raw, key=self._pepper, digest_size=32).digest()

    def _remembered(self, username: str, password: str) -> str | None:
        key = self._mark(username, password)
        found = self._known.get(key)
        if found is None:
            return None
        principal, until = found
        if until > self._monotonic():
            return principal
        self._known.pop(key, None)
        return None

    def _remember(self, username: str, password: str, principal: str, changes: int) -> None:
        with self._lock:
            # What changed while the hash was being computed must not be undone by it.
            if changes != self._changes:
                return
            self._known[self._mark(username, password)] = (principal, self._monotonic() + REMEMBERED_SECONDS)
            if len(self._known) > MOST_REMEMBERED:
                del self._known[next(iter(self._known))]

    def _changed(self, change: Change) -> None:
        gone = {*change.users_out, *change.users_gone, *change.tokens_gone}
        if not gone:
            return
        with self._lock:
            self._changes += 1
            self._known = {key: each for key, each in self._known.items() if each[0] not in gone}
