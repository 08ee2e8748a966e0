"""Logins of the REST API: which of the tokens that were handed out are still good."""

from __future__ import annotations

import sqlalchemy as sa

from voltagora.platform.registry import tables
from voltagora.platform.registry.part import Part


class Logins(Part):
    """The part of the registry that remembers logins; one it does not remember is revoked."""

    def remember_login(self, jti: str, family: str, user_id: int, expires_at: int) -> None:
        """Remember a token that was handed out, and forget those that have expired.

        Args:
            jti: the token's id.
            family: what all tokens of one login have in common.
            user_id: whose.
            expires_at: when it ends by itself.
        """
        logins = tables.logins
        with self._database.write() as transaction:
            transaction.connection.execute(logins.delete().where(logins.c.expires_at < transaction.now))
            transaction.connection.execute(
                logins.insert().values(jti=jti, family=family, user_id=user_id, expires_at=expires_at)
            )

    def family_of_login(self, jti: str) -> str | None:
        """Give the family of a token that is still good, or None."""
        logins = tables.logins.c
        with self._database.read() as connection:
            found = connection.execute(sa.select(logins.family).where(logins.jti == jti)).first()
        return found.family if found else None

    def end_login(self, family: str) -> None:
        """Revoke all tokens of one login."""
        with self._database.write() as transaction:
            which = tables.logins.c.family == family
            transaction.connection.execute(tables.logins.delete().where(which))
