"""Who did what: written with each change, in its transaction."""

from __future__ import annotations

import sqlalchemy as sa

from voltagora.platform.registry import tables
from voltagora.platform.registry.entities import AuditEntry
from voltagora.platform.registry.part import Part


class Audit(Part):
    """The part of the registry that knows who did what."""

    def note(self, actor: str, action: str, subject: str, detail: str = "") -> None:
        """Take down something that changed nothing here: a login, a build, a run."""
        with self._database.write() as transaction:
            transaction.note(action, subject, detail, actor=actor)

    def audit(
        self, *, actor: str = "", limit: int = 200, before: int | None = None
    ) -> tuple[AuditEntry, ...]:
        """Give what was taken down, newest first.

        Args:
            actor: only what this user did; empty: all.
            limit: at most so many.
            before: only those with a smaller id, to read on.
        """
        rows = tables.audit
        select = sa.select(rows).order_by(rows.c.id.desc()).limit(limit)
        if actor:
            select = select.where(rows.c.actor == actor)
        if before is not None:
            select = select.where(rows.c.id < before)
        with self._database.read() as connection:
            return tuple(
                AuditEntry(
                    id=row.id,
                    at=row.at,
                    actor=row.actor,
                    action=row.action,
                    subject=row.subject,
                    detail=row.detail,
                )
                for row in connection.execute(select)
            )

    def trim_audit(self, seconds: int) -> None:
        """Forget what is older than so many seconds."""
        with self._database.write() as transaction:
            old = tables.audit.c.at < transaction.now - seconds
            transaction.connection.execute(tables.audit.delete().where(old))
