"""Puts agents made anew where those of a killed process were, from its journal."""

from __future__ import annotations

from typing import Final

from voltagora.domain.errors import RunError
from voltagora.live.journal import Journal
from voltagora.live.node import Node
from voltagora.live.outgoing import Outgoing
from voltagora.live.trust import Trust

MOST_DEADLINES: Final = 100_000
"""So many are kept before those that no longer matter are thrown away."""


def recover(node: Node, journal: Journal) -> int:
    """Apply all events of a journal to a node that has heard nothing yet.

    Returns:
        How many events there were.

    Raises:
        RunError: the agents say something else than they said then: they are not the same agents,
            or they are of another version of voltagora or of a strategy.
    """
    trust, node.trust = node.trust, Trust()  # What was kept was believed, whoever owns what by now.
    try:
        return _apply_all(node, journal)
    finally:
        node.trust = trust


def _apply_all(node: Node, journal: Journal) -> int:
    said = journal.publications()
    count = 0
    for event in journal.events():
        count += 1
        node.apply(event)
        for outgoing in node.take():
            number, before = next(said, (None, None))
            if before != outgoing:
                raise _differs(journal, number, before, outgoing)
        if len(node.deadlines) > MOST_DEADLINES:
            node.deadlines = list(node.take_deadlines())
    more = next(said, None)
    if more is not None:
        raise _differs(journal, *more, None)
    return count


def _differs(journal: Journal, number: int | None, before: Outgoing | None, now: Outgoing | None) -> RunError:
    told, tells = (
        "nothing more" if each is None else f"{each.payload[:200]!r} on {each.topic}"
        for each in (before, now)
    )
    which = "what came after the last publication" if number is None else f"publication {number}"
    return RunError(
        f"{journal.path}: {which} was {told}, and is now {tells}: "
        "made with another scenario, strategy or version of voltagora"
    )
