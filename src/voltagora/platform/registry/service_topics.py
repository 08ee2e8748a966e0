"""Finds the topics that a service names: those that its maker may use, and new ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from voltagora.hub.topics import covers
from voltagora.platform.registry import names, tables
from voltagora.platform.registry.database import Transaction
from voltagora.platform.registry.entities import ServiceDraft, TopicDraft
from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.registry.topics import add_topics


class Permitted:
    """What the user who acts may subscribe and publish to, wildcards included."""

    def __init__(self, transaction: Transaction) -> None:
        rights, topics = tables.rights.c, tables.topics.c
        held = sa.select(topics.name, rights.can_sub, rights.can_pub).join_from(tables.rights, tables.topics)
        rows = transaction.rows(held.where(rights.user_id == transaction.user_id))
        self._exact = {row.name: (row.can_sub, row.can_pub) for row in rows}
        self._wild = [(tuple(row.name.split("/")), row) for row in rows if names.is_wildcard(row.name)]

    def may(self, name: str, direction: str) -> bool:
        """Whether a topic may be an input (`in`, SUB) or an output (`out`, PUB)."""
        place = 0 if direction == "in" else 1
        if self._exact.get(name, (False, False))[place]:
            return True
        levels = tuple(name.split("/"))
        return any(covers(wild, levels) for wild, row in self._wild if (row.can_sub, row.can_pub)[place])


def existing_ids(transaction: Transaction, wanted: Collection[str]) -> dict[str, int]:
    """Give the ids of the names that are registered."""
    topics, ordered = tables.topics.c, [name for name in wanted if names.printable(name)]
    found = {}
    for begin in range(0, len(ordered), 500):
        some = topics.name.in_(ordered[begin : begin + 500])
        found.update(
            {row.name: row.id for row in transaction.rows(sa.select(topics.name, topics.id).where(some))}
        )
    return found


def resolve(
    transaction: Transaction,
    draft: ServiceDraft,
    most: int,
    already: Collection[tuple[str, str]] = (),
) -> dict[str, list[int]]:
    """Give the ids of a service's topics by direction and in order; what is new is registered.

    Args:
        transaction: whose user makes the service.
        draft: the service.
        most: topics one user may have.
        already: (direction, name) that are this service's, and may stay whatever the rights.

    Raises:
        Refusal: 400, a topic the user may not use, or one that may not be registered.
    """
    placed: dict[str, list[TopicDraft | int]] = {"in": [], "out": []}
    drafts = {"in": draft.input_topics, "out": draft.output_topics}
    known = existing_ids(transaction, {each.name for group in drafts.values() for each in group})
    permitted = Permitted(transaction) if known else None
    new: dict[str, TopicDraft] = {}
    for direction, group in drafts.items():
        for each in group:
            if not each.name.strip():
                placed[direction].append(each)
            elif each.name not in known:
                placed[direction].append(new.setdefault(each.name, each))
            else:
                assert permitted is not None
                if (direction, each.name) not in already and not permitted.may(each.name, direction):
                    raise Refusal(400, f"User {transaction.username} not permitted to use topic {each.name}.")
                placed[direction].append(known[each.name])
    return _register(transaction, placed, most)


def _register(
    transaction: Transaction, placed: dict[str, list[TopicDraft | int]], most: int
) -> dict[str, list[int]]:
    drafts: Sequence[TopicDraft] = [
        each for group in placed.values() for each in group if isinstance(each, TopicDraft)
    ]
    # The same draft in two places is one topic; two blank ones are two.
    once = list({id(each): each for each in drafts}.values())
    made = add_topics(transaction, once, most) if once else []
    ids = {id(each): topic.id for each, topic in zip(once, made, strict=True)}
    return {
        direction: [each if isinstance(each, int) else ids[id(each)] for each in group]
        for direction, group in placed.items()
    }
