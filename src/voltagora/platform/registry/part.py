"""What every part of the registry stands on: the database, the limits, and rows read as entities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from voltagora.platform.registry import tables
from voltagora.platform.registry.database import Database, Transaction
from voltagora.platform.registry.entities import Quotas, RightChange, Topic, TopicRight, User, Visibility
from voltagora.platform.registry.names import printable
from voltagora.platform.registry.refusals import Refusal

T = TypeVar("T")

NO_TOPIC: Final = "Ivalid user or topic does not exist"
NOT_PERMITTED: Final = "Not permitted"

TOPICS: Final = sa.select(tables.topics, tables.users.c.username.label("owner")).select_from(
    tables.topics.outerjoin(tables.users, tables.topics.c.owner_id == tables.users.c.id)
)
"""Topics with their owner's username."""


class Part:
    """One part of the registry; `Registry` is made of all of them."""

    def __init__(self, database: Database, quotas: Quotas, reserved: Iterable[str]) -> None:
        self._database = database
        self.quotas = quotas
        self._reserved = frozenset(each.casefold() for each in reserved)
        self._lists: dict[str, tuple[int, tuple[Any, ...]]] = {}

    def _listed(self, what: str, read: Callable[[], tuple[T, ...]]) -> tuple[T, ...]:
        """Give a whole list, read again only when something has changed since."""
        # The version is looked at before reading: what changes meanwhile makes the next call read again.
        version = self._database.version
        found = self._lists.get(what)
        if found is None or found[0] != version:
            found = self._lists[what] = (version, read())
        return found[1]


def user_of(row: Any) -> User:
    """Read a row of users."""
    return User(
        id=row.id,
        username=row.username,
        email=row.email,
        registered_at=row.registered_at,
        confirmed_at=row.confirmed_at,
        admin=row.admin,
    )


def topic_of(row: Any) -> Topic:
    """Read a row of `TOPICS`."""
    return Topic(
        id=row.id,
        name=row.name,
        description=row.description,
        topic_ontology=row.topic_ontology,
        owner=row.owner,
        visibility=Visibility(row.visibility),
    )


def topic_row(transaction: Transaction, topic_id: int, unknown: Refusal | None = None) -> Any:
    """Give a row of `TOPICS`.

    Raises:
        Refusal: there is none; 404 unless another refusal is given.
    """
    found = transaction.row(TOPICS.where(tables.topics.c.id == topic_id))
    if found is None:
        raise unknown or Refusal(404, NO_TOPIC)
    return found


def user_named(transaction: Transaction, username: str) -> Any:
    """Give a row of users.

    Raises:
        Refusal: 404, there is none.
    """
    # No database takes NUL or half a surrogate pair, and nobody is called so.
    which = tables.users.c.username == username
    found = transaction.row(sa.select(tables.users).where(which)) if printable(username) else None
    if found is None:
        raise Refusal(404, NO_TOPIC)
    return found


def right_row(transaction: Transaction, user_id: int, topic_id: int) -> Any:
    """Give a row of rights, or None."""
    rights = tables.rights
    return transaction.row(
        sa.select(rights).where(rights.c.user_id == user_id, rights.c.topic_id == topic_id)
    )


def set_right(
    transaction: Transaction,
    user: tuple[int, str],
    topic: tuple[int, str],
    *,
    can_sub: bool,
    can_pub: bool,
    asked: bool = False,
    barred: bool = False,
) -> None:
    """Write a right as it is from now on, and tell of it if it acts."""
    rights, connection = tables.rights, transaction.connection
    before = right_row(transaction, user[0], topic[0])
    values = {"can_sub": can_sub, "can_pub": can_pub, "asked": asked, "barred": barred}
    if before is None:
        connection.execute(rights.insert().values(user_id=user[0], topic_id=topic[0], **values))
    else:
        which = (rights.c.user_id == user[0]) & (rights.c.topic_id == topic[0])
        connection.execute(rights.update().where(which).values(**values))
    if (can_sub, can_pub) != ((before.can_sub, before.can_pub) if before else (False, False)):
        transaction.changes["rights"].append(
            RightChange(username=user[1], topic=topic[1], can_sub=can_sub, can_pub=can_pub)
        )


def right_of(topic: Topic, username: str, row: Any) -> TopicRight:
    """Read a row of rights, or the lack of one."""
    if row is None:
        return TopicRight(topic=topic, username=username)
    return TopicRight(
        topic=topic, username=username, can_sub=row.can_sub, can_pub=row.can_pub, asked=row.asked
    )


def matches(term: str, texts: Sequence[str]) -> bool:
    """Whether a term stands in one of some texts, in any case; an empty one always does."""
    wanted = term.casefold()
    return not wanted or any(wanted in text.casefold() for text in texts)
