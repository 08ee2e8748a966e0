"""Who may do what: the one small interface, and a table of grants that implements it in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from voltagora.hub.granted import GrantedFilters
from voltagora.hub.topics import Filter, topic_levels

OPERATOR: Final = "operator"
"""The user that everybody is in a hub without users."""


CREDENTIAL: Final = "+"
"""What may follow a username, to tell apart which of its credentials a connection has: `alice+7`."""


def owner_of(user: str) -> str:
    """Give whose connection this is, `alice` of `alice` and of `alice+7`: what others are told.

    The rights know the two apart, so a credential may be worth less than its owner.
    """
    return user.partition(CREDENTIAL)[0]


@dataclass(frozen=True, slots=True)
class Login:
    """What a client shows when it connects."""

    user: str | None
    password: bytes | None = field(repr=False)
    client: str
    address: str


class Rights(Protocol):
    """Asked about every connect, publish, subscribe and delivery; an answer counts for that moment only.

    All but `may_connect` are asked in the middle of the traffic, so they answer from memory.
    """

    def may_connect(self, login: Login) -> str | None:
        """Give the user this client is, or None; may take its time (a password's hash).

        A user may be followed by `+` and a word for the credential (`owner_of`).
        """

    def may_publish(self, user: str, topic: str) -> bool:
        """Whether a user may publish there, now."""

    def may_subscribe(self, user: str, wanted: Filter) -> bool:
        """Whether a user may subscribe to a filter as a whole, now."""

    def may_receive(self, user: str, topic: str) -> bool:
        """Whether a user may be handed a message of this topic, now."""


class Everyone:
    """No users: everybody is the operator and may do everything."""

    def may_connect(self, login: Login) -> str | None:  # noqa: ARG002
        """Take everybody."""
        return OPERATOR

    def may_publish(self, user: str, topic: str) -> bool:  # noqa: ARG002
        """Everywhere but below `$SYS`, which is the hub's own."""
        return True

    def may_subscribe(self, user: str, wanted: Filter) -> bool:  # noqa: ARG002
        """Everything."""
        return True

    def may_receive(self, user: str, topic: str) -> bool:  # noqa: ARG002
        """Everything."""
        return True


@dataclass(frozen=True, slots=True)
class Grant:
    """What one user may do: topic filters, without `$share`.

    Attributes:
        publish: topics it may publish to.
        subscribe: filters it may subscribe to, as they are or narrower; and what it may be handed.
        deny: topics it may neither publish nor be handed, whatever the other two say.
    """

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


class _Compiled:
    """A grant taken apart, with the answers it gave; replaced as a whole when the grant changes."""

    __slots__ = ("deny", "grant", "publish", "publishable", "receivable", "subscribe")

    MOST_ANSWERS: Final = 4_096

    def __init__(self, grant: Grant) -> None:
        self.grant = grant
        self.publish = GrantedFilters(grant.publish)
        self.subscribe = GrantedFilters(grant.subscribe)
        self.deny = GrantedFilters(grant.deny)
        self.publishable: dict[str, bool] = {}
        self.receivable: dict[str, bool] = {}

    def answer(self, answers: dict[str, bool], granted: GrantedFilters, topic: str) -> bool:
        if len(answers) >= self.MOST_ANSWERS:
            answers.clear()
        levels = topic_levels(topic)
        answer = answers[topic] = granted.cover(levels) and not self.deny.cover(levels)
        return answer


class Table:
    """Rights in memory: a grant per user, changed at any moment and valid from that moment on.

    Passwords are not its business: whoever connects must name a user of the table. See
    `voltagora.hub.users` for one that also checks passwords.
    """

    __slots__ = ("_grants",)

    def __init__(self, grants: Mapping[str, Grant] | None = None) -> None:
        self._grants: dict[str, _Compiled] = {}
        for user, grant in (grants or {}).items():
            self.set(user, grant)

    def set(self, user: str, grant: Grant) -> None:
        """Give a user exactly these rights.

        Raises:
            PacketError: a filter is none.
        """
        self._grants[user] = _Compiled(grant)

    def remove(self, user: str) -> None:
        """Take a user out, with all rights."""
        self._grants.pop(user, None)

    def grant(self, user: str) -> Grant:
        """Give what a user may do; nothing for one who is not there."""
        found = self._grants.get(user)
        return found.grant if found else Grant()

    @property
    def users(self) -> tuple[str, ...]:
        """All users, in the order they came."""
        return tuple(self._grants)

    def may_connect(self, login: Login) -> str | None:
        """Take whoever names a user of the table."""
        return login.user if login.user in self._grants else None

    def may_publish(self, user: str, topic: str) -> bool:
        """Granted and not denied."""
        found = self._grants.get(user)
        if found is None:
            return False
        answer = found.publishable.get(topic)
        return found.answer(found.publishable, found.publish, topic) if answer is None else answer

    def may_receive(self, user: str, topic: str) -> bool:
        """Granted and not denied."""
        found = self._grants.get(user)
        if found is None:
            return False
        answer = found.receivable.get(topic)
        return found.answer(found.receivable, found.subscribe, topic) if answer is None else answer

    def may_subscribe(self, user: str, wanted: Filter) -> bool:
        """One grant covers the whole filter and no deny does; a deny within it acts at delivery."""
        found = self._grants.get(user)
        if found is None or not found.subscribe.cover(wanted.levels):
            return False
        return not found.deny.cover(wanted.levels)
