"""Who owns which agent: the one source of rights in a market with users.

```toml
[users.fleet-1]
password = "scrypt$14,8,1$...$..."     # from: voltagora hub password
vehicle = ["EV1", "EV2"]               # ids this user owns, by kind of agent

[users.grid]
password = "scrypt$14,8,1$...$..."
imbalance = ["ei-village"]
pricing = ["md-village"]

[users.alice]
password = "scrypt$14,8,1$...$..."
operator = true                        # says `start`, keeps the clock, reads everything

[users.archive]
password = "scrypt$14,8,1$...$..."
reader = true                          # reads everything, says nothing
```
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from voltagora.brokers.mosquitto import is_mosquitto_hash
from voltagora.domain.errors import NOTHING, InputError, InputErrors, Verbatim, one_of
from voltagora.domain.units import is_id
from voltagora.hub import passwords
from voltagora.protocols.topic import Kind

KIND_WORDS: Final = {
    "vehicle": Kind.VEHICLE,
    "station": Kind.STATION,
    "recommender": Kind.RECOMMENDER,
    "imbalance": Kind.IMBALANCE,
    "pricing": Kind.PRICING,
    "producer": Kind.PRODUCER,
    "consumer": Kind.CONSUMER,
}
"""The kinds of agents by the words of files and the command line."""

_NAME: Final = re.compile(r"(?! )[^\x00-\x1f\x7f:+#/]{1,200}(?<! )")
"""Users' names that the hub, mosquitto's files and RabbitMQ can all hold."""
_SWITCHES: Final = ("operator", "reader")
_KEYS: Final = ("password", "mosquitto", *_SWITCHES, *KIND_WORDS)


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """One user of a market."""

    name: str
    agents: tuple[tuple[Kind, str], ...] = ()
    is_operator: bool = False
    is_reader: bool = False
    password: str | None = None  # hashed, one line
    mosquitto: str | None = None  # the same password as mosquitto keeps it

    def __repr__(self) -> str:
        return f"Owner({self.name!r}, {len(self.agents)} agents)"


class Owners:
    """The users of a market and the agents they own; an agent has one owner.

    Raises:
        InputErrors: an id is owned twice.
    """

    def __init__(self, owners: Mapping[str, Owner]) -> None:
        self.users = dict(owners)
        self._owner: dict[str, str] = {}
        self._kind: dict[str, Kind] = {}
        errors = []
        for user, owner in self.users.items():
            for kind, id in owner.agents:
                other = self._owner.setdefault(id, user)
                if other != user or id in self._kind:
                    errors.append(
                        InputError(f"users.{user}.{_word(kind)}", id, f"an id nobody owns yet; {other} does")
                    )
                self._kind[id] = kind
        if errors:
            raise InputErrors(errors)

    @classmethod
    def read(cls, path: Path) -> Owners:
        """Read a file.

        Raises:
            InputErrors: all that is wrong with it.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise InputErrors([InputError(str(path), Verbatim(error.strerror or ""), "a file")]) from None
        except UnicodeDecodeError as error:
            raise InputErrors([InputError(str(path), Verbatim(str(error)), "TOML")]) from None
        return cls.parse(text, path.name)

    @classmethod
    def parse(cls, text: str, name: str = "users") -> Owners:
        """Take the text of a file.

        Raises:
            InputErrors: all that is wrong with it.
        """
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InputErrors([InputError(name, Verbatim(str(error)), "TOML")]) from None
        return cls.of(document, name)

    @classmethod
    def of(cls, document: Mapping[str, Any], name: str = "users") -> Owners:
        """Take a table `{"users": {name: {...}}}` as the file has it.

        Raises:
            InputErrors: all that is wrong with it.
        """
        errors = [
            InputError(f"{name}: {key}", key, "users, the only table") for key in document if key != "users"
        ]
        users = document.get("users", {})
        if not isinstance(users, Mapping):
            raise InputErrors([InputError(f"{name}: users", users, "a table of users")])
        owners = {user: _owner(f"users.{user}", user, entry, errors) for user, entry in users.items()}
        if errors:
            raise InputErrors(errors)
        return cls(owners)

    def become(self, other: Owners) -> None:
        """Take another table's place, for all who hold this one."""
        self.users, self._owner, self._kind = other.users, other._owner, other._kind

    def owner(self, id: str) -> str | None:
        """Give the user that owns an agent, None if nobody does."""
        return self._owner.get(id)

    def kind(self, id: str) -> Kind | None:
        """Give the kind of an agent, None if nobody owns it."""
        return self._kind.get(id)

    def of_kind(self, *kinds: Kind) -> list[str]:
        """List the agents of some kinds."""
        return [id for id, kind in self._kind.items() if kind in kinds]


def _owner(where: str, user: str, entry: Any, errors: list[InputError]) -> Owner:
    if not _NAME.fullmatch(user):
        errors.append(InputError(where, user, "a name of 1 to 200 letters, none of them : + # /"))
    if not isinstance(entry, Mapping):
        errors.append(InputError(where, entry, "a table"))
        return Owner(name=user)
    errors += [InputError(f"{where}.{key}", key, one_of(key, _KEYS)) for key in entry if key not in _KEYS]
    agents: list[tuple[Kind, str]] = []
    for word, kind in KIND_WORDS.items():
        ids = entry.get(word, [])
        if not isinstance(ids, list):
            errors.append(InputError(f"{where}.{word}", ids, "a list of ids"))
            continue
        for place, id in enumerate(ids):
            if not isinstance(id, str) or not is_id(id):
                errors.append(InputError(f"{where}.{word}[{place}]", id, "an id: 1 to 64 of A-Z a-z 0-9 _ -"))
            else:
                agents.append((kind, id))
    switches = {}
    for word in _SWITCHES:
        switches[f"is_{word}"] = entry.get(word, False)
        if not isinstance(switches[f"is_{word}"], bool):
            errors.append(InputError(f"{where}.{word}", entry[word], "true or false"))
    mosquitto = entry.get("mosquitto")
    if mosquitto is not None and not (isinstance(mosquitto, str) and is_mosquitto_hash(mosquitto)):
        shown = Verbatim("something else")  # It may be a password in plain.
        errors.append(
            InputError(f"{where}.mosquitto", shown, "a line from `voltagora hub password --mosquitto`")
        )
        mosquitto = None
    return Owner(
        name=user,
        agents=tuple(agents),
        password=_password(where, entry, errors),
        mosquitto=mosquitto,
        **switches,
    )


def _password(where: str, entry: Mapping[str, Any], errors: list[InputError]) -> str | None:
    stored = entry.get("password", NOTHING)
    try:
        passwords.parse_hash(stored)
    except (ValueError, AttributeError, TypeError):
        # It may be somebody's password in plain, so it is not shown.
        shown = NOTHING if stored is NOTHING else Verbatim("something else")
        errors.append(InputError(f"{where}.password", shown, "a line from `voltagora hub password`"))
        return None
    return str(stored)


def _word(kind: Kind) -> str:
    return next(word for word, each in KIND_WORDS.items() if each is kind)
