"""Passwords at rest: argon2id, a few at a time."""

from __future__ import annotations

import threading
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MOST_BYTES: Final = 1_024
"""Longer passwords are nobody's; hashing one must not be an attack."""
_AT_ONCE: Final = 4


class Passwords:
    """Hashes passwords and checks them.

    Args:
        hasher: argon2id with its costs; by default 19 MiB and two passes, as OWASP proposes, so that
            several logins at once stay within a small machine.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._turns = threading.BoundedSemaphore(_AT_ONCE)
        self._nobody = self._hasher.hash("nobody's password")

    def hash(self, password: str) -> str:
        """Hash a password for keeping."""
        with self._turns:
            return self._hasher.hash(password.encode("utf-8", "surrogatepass"))

    def is_right(self, password: str, stored: str | None) -> bool:
        """Whether a password is the one that was hashed; None, for nobody's, takes as long."""
        given = password.encode("utf-8", "surrogatepass")
        long = len(given) > MOST_BYTES
        try:
            with self._turns:
                right = self._hasher.verify(stored or self._nobody, b"" if long else given)
        except (VerificationError, InvalidHashError):
            return False
        return right and stored is not None and not long

    def is_stale(self, stored: str) -> bool:
        """Whether a stored hash has other costs than new ones."""
        return self._hasher.check_needs_rehash(stored)
