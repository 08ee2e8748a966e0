"""Every message of a run is one of the contract: its topic, its types, its rounding, its reply."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import jsonschema
import pytest

import voltagora
from voltagora.protocols.catalogue import MESSAGES, PROTOCOLS
from voltagora.protocols.codec import decode, encode
from voltagora.protocols.message import Broadcast, Message, Reply, Request
from voltagora.protocols.published import message_schema
from voltagora.protocols.topic import topic_address

Said = tuple[dict[str, Any], Message]
"""A row of messages.parquet, and the message in it."""


# More decimals than the wire carries, in whatever a user writes out.
OVER_PRECISE = """
days = 1
[[stations.list]]
id = "s"
latitude = 38.0123456789
longitude = 23.7
grid_limit_kw = 22.123456789
connectors = [{connector_type = "x", power_kw = 11.123456789, level = 2}]
[vehicles]
count = 20
min_sell_share = 0.5
min_sell_eur_kwh = 0.1234567891
[[vehicles.list]]
id = "v"
latitude = 38.0
longitude = 23.7
connector_type = "x"
power_kw = 10.987654321987
capacity_kwh = 40.123456789123
max_charge_kw = 11.123456789123
max_discharge_kw = 10.123456789
min_sell_eur_kwh = 0.1234567
[[vehicles.list.needs]]
arrival = "2020-01-01T08:00:00Z"
departure = "2020-01-01T18:00:00Z"
energy_kwh = 12.123456789
power_kw = 9.123456789
soc = 0.3
changes_at = "2020-01-01T07:30:00Z"
changed_energy_kwh = 11.123456789
"""


@pytest.fixture(scope="module", params=["quickstart", "city", "over-precise"])
def said(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Said]:
    scenario, smaller = request.param, {"days": 2}
    if scenario == "city":
        # It has drivers with second thoughts, and stations that negotiate.
        smaller["vehicles.count"] = 90
    elif scenario == "over-precise":
        scenario = tmp_path_factory.mktemp("scenario") / "over-precise.toml"
        scenario.write_text(OVER_PRECISE)
    result = voltagora.run(scenario, set=smaller, messages=True)
    rows = result.tables["messages"].to_pylist()
    return [(row, message_in(row)) for row in rows if row["topic"] != "timer"]


def message_in(row: dict[str, Any]) -> Message:
    kinds = {kind for kind in MESSAGES for topic in kind.topics if topic_address(topic, row["topic"])}
    kinds |= {kind for kind in MESSAGES if row["topic"] in kind.topics}
    (kind,) = kinds
    message: Message = decode(row["payload"].encode(), kind)
    return message


def test_what_is_sent_is_what_would_be_received(said: list[Said]) -> None:
    assert len(said) > 100
    for row, message in said:
        assert encode(message) == row["payload"].encode()


def test_every_message_fits_its_published_schema(said: list[Said]) -> None:
    validators = {kind: jsonschema.Draft202012Validator(message_schema(kind.__name__)) for kind in MESSAGES}
    for row, message in said:
        validators[type(message)].validate(json.loads(row["payload"]))


def test_every_message_counts_under_its_protocol(said: list[Said]) -> None:
    kinds = {protocol.code: protocol.messages for protocol in PROTOCOLS}
    for row, message in said:
        assert type(message) in kinds[row["protocol"]]


def test_the_id_of_a_request_or_broadcast_is_never_used_again(said: list[Said]) -> None:
    # Where nothing is lost nothing is sent twice, so each id stands for one publication.
    sent = Counter(
        (row["area"], row["sender"], message.msg_id)
        for row, message in said
        if isinstance(message, Request | Broadcast)
    )
    assert set(sent.values()) == {1}


def test_every_request_is_answered_and_every_reply_was_asked_for(said: list[Said]) -> None:
    asked: dict[tuple[str, str, str], type[Reply]] = {}
    answered: Counter[tuple[str, str, str]] = Counter()
    for row, message in said:
        if isinstance(message, Request):
            asked[row["area"], row["sender"], message.msg_id] = message.reply
        elif isinstance(message, Reply):
            assert message.responder == row["sender"]
            key = (row["area"], asker_of(row, message, asked), message.in_reply_to)
            assert type(message) is asked[key], "answered before it was asked, or by another kind"
            answered[key] += 1
    assert answered.keys() == asked.keys()


def asker_of(row: dict[str, Any], message: Reply, asked: dict[tuple[str, str, str], type[Reply]]) -> str:
    """Find in a reply's topic the id that has asked such a question."""
    levels = row["topic"].split("/")
    (asker,) = {level for level in levels if (row["area"], level, message.in_reply_to) in asked} - {
        message.responder
    }
    return str(asker)


def test_all_protocols_but_those_for_late_joiners_are_spoken(said: list[Said]) -> None:
    spoken = {row["protocol"] for row, _ in said}
    optional = {"CP3"}  # only where drivers or stations change their minds
    assert spoken | optional == {protocol.code for protocol in PROTOCOLS}
