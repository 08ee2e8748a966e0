"""Services in the tables: read with their topics in order, subscribed to, removed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from voltagora.platform.registry import tables
from voltagora.platform.registry.database import Transaction
from voltagora.platform.registry.entities import Service, Topic, Visibility
from voltagora.platform.registry.part import TOPICS, right_row, set_right, topic_of
from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.registry.token_rows import drop_tokens

SERVICES: Final = sa.select(tables.services, tables.users.c.username.label("owner")).join_from(
    tables.services, tables.users
)
"""Services with their owner's username."""

_MOST_IN_ONE_QUERY: Final = 500


def service_rows(transaction: Transaction, where: sa.ColumnElement[bool]) -> list[Any]:
    """Give rows of `SERVICES`, in order of registration."""
    return transaction.rows(SERVICES.where(where).order_by(tables.services.c.id))


def service_row(transaction: Transaction, service_id: int, unknown: Refusal) -> Any:
    """Give a row of `SERVICES`.

    Raises:
        Refusal: the one that is given; there is none.
    """
    found = service_rows(transaction, tables.services.c.id == service_id)
    if not found:
        raise unknown
    return found[0]


def services_of(connection: Connection, rows: Sequence[Any]) -> tuple[Service, ...]:
    """Read rows of `SERVICES`, with their topics in order."""
    topics = _topics(connection, [row.id for row in rows])
    return tuple(_service_of(row, topics) for row in rows)


def _service_of(row: Any, topics: dict[tuple[int, str], list[Topic]]) -> Service:
    return Service(
        id=row.id,
        name=row.name,
        description=row.description,
        service_type=row.service_type,
        service_ontology=row.service_ontology,
        location=row.location,
        owner=row.owner,
        owner_id=row.owner_id,
        folder=row.folder,
        visibility=Visibility(row.visibility),
        input_topics=tuple(topics[row.id, "in"]),
        output_topics=tuple(topics[row.id, "out"]),
    )


def _topics(connection: Connection, ids: Sequence[int]) -> dict[tuple[int, str], list[Topic]]:
    used = tables.service_topics
    found: dict[tuple[int, str], list[Topic]] = defaultdict(list)
    select = TOPICS.add_columns(used.c.service_id, used.c.direction).join(
        used, used.c.topic_id == tables.topics.c.id
    )
    known: dict[int, Topic] = {}
    for begin in range(0, len(ids), _MOST_IN_ONE_QUERY):
        some = used.c.service_id.in_(ids[begin : begin + _MOST_IN_ONE_QUERY])
        for row in connection.execute(select.where(some).order_by(used.c.position)):
            topic = known.get(row.id) or known.setdefault(row.id, topic_of(row))
            found[row.service_id, row.direction].append(topic)
    return found


def output_rows(transaction: Transaction, service_id: int) -> list[Any]:
    """Give the rows of `TOPICS` that are a service's outputs, each once."""
    used = tables.service_topics.c
    outputs = sa.select(used.topic_id).where(used.service_id == service_id, used.direction == "out")
    return transaction.rows(TOPICS.where(tables.topics.c.id.in_(outputs)).order_by(tables.topics.c.id))


def subscriber_row(transaction: Transaction, service_id: int, user_id: int) -> Any:
    """Give a row of subscribers, or None."""
    rows = tables.subscribers
    which = (rows.c.service_id == service_id) & (rows.c.user_id == user_id)
    return transaction.row(sa.select(rows).where(which))


def set_subscriber(
    transaction: Transaction, service_id: int, user_id: int, *, active: bool, asked: bool, barred: bool
) -> None:
    """Write a user's part in a service as it is from now on."""
    rows = tables.subscribers
    which = (rows.c.service_id == service_id) & (rows.c.user_id == user_id)
    values = {"active": active, "asked": asked, "barred": barred}
    if transaction.connection.execute(rows.update().where(which).values(**values)).rowcount == 0:
        transaction.connection.execute(rows.insert().values(service_id=service_id, user_id=user_id, **values))


def let_in(
    transaction: Transaction, user_id: int, username: str, topic: Any, granter_id: int | None = None
) -> None:
    """Give SUB if the topic is open to that user or its owner grants it; else let the user wait."""
    right = right_row(transaction, user_id, topic.id)
    if right is not None and right.can_sub:
        return
    barred = right is not None and right.barred
    is_open = topic.visibility == Visibility.OPEN.value and topic.owner_id is not None and not barred
    granted = (
        is_open or topic.owner_id == user_id or (granter_id is not None and granter_id == topic.owner_id)
    )
    set_right(
        transaction,
        (user_id, username),
        (topic.id, topic.name),
        can_sub=granted,
        can_pub=right is not None and right.can_pub,
        asked=not granted,
        barred=barred and not granted,
    )


def shut_out(transaction: Transaction, user_id: int, username: str, service: Any) -> None:
    """Take SUB from a service's outputs that its owner owns and no other subscription reaches."""
    used, parts = tables.service_topics.c, tables.subscribers.c
    others = (
        sa.select(used.topic_id)
        .join_from(tables.service_topics, tables.subscribers, used.service_id == parts.service_id)
        .where(parts.user_id == user_id, parts.active, used.direction == "out")
    )
    kept = {row.topic_id for row in transaction.rows(others.where(parts.service_id != service.id))}
    for topic in output_rows(transaction, service.id):
        right = right_row(transaction, user_id, topic.id)
        if topic.id in kept or topic.owner_id != service.owner_id or right is None:
            continue
        set_right(
            transaction,
            (user_id, username),
            (topic.id, topic.name),
            can_sub=False,
            can_pub=right.can_pub,
            barred=True,
        )


def remove_service(transaction: Transaction, row: Any) -> None:
    """Delete a row of `SERVICES` with its tokens; its topics stay."""
    service = services_of(transaction.connection, [row])[0]
    drop_tokens(transaction, tables.tokens.c.service_id == row.id)
    transaction.connection.execute(tables.services.delete().where(tables.services.c.id == row.id))
    transaction.changes["services_gone"].append(service)
    transaction.note("delete_service", f"service {row.name}")


def place_topics(transaction: Transaction, service_id: int, direction: str, ids: Iterable[int]) -> None:
    """Write a service's topics of one direction, by position."""
    used = tables.service_topics
    which = (used.c.service_id == service_id) & (used.c.direction == direction)
    transaction.connection.execute(used.delete().where(which))
    rows = [
        {"service_id": service_id, "direction": direction, "position": position, "topic_id": topic_id}
        for position, topic_id in enumerate(ids, start=1)
    ]
    if rows:
        transaction.connection.execute(used.insert(), rows)
