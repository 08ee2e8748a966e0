"""Who may publish and read what, answered from memory and always as the registry says.

The broker knows a connection that showed an account's password by the username, `alice`, and one
that showed a token by the token's principal, `alice+7`. A principal may do what its user may, as far
as the token's scope reaches; what it publishes is stamped `alice`.

Every change of the registry arrives here before the call that made it returns, so the very next
publish or delivery is judged by it. What a change makes unlawful (subscriptions, waiting messages,
connections) is then cleared away on the broker's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from voltagora.hub.rights import CREDENTIAL, Grant, Login
from voltagora.hub.topics import MOST_LEVELS, Filter, covers
from voltagora.platform.registry.entities import Change, RightChange, Token, Topic
from voltagora.platform.registry.names import intersection, is_wildcard
from voltagora.platform.registry.registry import Registry

SUB: Final = 1
PUB: Final = 2

Levels = tuple[str, ...]


class OpenBroker(Protocol):
    """What a broker must be able to do for a change to act at once; the hub is one."""

    def revoke(self, user: str) -> None:
        """End subscriptions and discard messages that a user may no longer have."""

    def put_out(self, user: str, client: str | None = None, *, forget: bool = False) -> int:
        """End a user's connections; with `forget`, sessions too."""

    def forget(self, text: str, keep: Callable[[str], bool]) -> None:
        """Drop the values of the topics that a filter matches."""


class PlatformRights:
    """Implements `voltagora.hub.rights.Rights` and the questions of every other way in.

    Args:
        registry: is listened to until `close`.
        enter: finds the principal behind a username, a password or token, and an address; None if
            they are not right. Called in a thread.
    """

    def __init__(self, registry: Registry, enter: Callable[[str, str, str], str | None]) -> None:
        self._registry = registry
        self._enter = enter
        self._held: dict[str, _Held] = {}
        self._principals: dict[str, _Principal] = {}
        self._broker: OpenBroker | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = registry.listen(self._changed)
        for user in registry.users():
            self._user(user.username)
        for right in registry.all_rights():
            self._user(right.username).set(right.topic.name, _bits(right.can_sub, right.can_pub))
        for token in registry.tokens():
            self._token(token)

    def close(self) -> None:
        """Listen no longer."""
        self._stop()
        self._broker = self._loop = None

    # The four questions of the hub.

    def may_connect(self, login: Login) -> str | None:
        """Give the principal of a login: an account's password, or a token in its place."""
        try:
            password = (login.password or b"").decode()
        except UnicodeDecodeError:
            return None
        return self._enter(login.user or "", password, login.address)

    def may_publish(self, user: str, topic: str) -> bool:
        """Whether a principal may publish to a topic, now."""
        found = self._principals.get(user)
        if found is None:
            return False
        answers = found.publishable
        answer = answers.get(topic)
        return found.answer(answers, topic, PUB) if answer is None else answer

    def may_receive(self, user: str, topic: str) -> bool:
        """Whether a principal may be handed a message of a topic, now."""
        found = self._principals.get(user)
        if found is None:
            return False
        answers = found.receivable
        answer = answers.get(topic)
        return found.answer(answers, topic, SUB) if answer is None else answer

    def may_subscribe(self, user: str, wanted: Filter) -> bool:
        """Whether one right of a principal covers a whole filter, now."""
        found = self._principals.get(user)
        return found is not None and found.covers(wanted.topics, wanted.levels, SUB)

    # Other ways in.

    def allows(self, user: str, text: str, bits: int) -> bool:
        """Whether all of SUB and PUB in `bits` are held for a topic, or for a filter as a whole."""
        found = self._principals.get(user)
        levels = tuple(text.split("/"))
        if found is None or not text or len(levels) > MOST_LEVELS or not bits & (SUB | PUB):
            return False
        return all(found.covers(text, levels, bit) for bit in (SUB, PUB) if bits & bit)

    def knows(self, user: str) -> bool:
        """Whether there is such a principal."""
        return user in self._principals

    def grants(self) -> dict[str, Grant]:
        """Give what every principal may do, as filters: for brokers that are told and do not ask."""
        return {name: each.grant() for name, each in tuple(self._principals.items())}

    # Changes.

    def attach(self, broker: OpenBroker, loop: asyncio.AbstractEventLoop) -> None:
        """Let changes act on a broker's open connections; its methods are called on that loop."""
        self._broker, self._loop = broker, loop

    async def watch(self, seconds: float = 1.0) -> None:
        """End tokens when their time has come, for as long as this is awaited."""
        while True:
            await asyncio.to_thread(self._registry.expire_tokens)
            await asyncio.sleep(seconds)

    def _changed(self, change: Change) -> None:
        gone = [each for user in change.users_gone for each in self._drop_user(user)]
        for name in change.users_new:
            self._user(name)
        narrowed = self._set(change.rights)
        for token in change.tokens:
            narrowed |= self._token(token)
        for principal in change.tokens_gone:
            self._drop_token(principal)
            gone.append(principal)
        narrowed -= set(gone)
        if self._broker is not None and (gone or narrowed or change.users_out or change.topics_gone):
            keep = _kept(self._registry.topics()) if change.topics_gone else None
            self._on_loop(lambda: self._act(gone, narrowed, change, keep))

    def _on_loop(self, act: Callable[[], None]) -> None:
        loop = self._loop
        assert loop is not None
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = False
        if here:
            act()
        elif not loop.is_closed():
            loop.call_soon_threadsafe(act)

    def _act(
        self,
        gone: Iterable[str],
        narrowed: Iterable[str],
        change: Change,
        keep: Callable[[str], bool] | None,
    ) -> None:
        broker = self._broker
        if broker is None:
            return
        for user in gone:
            broker.put_out(user, forget=True)
        for user in change.users_out:
            broker.put_out(user)
        for user in narrowed:
            broker.revoke(user)
        for topic in change.topics_gone:
            # Whoever registers the name next must not find what was said there before.
            assert keep is not None
            broker.forget(topic.name, keep)

    def _set(self, rights: Iterable[RightChange]) -> set[str]:
        narrowed = set()
        touched = {}
        for right in rights:
            held = touched[right.username] = self._user(right.username)
            if held.set(right.topic, _bits(right.can_sub, right.can_pub)):
                narrowed.add(right.username)
        for held in touched.values():
            held.forget_answers()
        return {each for user in narrowed for each in self._held[user].principals}

    def _user(self, name: str) -> _Held:
        held = self._held.get(name)
        if held is None:
            held = self._held[name] = _Held()
            self._principals[name] = held.principals[name] = _Principal(held)
        return held

    def _token(self, token: Token) -> set[str]:
        held, name = self._user(token.username), token.principal
        before = held.principals.get(name)
        made = _Principal(held, token.scope.publish, token.scope.subscribe)
        self._principals[name] = held.principals[name] = made
        return {name} if before is not None else set()

    def _drop_token(self, principal: str) -> None:
        self._principals.pop(principal, None)
        held = self._held.get(principal.partition(CREDENTIAL)[0])
        if held is not None:
            held.principals.pop(principal, None)

    def _drop_user(self, name: str) -> list[str]:
        held = self._held.pop(name, None)
        dropped = [] if held is None else list(held.principals)
        for principal in dropped:
            self._principals.pop(principal, None)
        return dropped


