"""Tokens of the REST API: JWT, HS256 and nothing else, with the claims that clients read."""

from __future__ import annotations

import os
import secrets
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

import jwt
import msgspec

from voltagora.platform.registry.entities import User
from voltagora.platform.registry.refusals import Refusal

ACCESS_SECONDS: Final = 15 * 60
REFRESH_SECONDS: Final = 30 * 24 * 3_600
CONFIRM_SECONDS: Final = 24 * 3_600
ALGORITHM: Final = "HS256"
MOST_CHARACTERS: Final = 8_192

Kind = Literal["access", "refresh", "confirm"]


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a token says; other claims are not looked at."""

    identity: int
    jti: str
    type: Kind
    exp: int
    nbf: int = 0
    iat: int = 0
    fresh: bool = False
    email: str = ""


class Bearer:
    """Signs and reads tokens.

    Args:
        secret: at least 32 bytes.
        wall: gives the time, seconds since 1970.
    """

    def __init__(self, secret: bytes, wall: Callable[[], float]) -> None:
        if len(secret) < 32:
            raise ValueError("the secret of the tokens must have 32 bytes at least")
        self._secret = secret
        self._wall = wall

    def issue(self, user: User, kind: Kind, seconds: int, *, fresh: bool = False) -> tuple[str, Claims]:
        """Sign a token for a user; give it and what it says."""
        now = int(self._wall())
        said: dict[str, Any] = {
            "exp": now + seconds,
            "iat": now,
            "nbf": now,
            "jti": str(uuid.uuid4()),
            "identity": user.id,
            "type": kind,
        }
        if kind == "access":
            told = {"username": user.username, "email": user.email, "admin": user.admin}
            said |= {"fresh": fresh, "user_claims": told}
        elif kind == "confirm":
            said["email"] = user.email
        return jwt.encode(said, self._secret, algorithm=ALGORITHM), msgspec.convert(said, Claims)

    def read(self, text: str, kind: Kind) -> Claims:
        """Read a token of one kind.

        Raises:
            Refusal: 401 with the words of the contract.
        """
        if len(text) > MOST_CHARACTERS:
            raise unreadable("Too long")
        try:
            # Times are looked at below, by our own clock.
            options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
            said = jwt.decode(text, self._secret, algorithms=[ALGORITHM], options=options)
            claims = msgspec.convert(said, Claims)
        except jwt.InvalidTokenError as error:
            raise unreadable(str(error)) from None
        except (msgspec.ValidationError, UnicodeError, RecursionError, ValueError):
            raise unreadable("Claims are missing or of the wrong kind") from None
        now = self._wall()
        if claims.exp <= now:
            raise Refusal(401, "Token has expired.", code="TOKEN_EXPIRED")
        if claims.nbf > now:
            raise unreadable("The token is not yet valid (nbf)")
        if claims.type != kind:
            raise unreadable(f"Only {kind} tokens can access this endpoint")
        return claims


def unreadable(why: str) -> Refusal:
    """Refuse a token that cannot be taken; the space at the end is contract."""
    return Refusal(401, f"Token Signature verification failure. {why} ")


def bearer_of(header: str | None) -> str:
    """Take the token out of an `Authorization` header.

    Raises:
        Refusal: 401, there is none.
    """
    if not header:
        raise Refusal(401, "Missing Authorization Header")
    words = header.split()
    if len(words) != 2 or words[0] != "Bearer":
        raise unreadable("Bad Authorization header. Expected value 'Bearer <JWT>'")
    return words[1]


def load_secret(path: Path) -> bytes:
    """Read the secret of the tokens, made at the first start and readable by its owner only."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(file, "wb") as opened:
        opened.write(secrets.token_bytes(48))
    return path.read_bytes()
