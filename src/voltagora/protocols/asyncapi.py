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

from voltagora.protocols.catalogue import CONTRACT_VERSION, MESSAGES, PROTOCOLS, Protocol
from voltagora.protocols.message import Broadcast, Message, Reply, Request
from voltagora.protocols.published import Schema, components
from voltagora.protocols.rules import RULES
from voltagora.protocols.topic import KIND_NAMES, Kind

MQTT_BINDING_VERSION: Final = "0.2.0"

_ABOUT: Final = """\
Twelve communication protocols by which electric vehicles, charging stations, station recommenders,
grid areas, producers and consumers trade charging and discharging. Each tag CP1 to CP12 tells the
rules of one protocol; operations are tagged by the kind of agent that performs them.

Payloads. Every payload is one UTF-8 JSON object of at most 256 KiB, nested at most 16 deep; names are
unique within an object, unknown fields are ignored, null stands for nothing, NaN and Infinity for no
number, and a whole number is written without a fraction. kWh and kW count with 6 decimals, EUR and
EUR/kWh with 5, rounded half to even. A series covers consecutive slots from `start` on. A day is a
local one of the grid area: its first slot is the `start` of the day's series.

Requests and replies. A request is answered once by each agent it is meant for, and by no other: EI and
MD answer for their own grid_area, SR for its own network; who is not meant keeps silent. `in_reply_to`
is the request's `msg_id`, `responder` the id of who answers. The same `msg_id` of the same sender again
gets the same answer and changes nothing. The sender of a request is the agent whose id stands in its
topic (CP2: the vehicle of the recommendation), and there the reply goes; believe a reply only from whom
you asked. A request that is not of the contract is answered with the reason `invalid_request` and the
path of the field in `field` (`preferences.arrival`, `connectors[0].power_kw`); one whose `msg_id` or
asker cannot be read, with nothing. `revision` grows with each change of a thing; a lower one is `stale`,
the same one again is accepted and changes nothing.

Silence. Without a reply within 10 seconds of real time send the same message again. CP1, CP2, CP3, CP5,
CP6, CP7: three sends at most, then it counts as refused with the reason `timeout`, which is never sent.
CP4 and CP8 to CP12: until every agent that it is meant for has answered, with growing pauses of at most
300 seconds. Who is answered `not_registered` registers again, then says again what was refused.

MQTT. All is published with QoS 1; broadcasts are retained, so that who comes late has the newest, and
nothing else is but `presence` and `clock`. A retained broadcast may be of an earlier run: whatever is
said after you came counts more, whatever its revision. Publish `online` on `presence/<your id>`,
retained, with `offline` as your last will. When an EI, MD or SR on which you rely comes back (`online`
that is not retained) tell it everything again: CP4 or CP9, then what still stands of CP8, CP10, CP11,
CP12. Begin at the word `start` on `timer`, or at once when `clock` says that it is some time already.
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
            + [{"name": protocol.code, "description": _rules(protocol)} for protocol in PROTOCOLS],
        },
        "defaultContentType": "application/json",
        "channels": dict(_channels()) | _LIVE_CHANNELS,
        "operations": dict(_operations()),
        "components": {
            "schemas": components("#/components/schemas/{name}"),
            "messages": {message.__name__: _message(message) for message in MESSAGES},
        },
    }


def _rules(protocol: Protocol) -> str:
    """Tell a protocol's name, its rules and its reasons: all that no schema says."""
    reasons = ", ".join(f"`{reason.value}`" for reason in protocol.reasons)
    told = f"{protocol.name}. {RULES[protocol.code]}"
    return f"{told} Reasons: {reasons}." if protocol.reasons else told


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
        "description": "Live only: what time it is; the operator's, retained and said again every few "
        "seconds. Take the moment at which a news that is not retained comes for its `start`, and your own "
        "clock may be wrong. Where there is no such topic, time is the real one.",
        "messages": {
            "Clock": {
                "name": "Clock",
                "summary": "At `start` of the wall clock it was `simulated_time`; from then on simulated "
                "time runs `speed` times as fast, 0: not at all.",
                "payload": {
                    "type": "object",
                    "properties": {
                        "start": _TIME_REF,
                        "speed": {"type": "number", "minimum": 0},
                        "simulated_time": _TIME_REF,
                    },
                    "required": ["start", "speed", "simulated_time"],
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
