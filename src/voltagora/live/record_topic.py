"""What a topic carries: which message of the twelve protocols, and the ids that stand in it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from voltagora.domain.units import ID_PATTERN
from voltagora.protocols.catalogue import MESSAGES
from voltagora.protocols.message import Message

_ID: Final = re.compile(ID_PATTERN)
_LONGEST: Final = 6  # levels of a topic of the contract


def message_on(topic: str) -> tuple[type[Message], tuple[str, ...]] | None:
    """Find the message of a topic and the ids in it, in order; None if it is not of the contract.

    `EI/+/RegistrationOutcome` and its like answer both CP4 and CP9; they are filed as CP4's.
    """
    levels = topic.split("/")
    if len(levels) > _LONGEST:
        return None
    places = (1,) if len(levels) == 3 else (1, 3) if len(levels) == _LONGEST else ()
    shape = tuple("+" if place in places else level for place, level in enumerate(levels))
    message = _by_shape().get(shape)
    if message is None:
        return None
    ids = tuple(levels[place] for place in places)
    return (message, ids) if all(map(_ID.match, ids)) else None


@lru_cache(maxsize=1)
def _by_shape() -> dict[tuple[str, ...], type[Message]]:
    return {
        tuple("+" if "{" in level else level for level in template.split("/")): message
        for message in MESSAGES
        for template in message.topics
    }
