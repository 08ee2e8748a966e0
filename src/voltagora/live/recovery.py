"""Puts agents made anew where those of a killed process were, from its journal."""

from __future__ import annotations

from voltagora.domain.errors import RunError
from voltagora.live.journal import Journal
from voltagora.live.node import Node


def recover(node: Node, journal: Journal) -> int:
    """Apply all events of a journal to a node that has heard nothing yet.

    Returns:
        How many events there were.

    Raises:
        RunError: the agents say something else than they said then: they are not the same agents.
    """
    said = journal.publications()
    count = 0
    for event in journal.events():
        count += 1
        node.apply(event)
        for outgoing in node.take():
            number, before = next(said, (0, None))
            if before != outgoing:
                told = "nothing more" if before is None else f"{before.payload[:200]!r} on {before.topic}"
                raise RunError(
                    f"{journal.path}: publication {number} was {told}, and is now {outgoing.payload[:200]!r} "
                    f"on {outgoing.topic}: made with another scenario, strategy or version of voltagora"
                )
        if len(node.deadlines) > 100_000:
            node.deadlines = list(node.take_deadlines())
    if next(said, None) is not None:
        raise RunError(f"{journal.path}: more was said than its events give: it is damaged")
    return count
