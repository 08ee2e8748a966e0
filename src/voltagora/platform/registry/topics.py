"""Topics: registered, found, changed, deleted."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from voltagora.platform.registry import names, tables
from voltagora.platform.registry.database import Transaction
from voltagora.platform.registry.entities import Topic, TopicDraft, Visibility
from voltagora.platform.registry.part import (
    NOT_PERMITTED,
    TOPICS,
    Part,
    matches,
    right_row,
    set_right,
    topic_of,
    topic_row,
)
from voltagora.platform.registry.refusals import Refusal, quota
from voltagora.platform.registry.topic_rows import remove_topic


class Topics(Part):
    """The part of the registry that knows topics."""

    def topics(
        self, *, name: str = "", description: str = "", topic_ontology: str = "", term: str = ""
    ) -> tuple[Topic, ...]:
        """Give the topics in which all of the given parts stand, in order of registration.

        Args:
            name: a part of it, in any case; so with the others.
            description: a part of it.
            topic_ontology: a part of it.
            term: a part of any of the three.
        """
        found = self._listed("topics", self._all_topics)
        if not (name or description or topic_ontology or term):
            return found
        return tuple(
            topic
            for topic in found
            if matches(name, [topic.name])
            and matches(description, [topic.description])
            and matches(topic_ontology, [topic.topic_ontology])
            and matches(term, [topic.name, topic.description, topic.topic_ontology])
        )

    def _all_topics(self) -> tuple[Topic, ...]:
        with self._database.read() as connection:
            rows = connection.execute(TOPICS.order_by(tables.topics.c.id)).all()
        return tuple(map(topic_of, rows))

    def find_topic(self, topic_id: int | None = None, *, name: str | None = None) -> Topic | None:
        """Find a topic by id or by name."""
        topics = tables.topics.c
        if not names.printable(name or ""):
            return None
        where = topics.id == topic_id if topic_id is not None else topics.name == name
        with self._database.read() as connection:
            found = connection.execute(TOPICS.where(where)).first()
        return topic_of(found) if found else None

    def create_topic(
        self, user_id: int, draft: TopicDraft, *, visibility: Visibility = Visibility.OPEN
    ) -> Topic:
        """Register a topic; whoever does may subscribe and publish.

        Raises:
            Refusal: 400, no name for a topic, taken, or overlapping with another's.
        """
        with self._database.write(user_id) as transaction:
            if draft.name.strip() and topic_named(transaction, draft.name):
                raise Refusal(400, f"A topic with name '{draft.name}' already exists.")
            return add_topics(transaction, [draft], self.quotas.topics, visibility)[0]

    def change_topic(
        self,
        user_id: int,
        topic_id: int,
        *,
        description: str | None = None,
        topic_ontology: str | None = None,
        visibility: Visibility | None = None,
    ) -> Topic:
        """Change what is said of a topic, or who is let in; its name stays.

        Raises:
            Refusal: 401, not the owner; 404, no such topic; 400, too long.
        """
        values: dict[str, Any] = {}
        for field, text in (("description", description), ("topic_ontology", topic_ontology)):
            if text is not None:
                names.check_length(field, text, names.MOST_TEXT)
                values[field] = text
        if visibility is not None:
            values["visibility"] = visibility.value
        with self._database.write(user_id) as transaction:
            row = topic_row(transaction, topic_id)
            if not owns(transaction, row):
                raise Refusal(401, NOT_PERMITTED)
            if values:
                which = tables.topics.c.id == topic_id
                transaction.connection.execute(tables.topics.update().where(which).values(**values))
                transaction.note("change_topic", f"topic {row.name}", ", ".join(values))
            changed = topic_of(topic_row(transaction, topic_id))
            transaction.changes["topics_new"].append(changed)
            return changed

    def delete_topic(self, user_id: int, topic_id: int) -> None:
        """Delete a topic with all rights to it.

        Raises:
            Refusal: 401, not the owner or in use by services; 404, no such topic.
        """
        with self._database.write(user_id) as transaction:
            row = topic_row(transaction, topic_id)
            if not owns(transaction, row):
                right = right_row(transaction, user_id, topic_id)
                some = right is not None and (right.can_sub or right.can_pub)
                raise Refusal(401, f"{NOT_PERMITTED}, not topic owner" if some else NOT_PERMITTED)
            users_of_it = _services_with(transaction, topic_id)
            if users_of_it:
                raise Refusal(
                    401, f"Topic used in services: {users_of_it}, delete first services and then topic"
                )
            remove_topic(transaction, row)


def owns(transaction: Transaction, row: Any) -> bool:
    """Whether the one who acts is the owner of a row, or an administrator."""
    return transaction.admin or (row.owner_id is not None and row.owner_id == transaction.user_id)


def topic_named(transaction: Transaction, name: str) -> Any:
    """Give a row of `TOPICS`, or None."""
    return transaction.row(TOPICS.where(tables.topics.c.name == name)) if names.printable(name) else None


def add_topics(
    transaction: Transaction,
    drafts: Sequence[TopicDraft],
    most: int,
    visibility: Visibility = Visibility.OPEN,
) -> list[Topic]:
    """Register topics that are not there yet, as those of the user who acts, who may then do both.

    Raises:
        Refusal: 400, no name for a topic, overlapping with another's, or too many.
    """
    user = (_id(transaction), transaction.username)
    topics = tables.topics
    count = sa.select(sa.func.count()).where(topics.c.owner_id == user[0])
    if transaction.row(count)[0] + len(drafts) > most:
        raise quota("topics", most)
    drafts = [_checked(transaction, draft) for draft in drafts]
    refuse_blocked(transaction, [draft.name for draft in drafts])
    made = []
    for draft in drafts:
        topic_id = transaction.next_id("topic")
        transaction.connection.execute(
            topics.insert().values(
                id=topic_id,
                name=draft.name,
                description=draft.description,
                topic_ontology=draft.topic_ontology,
                owner_id=user[0],
                visibility=visibility.value,
                wildcard=names.is_wildcard(draft.name),
            )
        )
        set_right(transaction, user, (topic_id, draft.name), can_sub=True, can_pub=True)
        topic = topic_of(topic_row(transaction, topic_id))
        transaction.changes["topics_new"].append(topic)
        transaction.note("create_topic", f"topic {draft.name}")
        made.append(topic)
    return made


def refuse_blocked(transaction: Transaction, wanted: Sequence[str]) -> None:
    """Refuse names that overlap with what others have registered.

    A plain name is blocked by others' wildcards; a wildcard by whatever of others it matches.

    Raises:
        Refusal: 400, with the names that block.
    """
    topics = tables.topics.c
    others = sa.select(topics.name).where(
        (topics.owner_id != transaction.user_id) | topics.owner_id.is_(None)
    )
    wild = [name for name in wanted if names.is_wildcard(name)]
    if not wild:
        others = others.where(topics.wildcard)
    blocking = [
        row.name
        for row in transaction.rows(others.order_by(topics.id))
        if any(names.overlap(name, row.name) for name in (wanted if names.is_wildcard(row.name) else wild))
    ]
    if blocking:
        raise Refusal(400, f"Blocked by the following topics '{blocking[:20]}'.")


def _checked(transaction: Transaction, draft: TopicDraft) -> TopicDraft:
    name = draft.name if draft.name.strip() else str(uuid.uuid4())
    names.check_topic_name(name, anywhere=transaction.admin)
    names.check_length("description", draft.description, names.MOST_TEXT)
    names.check_length("topic_ontology", draft.topic_ontology, names.MOST_TEXT)
    return TopicDraft(name=name, description=draft.description, topic_ontology=draft.topic_ontology)


def _id(transaction: Transaction) -> int:
    assert transaction.user_id is not None
    return transaction.user_id


def _services_with(transaction: Transaction, topic_id: int) -> list[str]:
    services, used = tables.services.c, tables.service_topics.c
    found = sa.select(services.name).distinct().join_from(tables.services, tables.service_topics)
    return [
        row.name for row in transaction.rows(found.where(used.topic_id == topic_id).order_by(services.name))
    ]
