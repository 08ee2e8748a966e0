"""The shapes that the OpenAPI document tells of. Nothing is validated by them: see `bodies`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel


class Message(BaseModel):
    """A refusal: a text, or texts by field."""

    message: str | dict[str, str]
    code: str | None = None


class User(BaseModel):
    """A user."""

    id: int
    username: str
    email: str
    registered_on: str
    confirmed: bool
    confirmed_on: str
    admin: bool


class Registered(BaseModel):
    """The answer to who registers."""

    status: str
    message: str
    data: User
    access_token: str


class LoggedIn(Registered):
    """The answer to who logs in."""

    refresh_token: str


class Done(BaseModel):
    """The answer to what was done."""

    status: str
    message: str


class Access(BaseModel):
    """A new access token."""

    access_token: str


class Topic(BaseModel):
    """A topic."""

    id: int
    name: str
    description: str
    topic_ontology: str


class OwnedTopic(Topic):
    """A topic with whose it is and whom it lets in."""

    owner: str | None
    visibility: Literal["open", "approval"]


class TopicRight(Topic):
    """A topic with what a user may do with it."""

    can_sub: bool
    can_pub: bool


class Right(BaseModel):
    """What one user may do with a topic."""

    username: str
    can_sub: bool
    can_pub: bool
    asked: bool


class Service(BaseModel):
    """A service without its topics."""

    id: int
    name: str
    description: str
    service_type: str
    service_ontology: str
    location: str
    owner: str


class ExtendedService(Service):
    """A service with its topics in order."""

    input_topics: list[Topic]
    output_topics: list[Topic]


class ManagedService(ExtendedService):
    """A service with what it does now."""

    service_image_built: bool
    service_is_running: bool


class MyService(ManagedService):
    """A service as one user sees it."""

    subscriber: bool


class SubscribedService(ExtendedService):
    """A service that somebody asked for."""

    subscriber: bool


class ShownService(ExtendedService):
    """A service with its subscribers' usernames."""

    subscribers: list[str]


class OneService(BaseModel):
    """One service."""

    data: ShownService


class Names(BaseModel):
    """A pick list."""

    data: list[str]


class Subscriber(BaseModel):
    """A user's part in a service."""

    username: str
    active: bool
    asked: bool


class Run(BaseModel):
    """One instance of a service."""

    number: int
    state: str
    ready: bool
    connected: bool
    limits: dict[str, str]
    lost: list[str]
    started_at: float
    restarts: int
    build: int
    client_name: str
    reason: str


class Running(BaseModel):
    """What a service does now; `ready` and `limits` are those of its newest run."""

    running: bool
    ready: bool
    limits: dict[str, str]
    instances: list[Run]


class Build(BaseModel):
    """One build of a service."""

    version: int
    built_at: float
    python: str
    current: bool
    notes: list[str]


class Token(BaseModel):
    """A token without its secret."""

    id: int
    kind: Literal["device", "personal", "service"]
    name: str
    publish: list[str] | None
    subscribe: list[str] | None
    api: Literal["none", "read", "write"]
    created_at: int
    expires_at: int | None
    service_id: int | None


class NewToken(Token):
    """A token with its secret, shown this once."""

    token: str


class AuditEntry(BaseModel):
    """Who did what."""

    id: int
    at: int
    actor: str
    action: str
    subject: str
    detail: str


class TopicWish(BaseModel):
    """A topic as somebody wishes it."""

    name: str = ""
    description: str = ""
    topic_ontology: str


class ServiceWish(BaseModel):
    """A service as somebody wishes it."""

    name: str
    description: str = ""
    service_type: str = ""
    service_ontology: str = ""
    location: str = ""
    input_topics: list[TopicWish] = []
    output_topics: list[TopicWish] = []


def takes(**fields: Any) -> dict[str, Any]:
    """Give what a call's `openapi_extra` says of its body.

    Args:
        fields: by name: a schema, or a Python type; a name that ends in `_` is required.
    """
    kinds = {str: "string", bool: "boolean", int: "integer"}
    schemas = {
        name.rstrip("_"): each if isinstance(each, dict) else {"type": kinds[each]}
        for name, each in fields.items()
    }
    body: dict[str, Any] = {"type": "object", "properties": schemas}
    if needed := [name[:-1] for name in fields if name.endswith("_")]:
        body["required"] = needed
    kinds_of_body = ("application/json", "application/x-www-form-urlencoded")
    return {"requestBody": {"content": {kind: {"schema": body} for kind in kinds_of_body}}}


def takes_file(field: str) -> dict[str, Any]:
    """Give what a call's `openapi_extra` says of a file."""
    schema = {"type": "object", "properties": {field: {"type": "string", "format": "binary"}}}
    return {"requestBody": {"content": {"multipart/form-data": {"schema": schema}}}}


def failing(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Give the refusals of a call for the document."""
    return {code: {"model": Message} for code in codes}