class _Held:
    """The rights of one user. Changed in any thread while the broker's loop reads."""

    __slots__ = ("exact", "principals", "wild")

    def __init__(self) -> None:
        self.exact: dict[str, int] = {}
        self.wild: tuple[tuple[Levels, int], ...] = ()
        self.principals: dict[str, _Principal] = {}

    def set(self, name: str, bits: int) -> bool:
        """Hold exactly these bits for a name; say whether that is less than before."""
        before = self.exact.get(name, 0)
        if bits:
            self.exact[name] = bits
        else:
            self.exact.pop(name, None)
        if is_wildcard(name):
            levels = tuple(name.split("/"))
            others = tuple(each for each in self.wild if each[0] != levels)
            self.wild = (*others, (levels, bits)) if bits else others
        return bool(before & ~bits)

    def covers(self, text: str, levels: Levels, bit: int) -> bool:
        """Whether one right covers a topic or a filter as a whole."""
        if self.exact.get(text, 0) & bit:
            return True
        return any(bits & bit and covers(wild, levels) for wild, bits in self.wild)

    def forget_answers(self) -> None:
        """Have every question answered anew."""
        for principal in tuple(self.principals.values()):
            principal.forget_answers()


class _Principal:
    """A user, or a user as far as a token's scope reaches, with the answers given so far.

    A change first changes the rights and then puts new, empty dictionaries in place. Whoever is in the
    middle of answering by the rights of before writes into the old one, where nobody looks again.
    """

    __slots__ = ("_held", "_scopes", "publishable", "receivable")

    MOST_ANSWERS: Final = 4_096

    def __init__(
        self, held: _Held, publish: tuple[str, ...] | None = None, subscribe: tuple[str, ...] | None = None
    ) -> None:
        self._held = held
        self._scopes = {PUB: _split(publish), SUB: _split(subscribe)}
        self.publishable: dict[str, bool] = {}
        self.receivable: dict[str, bool] = {}

    def forget_answers(self) -> None:
        """Have every question answered anew."""
        self.publishable = {}
        self.receivable = {}

    def answer(self, answers: dict[str, bool], topic: str, bit: int) -> bool:
        """Answer for a topic and remember it."""
        if len(answers) >= self.MOST_ANSWERS:
            answers.clear()
        levels = tuple(topic.split("/"))
        plain = not is_wildcard(topic) and len(levels) <= MOST_LEVELS
        answer = answers[topic] = plain and self.covers(topic, levels, bit)
        return answer

    def grant(self) -> Grant:
        """Give what it may do, as filters."""
        return Grant(publish=self._filters(PUB), subscribe=self._filters(SUB))

    def _filters(self, bit: int) -> tuple[str, ...]:
        held = [name for name, bits in tuple(self._held.exact.items()) if bits & bit]
        scope = self._scopes[bit]
        if scope is None:
            return tuple(held)
        found = (intersection(name, "/".join(each)) for name in held for each in scope)
        return tuple(dict.fromkeys(each for each in found if each is not None))

    def covers(self, text: str, levels: Levels, bit: int) -> bool:
        """Whether both a right of the user and the token's scope cover a topic or a whole filter."""
        scope = self._scopes[bit]
        if scope is not None and not any(covers(each, levels) for each in scope):
            return False
        return self._held.covers(text, levels, bit)


def _split(filters: Iterable[str] | None) -> tuple[Levels, ...] | None:
    return None if filters is None else tuple(tuple(each.split("/")) for each in filters)


def _bits(can_sub: bool, can_pub: bool) -> int:
    return SUB * can_sub | PUB * can_pub


def _kept(topics: Iterable[Topic]) -> Callable[[str], bool]:
    """Topics keep their values if they are registered themselves; a wildcard that is gone covered more."""
    registered = frozenset(topic.name for topic in topics)
    return registered.__contains__
