"""The contract in words, for a person at a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

from voltagora.domain.errors import InputError, one_of
from voltagora.protocols.catalogue import PROTOCOLS, Protocol
from voltagora.protocols.message import Broadcast, Message, Request
from voltagora.protocols.published import Schema, components, referred
from voltagora.protocols.topic import KIND_NAMES, Kind

_WIDTH: Final = 100


def described(code: str | None = None) -> str:
    """Describe one protocol and the objects in its messages, or all twelve and all objects.

    Args:
        code: `CP1` to `CP12`, in either case; None for all.

    Raises:
        InputError: there is no such protocol.
    """
    chosen = PROTOCOLS if code is None else (_find(code),)
    schemas = components("#/{name}")
    names = [message.__name__ for protocol in chosen for message in protocol.messages]
    blocks = [_legend(chosen)]
    blocks += [_protocol(protocol, schemas) for protocol in chosen]
    blocks += [_object(name, schemas[name]) for name in _objects_in(names, schemas)]
    return "\n\n".join(blocks)


def _find(code: str) -> Protocol:
    for protocol in PROTOCOLS:
        if protocol.code == code.upper():
            return protocol
    raise InputError("code", code, one_of(code.upper(), [protocol.code for protocol in PROTOCOLS]))


_NOTATION: Final = (
    "id    1 to 64 of A-Z a-z 0-9 _ -",
    "time  RFC 3339, UTC, whole seconds: 2020-01-31T08:00:00Z",
    "?     may be absent (null is invalid); unknown fields are ignored",
)


def _legend(chosen: Iterable[Protocol]) -> str:
    met = {
        kind
        for protocol in chosen
        for message in protocol.messages
        for kind in (*message.publishers, *message.readers)
    }
    kinds = [f"{kind.value}  {KIND_NAMES[kind]}" for kind in Kind if kind in met]
    return "\n".join([*kinds, "", *_NOTATION])


def _protocol(protocol: Protocol, schemas: dict[str, Schema]) -> str:
    lines = [f"{protocol.code} {protocol.name}"]
    for message in protocol.messages:
        lines += ["", *_message(message, schemas[message.__name__])]
    lines += ["", *_wrapped("reasons: " + ", ".join(protocol.reasons), "  ")]
    return "\n".join(lines)


def _message(message: type[Message], schema: Schema) -> Iterator[str]:
    sort = "request" if issubclass(message, Request) else "reply"
    if issubclass(message, Broadcast):
        sort = "broadcast, retained"
    yield f"  {message.__name__} ({sort}): {schema['description']}"
    readers = ", ".join(message.readers)
    if len(message.topics) == 1:
        yield f"    {', '.join(message.publishers)} -> {readers}  {message.topics[0]}"
    else:
        for kind in message.publishers:
            yield f"    {kind.value} -> {readers}  {message.topic_of(kind)}"
    yield from _fields(schema, "      ")


def _object(name: str, schema: Schema) -> str:
    lines = [*_wrapped(f"{name}: {schema.get('description', '')}", "")]
    if "enum" in schema:
        return "\n".join([*lines, "  one of: " + ", ".join(schema["enum"])])
    return "\n".join([*lines, *_fields(schema, "  ")])


def _fields(schema: Schema, indent: str) -> Iterator[str]:
    required = set(schema.get("required", ()))
    width = max(len(name) for name in schema["properties"]) + 2
    for name, field in schema["properties"].items():
        shown = name if name in required else f"{name}?"
        yield f"{indent}{shown:<{width}}{_kind_of(field)}"
    if comment := schema.get("$comment"):
        yield f"{indent}({comment})"


def _kind_of(field: Schema) -> str:
    """Say of what kind a field is, with its unit and bounds."""
    if "$ref" in field:
        return referred(field)[0]
    if field["type"] == "array":
        items = field["items"]
        inner = f"list of {_kind_of(items)}" if "$ref" in items else f"list of numbers{_bounds(items)}"
        return f"{inner}, {field['description']}" if "description" in field else inner
    if "pattern" in field:
        return "time" if field.get("format") == "date-time" else "id"
    if field.get("format") == "date":
        return "local day, YYYY-MM-DD"
    word = {"boolean": "true or false", "integer": "whole number"}.get(field["type"], field["type"])
    told = field.get("description", "")
    return f"{word}{_bounds(field)}" + (f", {told}" if told and not told.startswith("a share") else "")


def _bounds(field: Schema) -> str:
    low, high = field.get("minimum", -_NO_BOUND), field.get("maximum", _NO_BOUND)
    upper = f" to {high:g}" if high < _NO_BOUND else ""
    if "exclusiveMinimum" in field:
        return f" above 0{upper}"
    if low <= -_NO_BOUND:
        return ""
    return f" {low:g}{upper}" if upper else f" from {low:g}"


_NO_BOUND: Final = 1e9
"""Bounds as wide as this only keep nonsense out; nobody needs to read them."""


def _objects_in(names: Iterable[str], schemas: dict[str, Schema]) -> list[str]:
    """Name the objects that messages hold, in the order in which a reader meets them."""
    met: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        for name in referred(schemas[waiting.pop(0)]):
            if name not in met:
                met[name] = None
                waiting.append(name)
    return list(met)


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent + "  ")
