"""Passwords at rest: scrypt with a salt, as one line of text."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Final

LOG_COST: Final = 14
BLOCK: Final = 8
LANES: Final = 1
"""16 MiB and some 40 ms a try, as RFC 7914 proposes for logins."""

_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32
_MOST_MEMORY: Final = 256 * 1024 * 1024


def hash_password(password: str, salt: bytes | None = None) -> str:
    """Hash a password for a users file; the salt is random unless a test gives one."""
    salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    digest = _scrypt(password.encode(), salt, LOG_COST, BLOCK, LANES)
    return "$".join(
        (
            "scrypt",
            f"{LOG_COST},{BLOCK},{LANES}",
            base64.b64encode(salt).decode(),
            base64.b64encode(digest).decode(),
        )
    )


def is_right(password: bytes, stored: str) -> bool:
    """Whether a password is the one that was hashed."""
    costs, salt, digest = parse_hash(stored)
    return hmac.compare_digest(_scrypt(password, salt, *costs), digest)


def parse_hash(stored: str) -> tuple[tuple[int, int, int], bytes, bytes]:
    """Take a stored hash apart.

    Raises:
        ValueError: it is none.
    """
    kind, costs, salt, digest = stored.split("$")
    log_cost, block, lanes = (int(each) for each in costs.split(","))
    raw = base64.b64decode(digest, validate=True)
    if kind != "scrypt" or not 10 <= log_cost <= 18 or not 1 <= block <= 16 or not 1 <= lanes <= 8:
        raise ValueError("not a scrypt hash with sane costs")
    if len(raw) != _HASH_BYTES:
        raise ValueError("not a scrypt hash of 32 bytes")
    return (log_cost, block, lanes), base64.b64decode(salt, validate=True), raw


def _scrypt(password: bytes, salt: bytes, log_cost: int, block: int, lanes: int) -> bytes:
    return hashlib.scrypt(
        password, salt=salt, n=1 << log_cost, r=block, p=lanes, maxmem=_MOST_MEMORY, dklen=_HASH_BYTES
    )
