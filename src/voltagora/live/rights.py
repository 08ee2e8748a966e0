"""What each user may publish and read, made from the types of the contract and the owner table."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from voltagora.brokers.account import Account
from voltagora.domain.errors import NOTHING, InputError, InputErrors
from voltagora.hub.errors import HubError
from voltagora.hub.rights import Grant
from voltagora.hub.users import KnownUsers, Users
from voltagora.live.owners import Owner, Owners
from voltagora.protocols.access import CLOCK, TIMER, access, presence_topic
from voltagora.protocols.topic import Kind

EVERYTHING: Final = "#"
_LISTENERS: Final = (Kind.STATION, Kind.PRODUCER, Kind.CONSUMER)
"""Who tells the following again what they must know when they come back."""
_RELIED_ON: Final = (Kind.IMBALANCE, Kind.PRICING, Kind.RECOMMENDER)


def grants(owners: Owners) -> dict[str, Grant]:
    """Give the rights of every user: those of its agents together, and no more."""
    relied_on = tuple(presence_topic(id) for id in owners.of_kind(*_RELIED_ON))
    return {user: _grant(owner, relied_on) for user, owner in owners.users.items()}


class MarketUsers(Users):
    """Rights of a hub from a market's users file, read again when it changes.

    Args:
        path: the file.
        owners: a table that others hold and that is to follow the file.

    Raises:
        HubError: the file is not right; all that is wrong with it.
    """

    __slots__ = ("owners",)

    def __init__(self, path: Path, owners: Owners | None = None) -> None:
        self.owners = owners if owners is not None else Owners({})
        super().__init__(path)

    def _parse(self, text: str) -> tuple[dict[str, Grant], dict[str, str]]:
        try:
            found = Owners.parse(text, self.path.name)
        except InputErrors as error:
            raise HubError(str(error)) from None
        self.owners.become(found)
        return grants(found), _hashes(found)


def hub_rights(owners: Owners) -> KnownUsers:
    """Give the hub its users, for good."""
    return KnownUsers(grants(owners), _hashes(owners))


def hub_accounts(owners: Owners) -> dict[str, Account]:
    """Give what the users file of a hub by itself is made of."""
    hashes = _hashes(owners)
    return {user: Account(grant, hashes.get(user)) for user, grant in grants(owners).items()}


def mosquitto_accounts(owners: Owners) -> dict[str, Account]:
    """Give what mosquitto's files are made of.

    Raises:
        InputErrors: users whose password is not hashed for mosquitto.
    """
    missing = [
        InputError(f"users.{user}.mosquitto", NOTHING, "a line from `voltagora hub password --mosquitto`")
        for user, owner in owners.users.items()
        if owner.mosquitto is None
    ]
    if missing:
        raise InputErrors(missing)
    return {user: Account(grant, owners.users[user].mosquitto) for user, grant in grants(owners).items()}


def _hashes(owners: Owners) -> dict[str, str]:
    return {user: owner.password for user, owner in owners.users.items() if owner.password is not None}


def _grant(owner: Owner, relied_on: tuple[str, ...]) -> Grant:
    publish: dict[str, None] = {}
    read: dict[str, None] = {TIMER: None, CLOCK: None}
    for kind, id in owner.agents:
        may = access(kind, id)
        publish.update(dict.fromkeys((*may.publish, presence_topic(id))))
        read.update(dict.fromkeys(may.read))
        if kind in _LISTENERS:
            read.update(dict.fromkeys(relied_on))
    if owner.is_operator:
        publish.update({TIMER: None, CLOCK: None})
    if owner.is_operator or owner.is_reader:
        read = {EVERYTHING: None}
    return Grant(publish=tuple(publish), subscribe=tuple(read))
