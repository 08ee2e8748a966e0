"""The contract as one AsyncAPI 3 document over MQTT, made from the types.

The document is of the whole market, so it has two operations an exchange: what one kind of
agent sends, and what the other receives. Operations are tagged by kind: whoever writes a
station reads those tagged `CS`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from voltagora.protocols.catalogue import CONTRACT_VERSION, MESSAGES, PROTOCOLS
from voltagora.protocols.message import Broadcast, Message, Reply, Request
from voltagora.protocols.published import Schema, components
from voltagora.protocols.topic import KIND_NAMES, Kind

MQTT_BINDING_VERSION: Final = "0.2.0"

_ABOUT: Final = """\
Twelve communication protocols by which electric vehicles, charging stations, station recommenders,
grid areas, producers and consumers trade charging and discharging.

Every payload is one UTF-8 JSON object of at most 256 KiB, nested at most 16 deep; names are unique
within an object, unknown fields are ignored, null stands for nothing, and a whole number is written
without a fraction. kWh and kW count with 6 decimals, EUR and EUR/kWh with 5, rounded half to even.
A request is answered once by each agent it is meant for, `in_reply_to` its `msg_id`; the same
`msg_id` again gets the same answer and changes nothing. `revision` grows with each change of a
thing; a lower one is `stale`. Requests and replies go out with QoS 1; broadcasts with QoS 1 and
retained, so that who comes late has the newest.
"""


def asyncapi_text() -> str:
    """Give the document as JSON."""
    return json.dumps(asyncapi_document(), indent=2, ensure_ascii=False) + "\n"


def asyncapi_document() -> Schema:
    """Give the document as plain values."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:voltagora:protocols",
        "info": {
            "title": "VoltAgora: the open market for V2G and G2V energy",
            "version": CONTRACT_VERSION,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "tags": [{"name": kind.value, "description": KIND_NAMES[kind]} for kind in Kind]
            + [{"name": protocol.code, "description": protocol.name} for protocol in PROTOCOLS],
        },
        "defaultContentType": "application/json",
        "channels": dict(_channels()) | _LIVE_CHANNELS,
        "operations": dict(_operations()),
        "components": {
            "schemas": components("#/components/schemas/{name}"),
            "messages": {message.__name__: _message(message) for message in MESSAGES},
        },
    }


def _channels() -> Iterator[tuple[str, Schema]]:
    carried: dict[str, list[type[Message]]] = {}
    for message in MESSAGES:
        for topic in message.topics:
            carried.setdefault(topic, []).append(message)
    for topic, messages in carried.items():
        channel: Schema = {
            "address": topic,
            "messages": {
                message.__name__: {"$ref": f"#/components/messages/{message.__name__}"}
                for message in messages
            },
        }
        if ids := re.findall(r"\{(\w+)\}", topic):
            channel["parameters"] = {name: {"description": _PARAMETERS[name]} for name in ids}
        yield channel_key(topic), channel


def channel_key(topic: str) -> str:
    """Name a channel by its topic, in the letters that a key may have."""
    return re.sub(r"[{}]", "", topic).replace("/", ".")


_PARAMETERS: Final = {
    "vehicle": "id of the vehicle",
    "station": "id of the station",
    "producer": "id of the producer",
    "consumer": "id of the consumer",
    "asker": "id of the agent that asks, and is answered",
}


def _message(message: type[Message]) -> Schema:
    codes = [protocol.code for protocol in PROTOCOLS if message in protocol.messages]
    answers = issubclass(message, Reply)
    return {
        "name": message.__name__,
        "title": message.__name__,
        "summary": (message.__doc__ or "").strip().splitlines()[0],
        "contentType": "application/json",
        "tags": [{"name": code} for code in codes],
        "correlationId": {
            "description": "the question that this answers" if answers else "unique per sender",
            "location": f"$message.payload#/{'in_reply_to' if answers else 'msg_id'}",
        },
        "payload": {"$ref": f"#/components/schemas/{message.__name__}"},
    }


def _operations() -> Iterator[tuple[str, Schema]]:
    for message in MESSAGES:
        if issubclass(message, Request | Broadcast):
            for publisher in message.publishers:
                for reader in message.readers:
                    sent, received = _exchange(message, publisher, reader)
                    yield f"{publisher.value}_sends_{message.__name__}_to_{reader.value}", sent
                    yield f"{reader.value}_receives_{message.__name__}_from_{publisher.value}", received


def _exchange(message: type[Message], publisher: Kind, reader: Kind) -> tuple[Schema, Schema]:
    """Describe one message between two kinds of agents, as seen from either."""
    shared: Schema = {
        "channel": {"$ref": f"#/channels/{channel_key(message.topic_of(publisher))}"},
        "messages": [_of_channel(message.topic_of(publisher), message)],
        "bindings": {
            "mqtt": {
                "qos": 1,
                "retain": issubclass(message, Broadcast),
                "bindingVersion": MQTT_BINDING_VERSION,
            }
        },
    }
    if issubclass(message, Request):
        topic = message.reply.topic_of(reader)
        shared["reply"] = {
            "channel": {"$ref": f"#/channels/{channel_key(topic)}"},
            "messages": [_of_channel(topic, message.reply)],
        }
    summary = (message.__doc__ or "").strip().splitlines()[0]

    def seen_by(kind: Kind, action: str) -> Schema:
        tags = [{"name": kind.value}, {"name": message.protocol}]
        return {"action": action, "summary": summary, "tags": tags} | shared

    return seen_by(publisher, "send"), seen_by(reader, "receive")


def _of_channel(topic: str, message: type[Message]) -> Schema:
    return {"$ref": f"#/channels/{channel_key(topic)}/messages/{message.__name__}"}


def _words(name: str, summary: str, *words: str) -> Schema:
    payload: dict[str, Any] = {"type": "string", "enum": list(words)}
    return {name: {"name": name, "summary": summary, "contentType": "text/plain", "payload": payload}}


_TIME_REF: Final[Schema] = {"type": "string", "format": "date-time"}

_LIVE_CHANNELS: Final[Schema] = {
    "timer": {
        "address": "timer",
        "description": "Live only: the operator's word to all; QoS 1. `start` again changes nothing.",
        "messages": _words("TimerWord", "What the clock shall do.", "start", "pause", "resume", "stop"),
    },
    "clock": {
        "address": "clock",
        "description": "Live only, with an accelerated clock: what time it is; the operator's, retained.",
        "messages": {
            "Clock": {
                "name": "Clock",
                "summary": "From when on, and how much faster than the wall clock, simulated time runs.",
                "payload": {
                    "type": "object",
                    "properties": {
                        "start": _TIME_REF,
                        "speed": {"type": "number", "exclusiveMinimum": 0},
                        "simulated_time": _TIME_REF,
                    },
                },
            }
        },
    },
    "presence": {
        "address": "presence/{id}",
        "description": "Live only: whether an agent is there; written by the id's owner, retained, "
        "`offline` as its last will.",
        "parameters": {"id": {"description": "id of the agent"}},
        "messages": _words("Presence", "Whether an agent is there.", "online", "offline"),
    },
}
