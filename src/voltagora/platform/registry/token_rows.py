"""Tokens in the tables: read, dropped, and kept in step with their service's topics."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from voltagora.platform.registry import tables
from voltagora.platform.registry.database import Transaction
from voltagora.platform.registry.entities import Scope, Service, Token, TokenKind

TOKENS = sa.select(tables.tokens, tables.users.c.username).join_from(tables.tokens, tables.users)
"""Tokens with their user's username."""


def token_of(row: Any) -> Token:
    """Read a row of `TOKENS`."""
    return Token(
        id=row.id,
        user_id=row.user_id,
        username=row.username,
        kind=TokenKind(row.kind),
        name=row.name,
        scope=msgspec.json.decode(row.scope, type=Scope),
        created_at=row.created_at,
        expires_at=row.expires_at,
        service_id=row.service_id,
    )


def drop_tokens(transaction: Transaction, where: sa.ColumnElement[bool]) -> list[Token]:
    """Delete tokens and tell of it."""
    gone = [token_of(row) for row in transaction.rows(TOKENS.where(where))]
    for token in gone:
        transaction.connection.execute(tables.tokens.delete().where(tables.tokens.c.id == token.id))
        transaction.changes["tokens_gone"].append(token.principal)
    return gone


def service_scope(service: Service) -> Scope:
    """Give what a service may do: read its input topics, publish to its output topics."""
    return Scope(
        publish=tuple(topic.name for topic in service.output_topics),
        subscribe=tuple(topic.name for topic in service.input_topics),
    )


def follow_service(transaction: Transaction, service: Service) -> None:
    """Give a service's tokens the topics that it has from now on."""
    tokens = tables.tokens
    mine = (tokens.c.service_id == service.id) & (tokens.c.kind == TokenKind.SERVICE.value)
    scope = msgspec.json.encode(service_scope(service)).decode()
    transaction.connection.execute(tokens.update().where(mine).values(scope=scope))
    transaction.changes["tokens"].extend(token_of(row) for row in transaction.rows(TOKENS.where(mine)))
