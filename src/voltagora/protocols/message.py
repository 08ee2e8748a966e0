"""What all messages share: who sends them where, and how an answer finds its question."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from voltagora.domain.errors import NOTHING, InputError
from voltagora.domain.units import Id, Word
from voltagora.protocols.topic import Kind


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One UTF-8 JSON object published on one topic."""

    protocol: ClassVar[str]
    topics: ClassVar[tuple[str, ...]]
    """Where it is published; of several, the one that opens with the publisher's kind."""
    publishers: ClassVar[tuple[Kind, ...]]
    readers: ClassVar[tuple[Kind, ...]]

    @classmethod
    def topic_of(cls, publisher: Kind) -> str:
        """Give the topic template on which a kind of agent publishes this message."""
        if len(cls.topics) == 1:
            return cls.topics[0]
        return next(topic for topic in cls.topics if topic.startswith(f"{publisher}/"))

    def check(self) -> None:
        """Refuse what no type can: rules over several fields.

        Raises:
            InputError: naming the field.
        """


class Request(Message, frozen=True, kw_only=True):
    """A question that gets exactly one reply from each agent it is meant for."""

    reply: ClassVar[type[Reply]]

    msg_id: Id

    def asker(self, address: tuple[str, ...]) -> str:
        """Tell whom the reply goes to, from the ids of the topic the request came on."""
        return address[0]

    @property
    def identity(self) -> str:
        """What makes a request the same request again, among those of one asker."""
        return self.msg_id


class Reply(Message, frozen=True, kw_only=True):
    """The answer to one request, or the reason why there is none."""

    in_reply_to: Id
    responder: Id
    reason: Word | UnsetType = UNSET
    field: Word | UnsetType = UNSET


class Outcome(Reply, frozen=True, kw_only=True):
    """A yes, or a no with its reason."""

    accepted: bool

    def check(self) -> None:
        """See `Message.check`."""
        if not self.accepted and self.reason is UNSET:
            raise InputError("reason", NOTHING, "present when accepted is false")


class Broadcast(Message, frozen=True, kw_only=True):
    """News for whoever reads; the newest is kept for those who come late."""

    msg_id: Id


class Refusal(StrEnum):
    """Why something was refused; the values are the wire words."""

    INVALID_REQUEST = "invalid_request"
    # CP1
    NO_STATION = "no_station"
    NO_FREE_CONNECTOR = "no_free_connector"
    # CP2
    NOT_AUTHENTIC = "not_authentic"
    EXPIRED = "expired"
    SLOT_TAKEN = "slot_taken"
    INFEASIBLE = "infeasible"
    NO_PRICES = "no_prices"
    RELEASED = "released"
    UNKNOWN_STATION = "unknown_station"
    # CP5
    UNKNOWN = "unknown"
    ALTERED = "altered"
    USED = "used"
    # CP4, CP8 to CP12
    IN_USE = "in_use"
    NOT_REGISTERED = "not_registered"
    STALE = "stale"
    UNKNOWN_RESERVATION = "unknown_reservation"
    # CP6, CP7
    NO_DATA = "no_data"
    # forecasts
    NO_HISTORY = "no_history"
    # never on the wire: the asker's own word for silence
    TIMEOUT = "timeout"
