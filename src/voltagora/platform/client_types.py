"""What the platform's client gives back: the shapes of the REST API, as frozen values."""

from __future__ import annotations

from typing import Literal

import msgspec

ApiScope = Literal["none", "read", "write"]
Visibility = Literal["open", "approval"]


class User(msgspec.Struct, frozen=True, kw_only=True):
    """An account."""

    id: int
    username: str
    email: str
    registered_on: str
    confirmed: bool
    confirmed_on: str
    admin: bool


class NewTopic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic as it is wished; a blank name becomes a UUID."""

    name: str = ""
    description: str = ""
    topic_ontology: str = "string"


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic."""

    id: int
    name: str
    description: str
    topic_ontology: str


class OwnedTopic(Topic, frozen=True, kw_only=True):
    """A topic with whose it is and whom it lets in."""

    owner: str | None
    visibility: Visibility


class TopicRight(Topic, frozen=True, kw_only=True):
    """A topic with what one may do with it."""

    can_sub: bool
    can_pub: bool


class Right(msgspec.Struct, frozen=True, kw_only=True):
    """What one user may do with a topic; `asked`: waits for the owner."""

    username: str
    can_sub: bool
    can_pub: bool
    asked: bool


class NewService(msgspec.Struct, frozen=True, kw_only=True):
    """A service as it is wished; its topics keep their order."""

    name: str
    description: str = ""
    service_type: str = "Processor"
    service_ontology: str = ""
    location: str = ""
    input_topics: tuple[NewTopic, ...] = ()
    output_topics: tuple[NewTopic, ...] = ()


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A service. What a call does not tell of is left at its default.

    Attributes:
        subscribers: usernames.
        subscriber: whether the caller is one.
    """

    id: int
    name: str
    description: str
    service_type: str
    service_ontology: str
    location: str
    owner: str
    input_topics: tuple[Topic, ...] = ()
    output_topics: tuple[Topic, ...] = ()
    service_image_built: bool = False
    service_is_running: bool = False
    subscribers: tuple[str, ...] = ()
    subscriber: bool = False


class Subscriber(msgspec.Struct, frozen=True, kw_only=True):
    """A user's part in a service; `asked`: waits for the owner."""

    username: str
    active: bool
    asked: bool


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One instance of a service; `limits` says how each limit holds, `reason` why it ended."""

    number: int
    state: str
    ready: bool
    connected: bool
    limits: dict[str, str]
    lost: tuple[str, ...]
    started_at: float
    restarts: int
    build: int
    client_name: str
    reason: str


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What a service does now; `ready` and `limits` are those of its newest run."""

    running: bool
    ready: bool
    limits: dict[str, str]
    instances: tuple[Run, ...] = ()


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """One build of a service; `current`: the next start takes it."""

    version: int
    built_at: float
    python: str
    current: bool
    notes: tuple[str, ...]


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token; `token`, its secret, is there once, when it is made."""

    id: int
    kind: Literal["device", "personal", "service"]
    name: str
    publish: tuple[str, ...] | None
    subscribe: tuple[str, ...] | None
    api: ApiScope
    created_at: int
    expires_at: int | None
    service_id: int | None
    token: str = ""

    def __repr__(self) -> str:
        return f"Token({self.id}, {self.kind!r}, {self.name!r})"


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what."""

    id: int
    at: int
    actor: str
    action: str
    subject: str
    detail: str
