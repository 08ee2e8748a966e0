"""Recorded publications to messages of the contract: each once, and what is no message only counted."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import msgspec

from voltagora.domain.errors import InputError
from voltagora.live.record_topic import message_on
from voltagora.protocols.access import CLOCK, TIMER
from voltagora.protocols.codec import decode
from voltagora.protocols.message import Broadcast, Message, Reply, Request

FAULTS_LISTED: Final = 100
"""Wrong payloads that are named; the others are only counted."""
WORDS: Final = (b"start", b"pause", b"resume", b"stop")
"""What the operator may say on `timer`."""


class Heard(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One recorded publication."""

    at: int | None  # seconds UTC of the agents' time; None: not known yet
    real: float  # seconds UTC when it was recorded; of a simulation the same as `at`
    topic: str
    payload: bytes
    sender: str | None = None  # who published it, if that is known
    retained: bool = False


class Told(msgspec.Struct, frozen=True, gc=False):
    """One message, the first time that it was heard."""

    at: int  # seconds UTC of the agents' time
    real: float
    sender: str | None
    message: Any
    kind: type[Message]
    ids: tuple[str, ...]  # that stand in the topic
    role: str  # the topic's first level


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A payload on a topic of the contract that the contract does not allow."""

    topic: str
    wrong: str


class Sieve:
    """Sorts out what counts.

    Left out are leftovers (retained: they were said before anybody recorded), repeats (the same request,
    broadcast or reply again, whether a broker or an agent sent it twice), and what is not of the contract.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.faults: list[Fault] = []
        self._seen: set[int] = set()

    def message(self, heard: Heard, now: int) -> Told | None:
        """Read a publication; None if it does not count."""
        self.counts["recorded"] += 1
        found = message_on(heard.topic)
        if found is None:
            self.counts["of the operator" if heard.topic in (TIMER, CLOCK) else "on other topics"] += 1
            return None
        if heard.retained:
            self.counts["leftovers"] += 1
            return None
        kind, ids = found
        try:
            message = decode(heard.payload, kind)
        except InputError as error:
            self._fault(heard.topic, str(error))
            return None
        key = hash((heard.topic, *_identity(message)))
        if key in self._seen:
            self.counts["repeats"] += 1
            return None
        self._seen.add(key)
        self.counts["messages"] += 1
        role = heard.topic.partition("/")[0]
        return Told(now, heard.real, heard.sender, message, kind, ids, role)

    def begin_anew(self) -> None:
        """Forget which messages came: another run begins, whose agents count from 1 again."""
        self._seen.clear()

    def _fault(self, topic: str, wrong: str) -> None:
        self.counts["wrong payloads"] += 1
        if len(self.faults) < FAULTS_LISTED:
            self.faults.append(Fault(topic=topic, wrong=wrong))


def _identity(message: Message) -> tuple[str, ...]:
    """Give what makes a message the same message again, among those on one topic."""
    if isinstance(message, Request):
        return (message.identity,)
    if isinstance(message, Reply):
        return (message.responder, message.in_reply_to)
    assert isinstance(message, Broadcast)
    # All areas speak on one topic.
    return (message.msg_id, getattr(message, "grid_area", ""))
