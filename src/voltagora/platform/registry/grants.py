"""Rights to topics: asked for, granted, taken back."""

from __future__ import annotations

import sqlalchemy as sa

from voltagora.platform.registry import tables
from voltagora.platform.registry.entities import Topic, TopicRight
from voltagora.platform.registry.part import (
    NO_TOPIC,
    NOT_PERMITTED,
    TOPICS,
    Part,
    right_of,
    right_row,
    set_right,
    topic_of,
    topic_row,
    user_named,
)
from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.registry.service_rows import let_in
from voltagora.platform.registry.topics import owns


class Grants(Part):
    """The part of the registry that knows who may do what with a topic."""

    def user_topics(self, user_id: int, kind: str = "") -> tuple[TopicRight, ...]:
        """Give the topics a user has a right to: `sub`, `pub`, or either."""
        rights = tables.rights.c
        which = {"sub": rights.can_sub, "pub": rights.can_pub}.get(kind, rights.can_sub | rights.can_pub)
        return self._rights(sa.and_(rights.user_id == user_id, which))

    def user_topic(self, user_id: int, topic_id: int) -> TopicRight:
        """Give what a user may do with one topic.

        Raises:
            Refusal: 404, no such topic or user.
        """
        topics, users, rights = tables.topics.c, tables.users.c, tables.rights.c
        with self._database.read() as connection:
            topic = connection.execute(TOPICS.where(topics.id == topic_id)).first()
            user = connection.execute(sa.select(users.username).where(users.id == user_id)).first()
            which = (rights.user_id == user_id) & (rights.topic_id == topic_id)
            right = connection.execute(sa.select(tables.rights).where(which)).first()
        if topic is None or user is None:
            raise Refusal(404, NO_TOPIC)
        return right_of(topic_of(topic), user.username, right)

    def rights_of_topic(self, user_id: int, topic_id: int) -> tuple[TopicRight, ...]:
        """Give everybody's right to a topic, and who waits for one; for the owner.

        Raises:
            Refusal: 401, not the owner; 404, no such topic.
        """
        with self._database.look(user_id) as transaction:
            if not owns(transaction, topic_row(transaction, topic_id)):
                raise Refusal(401, NOT_PERMITTED)
        rights = tables.rights.c
        some = rights.can_sub | rights.can_pub | rights.asked
        return self._rights(sa.and_(rights.topic_id == topic_id, some))

    def all_rights(self) -> tuple[TopicRight, ...]:
        """Give all rights there are: what a broker is told at its start."""
        return self._rights(tables.rights.c.can_sub | tables.rights.c.can_pub)

    def _rights(self, where: sa.ColumnElement[bool]) -> tuple[TopicRight, ...]:
        rights, holder = tables.rights, tables.users.alias("holder")
        found = (
            TOPICS.add_columns(
                rights.c.can_sub, rights.c.can_pub, rights.c.asked, holder.c.username.label("holder")
            )
            .join(rights, rights.c.topic_id == tables.topics.c.id)
            .join(holder, holder.c.id == rights.c.user_id)
            .where(where)
            .order_by(tables.topics.c.id, holder.c.id)
        )
        with self._database.read() as connection:
            rows = connection.execute(found).all()
        return tuple(right_of(topic_of(row), row.holder, row) for row in rows)

    def ask_to_subscribe(self, user_id: int, topic_id: int) -> Topic:
        """Ask for SUB: given at once where the topic is open, else when its owner grants.

        Raises:
            Refusal: 404, no such topic or user.
        """
        with self._database.write(user_id) as transaction:
            row = topic_row(transaction, topic_id)
            let_in(transaction, user_id, transaction.username, row)
            transaction.note("ask", f"topic {row.name}")
            return topic_of(row)

    def grant(
        self, user_id: int, topic_id: int, username: str, *, sub: bool = False, pub: bool = False
    ) -> TopicRight:
        """Give rights to a topic, besides those already there; by its owner.

        Raises:
            Refusal: 401, not the owner; 404, no such topic or user.
        """
        return self.decide(user_id, topic_id, username, sub=sub or None, pub=pub or None)

    def revoke(
        self, user_id: int, topic_id: int, username: str, *, sub: bool = True, pub: bool = True
    ) -> TopicRight:
        """Take rights to a topic back; by its owner. Who lost SUB must be let in by the owner again.

        Raises:
            Refusal: 401, not the owner; 404, no such topic or user; 400, the owner's own right.
        """
        return self.decide(
            user_id, topic_id, username, sub=False if sub else None, pub=False if pub else None
        )

    def decide(
        self, user_id: int, topic_id: int, username: str, *, sub: bool | None, pub: bool | None
    ) -> TopicRight:
        """Grant (True), take back (False) or leave (None) each of the two rights; by the owner.

        Raises:
            Refusal: 401, not the owner; 404, no such topic or user; 400, the owner's own right.
        """
        with self._database.write(user_id) as transaction:
            row = topic_row(transaction, topic_id)
            if not owns(transaction, row):
                raise Refusal(401, NOT_PERMITTED)
            user = user_named(transaction, username)
            if user.id == row.owner_id and False in (sub, pub):
                raise Refusal(400, "The owner's own right stays.")
            before = right_row(transaction, user.id, topic_id)
            set_right(
                transaction,
                (user.id, user.username),
                (topic_id, row.name),
                can_sub=bool(before and before.can_sub) if sub is None else sub,
                can_pub=bool(before and before.can_pub) if pub is None else pub,
                asked=bool(before and before.asked) if sub is None else False,
                barred=bool(before and before.barred) if sub is None else not sub,
            )
            words = [f"{word} {said}" for word, said in (("SUB", sub), ("PUB", pub)) if said is not None]
            action = "revoke" if False in (sub, pub) else "grant"
            transaction.note(action, f"topic {row.name}", f"{username}: {', '.join(words)}")
            return right_of(topic_of(row), username, right_row(transaction, user.id, topic_id))
