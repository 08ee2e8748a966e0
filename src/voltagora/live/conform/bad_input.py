"""What a request looks like when it is wrong in one place: every field missing, mistyped, out of range."""

from __future__ import annotations

import asyncio
import copy
import json
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from voltagora.live.conform.check import Missing, Wrong
from voltagora.live.conform.stage import GRACE_SECONDS, Heard, Stage
from voltagora.protocols.codec import MAX_BYTES
from voltagora.protocols.message import Outcome, Refusal, Reply, Request
from voltagora.protocols.published import Schema, components

NO_BOUND: Final = 1e9
"""Bounds as wide as this only keep nonsense out."""

WHOSE: Final = frozenset(
    {"grid_area", "network", "preferences.network", "recommendation.network", "recommendation.recommender"}
)
"""Fields by which an agent tells whether a request is for it; it may keep silent when they are wrong."""

ASKER: Final = frozenset({"msg_id", "recommendation", "recommendation.vehicle"})
"""Fields without which nobody can be answered."""

_MISTYPED: Final[dict[str, Any]] = {
    "string": 17,
    "number": "much",
    "integer": 1.5,
    "boolean": "yes",
    "object": [],
    "array": {},
}


class Fault(msgspec.Struct, frozen=True):
    """A request that is wrong in one place."""

    what: str
    field: str  # path of what is wrong
    document: dict[str, Any]


def faults(kind: type[Request], sample: dict[str, Any]) -> Iterator[Fault]:
    """Make every wrong request from a good one."""
    known = components("#/{name}")

    def within(schema: Schema, path: tuple[str | int, ...]) -> Iterator[Fault]:
        for name, field in schema["properties"].items():
            place = (*path, name)
            named = _named(place)
            is_there = name in _at(sample, path)
            if is_there and name in schema.get("required", ()):
                yield Fault(f"{named} missing", named, _changed(sample, place, _GONE))
            wanted = known[field["$ref"].rsplit("/", 1)[1]] if "$ref" in field else field
            for what, value in _wrong_values(wanted):
                yield Fault(f"{named} {what}", named, _changed(sample, place, value))
            if is_there and "properties" in wanted:
                yield from within(wanted, place)
            if is_there and wanted.get("type") == "array" and "$ref" in wanted["items"]:
                yield from within(known[wanted["items"]["$ref"].rsplit("/", 1)[1]], (*place, 0))

    yield from within(known[kind.__name__], ())


_GONE: Final = object()


def _wrong_values(schema: Schema) -> Iterator[tuple[str, Any]]:
    sort = schema.get("type", "string")
    yield "mistyped", _MISTYPED[sort]
    yield "null", None
    if "enum" in schema:
        yield "none of the words", "perhaps"
    elif "pattern" in schema or schema.get("format") == "date":
        yield "malformed", "no such thing!"
    elif sort == "string" and "maxLength" in schema:
        yield "too long", "x" * (schema["maxLength"] + 1)
    if abs(schema.get("minimum", -NO_BOUND)) < NO_BOUND:
        yield "too small", schema["minimum"] - 1
    if "exclusiveMinimum" in schema:
        yield "zero", 0
    if schema.get("maximum", NO_BOUND) < NO_BOUND:
        yield "too large", schema["maximum"] + 1
    if sort == "array" and "type" in schema["items"]:
        yield "with a word among the numbers", ["much"]
        if schema["items"].get("minimum", -NO_BOUND) == 0:
            yield "with a negative number", [-1.0]


def _named(path: tuple[str | int, ...]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text[1:]


def _at(document: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        document = document[step]
    return document


def _changed(sample: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(sample)
    inner = _at(changed, path[:-1])
    if value is _GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return changed


async def refuses_wrong_fields(stage: Stage, topic: str, kind: type[Request], sample: dict[str, Any]) -> None:
    """Send a request with every fault; each is refused as `invalid_request`, and the field named.

    Raises:
        Wrong: one was taken, or another field named.
        Missing: one was not answered.
    """
    since = stage.mark
    sent: dict[str, Fault] = {}
    for fault in faults(kind, sample):
        document = fault.document
        msg_id = stage.word()
        if fault.field != "msg_id":
            document["msg_id"] = msg_id
        sent[msg_id] = fault
        stage.publish(topic, json.dumps(document).encode())
    due = {name for name, fault in sent.items() if fault.field not in ASKER | WHOSE}
    answered = await _answers(stage, kind, due, since)
    for msg_id, fault in sent.items():
        heard = answered.get(msg_id)
        if heard is not None:
            _check_refusal(fault, heard)
        elif msg_id in due:
            raise Missing(f"{fault.what}: no invalid_request that names {fault.field}")


async def _answers(stage: Stage, kind: type[Request], due: set[str], since: int) -> dict[str, Heard]:
    waited = 0.0
    while True:
        replies = stage.all(kind.reply, since=since)
        answered = {it.message.in_reply_to: it for it in reversed(replies)}
        if due <= answered.keys() or waited > stage.manners.patience_seconds:
            return answered
        await asyncio.sleep(0.05)
        waited += 0.05


def _check_refusal(fault: Fault, heard: Heard) -> None:
    reply = heard.message
    if not _is_refusal(reply) or reply.reason != Refusal.INVALID_REQUEST:
        raise Wrong(f"{fault.what}: answered {_said(reply)}, must be invalid_request")
    named = reply.field if isinstance(reply.field, str) else "nothing"
    if _plain(named) != _plain(fault.field):
        raise Wrong(f"{fault.what}: the reply names {named}, must be {fault.field}")


def _plain(path: str) -> str:
    return re.sub(r"\[\d+\]", "", path)


def _is_refusal(reply: Reply) -> bool:
    return not reply.accepted if isinstance(reply, Outcome) else isinstance(reply.reason, str)


def _said(reply: Reply) -> str:
    return str(reply.reason) if isinstance(reply.reason, str) else "yes"


def malformed(sample: dict[str, Any]) -> dict[str, bytes]:
    """Make payloads that are no message at all, by what is wrong with them."""
    good = json.dumps(sample).encode()
    body = good[:-1]
    deep = b"[" * 5_000 + b"]" * 5_000
    return {
        "nothing": b"",
        "not JSON": b"\x00\xff not JSON",
        "cut off": good[: len(good) // 2],
        "a list": b"[" + good + b"]",
        "a number": b"7",
        "with NaN": body + b', "more": NaN}',
        "with Infinity": body + b', "more": -Infinity}',
        "nested too deep": body + b', "more": ' + deep + b"}",
        "too large": body + b', "more": "' + b"x" * MAX_BYTES + b'"}',
    }


async def survives_malformed(stage: Stage, topic: str, kind: type[Request], sample: dict[str, Any]) -> None:
    """Send what is no message; none of it is taken (refusing it is fine), and the agent lives on.

    Raises:
        Wrong: something was taken.
    """
    since = stage.mark
    sent = {}
    for what in malformed(sample):
        msg_id = stage.word()
        sent[msg_id] = what
        stage.publish(topic, malformed(sample | {"msg_id": msg_id})[what])
    await asyncio.sleep(GRACE_SECONDS)
    for heard in stage.all(kind.reply, lambda reply: reply.in_reply_to in sent, since):
        if not _is_refusal(heard.message) or heard.message.reason != Refusal.INVALID_REQUEST:
            what = sent[heard.message.in_reply_to]
            raise Wrong(f"a payload {what}: answered {_said(heard.message)}, must be refused or ignored")
