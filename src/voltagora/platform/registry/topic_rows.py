"""Takes a topic out of the tables, and tells whoever loses a right by it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from voltagora.platform.registry import tables
from voltagora.platform.registry.database import Transaction
from voltagora.platform.registry.entities import RightChange
from voltagora.platform.registry.part import topic_of


def remove_topic(transaction: Transaction, row: Any) -> None:
    """Delete a row of `TOPICS` that no service uses."""
    holders = sa.select(tables.users.c.username).join_from(tables.rights, tables.users)
    for holder in transaction.rows(holders.where(tables.rights.c.topic_id == row.id)):
        transaction.changes["rights"].append(
            RightChange(username=holder.username, topic=row.name, can_sub=False, can_pub=False)
        )
    transaction.connection.execute(tables.topics.delete().where(tables.topics.c.id == row.id))
    transaction.changes["topics_gone"].append(topic_of(row))
    transaction.note("delete_topic", f"topic {row.name}")
