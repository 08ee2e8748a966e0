"""What the registry knows, as frozen values that pass between the parts of the platform.

Ids are whole numbers that are never used twice. Times are seconds since 1970, UTC.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

ADMIN_ID: Final = 2_147_483_647
"""The administrator of the first start; far from the ids of those who register, which count from 1."""


class Visibility(StrEnum):
    """What happens when somebody asks for a topic or a service."""

    OPEN = "open"
    """Whoever asks is let in at once."""
    APPROVAL = "approval"
    """Whoever asks waits until the owner grants."""


class ApiScope(StrEnum):
    """What a token may do over the REST API."""

    NONE = "none"
    READ = "read"
    WRITE = "write"


class TokenKind(StrEnum):
    """What a token was made for."""

    DEVICE = "device"
    PERSONAL = "personal"
    SERVICE = "service"


class User(msgspec.Struct, frozen=True, kw_only=True):
    """An account."""

    id: int
    username: str
    email: str
    registered_at: int
    confirmed_at: int | None = None
    admin: bool = False


class TopicDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A topic as somebody wishes it; a blank name becomes a UUID."""

    name: str = ""
    description: str = ""
    topic_ontology: str = ""


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A registered topic, or a wildcard over many.

    Attributes:
        owner: username; None: the owner's account is gone and others' services still use the topic.
    """

    id: int
    name: str
    description: str
    topic_ontology: str
    owner: str | None
    visibility: Visibility = Visibility.OPEN


class TopicRight(msgspec.Struct, frozen=True, kw_only=True):
    """What one user may do with one topic.

    Attributes:
        asked: asked for SUB and waits for the owner.
    """

    topic: Topic
    username: str
    can_sub: bool = False
    can_pub: bool = False
    asked: bool = False


class ServiceDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A service as somebody wishes it; the topics' order is kept."""

    name: str
    description: str = ""
    service_type: str = ""
    service_ontology: str = ""
    location: str = ""
    input_topics: tuple[TopicDraft, ...] = ()
    output_topics: tuple[TopicDraft, ...] = ()


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A registered service.

    Attributes:
        folder: its name on disk and of its image, unique without regard to case.
        input_topics, output_topics: by position; a service reads `in_topic_1..n` by it.
    """

    id: int
    name: str
    description: str
    service_type: str
    service_ontology: str
    location: str
    owner: str
    owner_id: int
    folder: str
    visibility: Visibility = Visibility.OPEN
    input_topics: tuple[Topic, ...] = ()
    output_topics: tuple[Topic, ...] = ()


class Subscriber(msgspec.Struct, frozen=True, kw_only=True):
    """One user's part in a service.

    Attributes:
        active: is a subscriber; if not, asked and waits for the owner, or was put out by the owner.
        asked: waits for the owner.
    """

    service_id: int
    username: str
    active: bool
    asked: bool = False


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What a token may do, always within what its user may do.

    Attributes:
        publish, subscribe: topic filters; None: all that the user may.
        api: the REST API.
    """

    publish: tuple[str, ...] | None = None
    subscribe: tuple[str, ...] | None = None
    api: ApiScope = ApiScope.NONE


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token, without its secret, which nobody can read again."""

    id: int
    user_id: int
    username: str
    kind: TokenKind
    name: str
    scope: Scope
    created_at: int
    expires_at: int | None = None
    service_id: int | None = None

    @property
    def principal(self) -> str:
        """The user that the broker knows a connection with this token by: `alice+7`.

        A username has no `+`, so nobody can register it.
        """
        return f"{self.username}+{self.id}"


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what.

    Attributes:
        actor: username, or empty for the platform itself.
        action: a word of the registry (`create_topic`, `grant`, `login_failed`).
        subject: what it was done to (`topic t`, `service A`, `user b`).
        detail: more, never a secret.
    """

    id: int
    at: int
    actor: str
    action: str
    subject: str
    detail: str = ""


class Quotas(msgspec.Struct, frozen=True, kw_only=True):
    """How much one user may have; the administrator may too."""

    topics: int = 20_000
    services: int = 2_000
    topics_per_service: int = 500
    tokens: int = 1_000
    import_bytes: int = 10 * 1024 * 1024
    import_services: int = 2_000


class RightChange(msgspec.Struct, frozen=True, kw_only=True):
    """A right as it is from now on; both false: gone."""

    username: str
    topic: str
    can_sub: bool
    can_pub: bool


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What one transaction changed; handed to the registry's listeners after the commit.

    Attributes:
        rights: rights as they are from now on.
        tokens: tokens that are new.
        tokens_gone: principals of tokens that are revoked or have expired.
        users_new, users_out: usernames; `users_out` are gone or have another password: their
            connections end.
        topics_new, topics_gone, services_new, services_changed, services_gone: what the word says;
            a changed topic is in `topics_new` again.
    """

    rights: tuple[RightChange, ...] = ()
    tokens: tuple[Token, ...] = ()
    tokens_gone: tuple[str, ...] = ()
    users_new: tuple[str, ...] = ()
    users_out: tuple[str, ...] = ()
    users_gone: tuple[str, ...] = ()
    topics_new: tuple[Topic, ...] = ()
    topics_gone: tuple[Topic, ...] = ()
    services_new: tuple[Service, ...] = ()
    services_changed: tuple[Service, ...] = ()
    services_gone: tuple[Service, ...] = ()
