"""Tokens of devices, persons and services: 40 hex digits shown once, stored as SHA-256."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

import msgspec
import sqlalchemy as sa

from voltagora.hub.errors import PacketError
from voltagora.hub.rights import CREDENTIAL
from voltagora.hub.topics import parse_filter
from voltagora.platform.registry import names, tables
from voltagora.platform.registry.database import Transaction
from voltagora.platform.registry.entities import Scope, Token, TokenKind
from voltagora.platform.registry.part import NOT_PERMITTED, Part
from voltagora.platform.registry.refusals import Refusal, quota
from voltagora.platform.registry.service_rows import service_row, services_of
from voltagora.platform.registry.token_rows import TOKENS, drop_tokens, service_scope, token_of

_SECRET: Final = re.compile(r"[0-9a-f]{40}\Z")
_MOST_NAME: Final = 80
_MOST_FILTERS: Final = 1_000


class Tokens(Part):
    """The part of the registry that knows tokens."""

    def create_token(
        self,
        user_id: int,
        kind: TokenKind,
        name: str,
        *,
        scope: Scope | None = None,
        expires_at: int | None = None,
        service_id: int | None = None,
    ) -> tuple[Token, str]:
        """Make a token; its secret is given this once.

        Args:
            user_id: whose token, and who acts.
            kind: what for.
            name: by which its owner knows it.
            scope: what it may do; None: all that the user may, but for the REST API; a service's
                token may use the service's topics.
            expires_at: when it ends; None: when it is revoked.
            service_id: with which it goes too.

        Raises:
            Refusal: 400, no name, filter or time, or too many tokens; 401, not the user's service.
        """
        if not name.strip():
            raise Refusal(400, {"name": "This field is required."})
        names.check_length("name", name, _MOST_NAME)
        if scope is not None:
            _check_scope(scope)
        secret = secrets.token_hex(20)
        with self._database.write(user_id) as transaction:
            count = sa.select(sa.func.count()).where(tables.tokens.c.user_id == user_id)
            if transaction.row(count)[0] >= self.quotas.tokens:
                raise quota("tokens", self.quotas.tokens)
            if expires_at is not None and expires_at <= transaction.now:
                raise Refusal(400, {"expires_at": "Must lie in the future."})
            if service_id is not None:
                scope = _scope_of_service(transaction, service_id, scope)
            token_id = transaction.next_id("token")
            transaction.connection.execute(
                tables.tokens.insert().values(
                    id=token_id,
                    user_id=user_id,
                    kind=kind.value,
                    name=name.strip(),
                    secret_hash=hashed(secret),
                    scope=msgspec.json.encode(scope or Scope()).decode(),
                    created_at=transaction.now,
                    expires_at=expires_at,
                    service_id=service_id,
                )
            )
            made = token_of(transaction.row(TOKENS.where(tables.tokens.c.id == token_id)))
            transaction.changes["tokens"].append(made)
            transaction.note("create_token", f"token {made.name}", kind.value)
        return made, secret

    def find_token(self, secret: str) -> Token | None:
        """Find the token that a secret belongs to, unless it has expired."""
        if not _SECRET.match(secret):
            return None
        where = tables.tokens.c.secret_hash == hashed(secret)
        with self._database.read() as connection:
            found = connection.execute(TOKENS.where(where)).first()
        if found is None or (found.expires_at is not None and found.expires_at <= self._database.now()):
            return None
        return token_of(found)

    def tokens(self, user_id: int | None = None) -> tuple[Token, ...]:
        """Give a user's tokens, or all, in the order they were made."""
        select = TOKENS.order_by(tables.tokens.c.id)
        if user_id is not None:
            select = select.where(tables.tokens.c.user_id == user_id)
        with self._database.read() as connection:
            return tuple(map(token_of, connection.execute(select)))

    def revoke_token(self, user_id: int, token_id: int) -> None:
        """End a token; its connections end at once.

        Raises:
            Refusal: 404, the user has no such token.
        """
        with self._database.write(user_id) as transaction:
            mine = tables.tokens.c.id == token_id
            if not transaction.admin:
                mine &= tables.tokens.c.user_id == user_id
            gone = drop_tokens(transaction, mine)
            if not gone:
                raise Refusal(404, "No such token.")
            transaction.note("revoke_token", f"token {gone[0].name}")

    def withdraw_token(self, principal: str) -> bool:
        """End the token of a principal on behalf of the platform itself; say whether there was one."""
        digits = principal.partition(CREDENTIAL)[2]
        token_id = int(digits) if digits.isdecimal() and len(digits) < 10 else 0
        with self._database.write() as transaction:
            found = transaction.row(TOKENS.where(tables.tokens.c.id == token_id))
            if found is None or token_of(found).principal != principal:
                return False
            drop_tokens(transaction, tables.tokens.c.id == token_id)
            return True

    def expire_tokens(self) -> int | None:
        """End the tokens whose time has come; give when the next one's does."""
        expiry = tables.tokens.c.expires_at
        with self._database.read() as connection:
            first = connection.execute(sa.select(sa.func.min(expiry))).scalar()
        if first is None or first > self._database.now():
            return first
        with self._database.write() as transaction:
            drop_tokens(transaction, expiry <= transaction.now)
            left: int | None = transaction.connection.execute(sa.select(sa.func.min(expiry))).scalar()
            return left


def hashed(secret: str) -> str:
    """Give what is stored of a secret; 160 random bits need no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _check_scope(scope: Scope) -> None:
    for field, filters in (("publish", scope.publish), ("subscribe", scope.subscribe)):
        if filters is not None and len(filters) > _MOST_FILTERS:
            raise quota("filters of a token", _MOST_FILTERS)
        for text in filters or ():
            try:
                group = parse_filter(text).group
            except PacketError:
                raise Refusal(400, {field: f"Not a topic filter: {text[:100]!r}"}) from None
            if group is not None or not names.printable(text):
                raise Refusal(400, {field: f"Not a topic filter: {text[:100]!r}"})


def _scope_of_service(transaction: Transaction, service_id: int, scope: Scope | None) -> Scope:
    row = service_row(transaction, service_id, Refusal(404, "No such service exists"))
    if row.owner_id != transaction.user_id:
        raise Refusal(401, NOT_PERMITTED)
    return scope or service_scope(services_of(transaction.connection, [row])[0])
