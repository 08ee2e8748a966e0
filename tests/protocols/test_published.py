"""The published schemas say what the decoder does, as far as a schema can."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voltagora.domain.errors import InputError
from voltagora.protocols.asyncapi import asyncapi_document, asyncapi_text
from voltagora.protocols.catalogue import MESSAGES, PROTOCOLS
from voltagora.protocols.codec import decode
from voltagora.protocols.described import described
from voltagora.protocols.message import Broadcast, Message, Reply, Request
from voltagora.protocols.published import components, message_schema, schema_files

every_message = pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)

formats = jsonschema.FormatChecker(formats=[])


@formats.checks("date-time", raises=ValueError)
def _is_a_moment(value: object) -> bool:
    return not isinstance(value, str) or bool(datetime.fromisoformat(value))


@formats.checks("date", raises=ValueError)
def _is_a_day(value: object) -> bool:
    return not isinstance(value, str) or (len(value) == 10 and bool(date.fromisoformat(value)))


def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(message_schema(name), format_checker=formats)


VALIDATORS = {message.__name__: validator(message.__name__) for message in MESSAGES}


@every_message
def test_each_schema_is_a_json_schema_that_stands_alone(message: type[Message]) -> None:
    text = schema_files()[f"{message.__name__}.json"]
    schema = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(schema)
    pointed = set(re.findall(r'"\$ref": "([^"]*)"', text))
    assert pointed == {f"#/$defs/{name}" for name in schema.get("$defs", {})}


@every_message
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_what_the_decoder_takes_the_schema_takes(
    message: type[Message], payloads: Any, data: st.DataObject
) -> None:
    payload = data.draw(payloads(message))
    decode(json.dumps(payload).encode(), message)
    VALIDATORS[message.__name__].validate(payload)


WRONG: list[Any] = [
    None, True, False, "", "12", "a b", "x" * 300, "NaN", "2020-01-01", "2020-02-30T00:00:00Z",
    "2020-01-01T00:00:00Z", "2020-01-01T00:00:00+00:00", "1969-12-31T23:59:59Z",
    0, 1, -1, 0.5, 1e-9, 1.5, -1e-3, 25, 1e13, -1e13, 2e9, [], [1], [None], ["x"], {}, {"start": 1},
    "Counter", "Accept", "reserved",
]  # fmt: skip

# Rules that stand in a `$comment`, by words of the decoder's refusal.
UNSAYABLE = (
    "must be after arrival",
    "must be within 31 days",
    "must be at most max_soc",
    "must be unique within the station",
    "must be over the slots of schedule",
    "must be as long as mean",
)


def test_what_would_be_rounded_to_nothing_is_not_above_zero_in_the_schema_either() -> None:
    battery = message_schema("ReserveChargingSlot")["$defs"]["Battery"]["properties"]
    assert battery["capacity_kwh"]["exclusiveMinimum"] == 5e-7
    assert battery["charge_efficiency"]["exclusiveMinimum"] == 0


@every_message
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_schema_and_decoder_refuse_the_same(
    message: type[Message], payloads: Any, data: st.DataObject
) -> None:
    payload = copy.deepcopy(data.draw(payloads(message)))
    holder, key = data.draw(st.sampled_from(list(places(payload))))
    wrong = data.draw(st.sampled_from(WRONG))
    if data.draw(st.booleans()):
        holder[key] = wrong
    else:
        del holder[key]

    fits = VALIDATORS[message.__name__].is_valid(payload)
    refusal = refusal_of(message, payload)
    unsayable = UNSAYABLE
    if isinstance(wrong, float) and wrong.is_integer():
        # To JSON Schema 1.0 is a whole number; to the decoder, whole numbers have no fraction.
        unsayable = (*UNSAYABLE, "must be a whole number")
    assert fits == (refusal is None) or any(rule in str(refusal) for rule in unsayable), refusal


def refusal_of(message: type[Message], payload: Any) -> InputError | None:
    try:
        decode(json.dumps(payload).encode(), message)
    except InputError as error:
        return error
    return None


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Walk all that a JSON document holds, as (where it lies, under which name)."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield value, key
        yield from places(item)


def test_what_a_schema_cannot_say_stands_in_a_comment() -> None:
    comments = [schema["$comment"] for schema in components("{name}").values() if "$comment" in schema]
    assert len(comments) == 7
    assert comments.count("departure is after arrival, by at most 31 days") == 3


def test_replies_name_the_reasons_of_their_protocol() -> None:
    schema = message_schema("AuthenticationOutcome")
    assert schema["properties"]["reason"]["examples"] == ["unknown", "altered", "expired", "used"]


NODE = Path(__file__).resolve().parents[2] / "build" / "node"
CHECK = Path(__file__).parent / "asyncapi" / "check.cjs"


def test_the_asyncapi_document_passes_the_parser_of_its_authors() -> None:
    if shutil.which("node") is None or not (NODE / "node_modules" / "@asyncapi" / "parser").exists():
        assert "CI" not in os.environ, "CI must not skip this: see the Makefile"
        pytest.skip(f"@asyncapi/parser is not in {NODE}: `make test` puts it there if npm exists")
    checked = subprocess.run(
        ["node", CHECK, NODE], input=asyncapi_text(), capture_output=True, text=True, check=True
    )
    verdict = json.loads(checked.stdout)
    assert [found for found in verdict["diagnostics"] if found["severity"] < 2] == []
    assert verdict["counts"]["operations"] == len(asyncapi_document()["operations"])


TOPICS = {
    "EV/{vehicle}/RequestChargingRecommendations",
    "EV/{vehicle}/ChargingRecommendations",
    "CS/{station}/ReserveChargingSlot",
    "EV/{vehicle}/ReservationOutcome",
    "CS/{station}/EV/{vehicle}/EV_start/start_negotiation",
    "CS/{station}/EV/{vehicle}/EV_start/accept_negotiation",
    "CS/{station}/EV/{vehicle}/CS_start/start_negotiation",
    "CS/{station}/EV/{vehicle}/CS_start/accept_negotiation",
    "CS/{station}/RegisterChargingStation",
    "EI/{asker}/RegistrationOutcome",
    "MD/{asker}/RegistrationOutcome",
    "SR/{asker}/RegistrationOutcome",
    "CS/{station}/AuthenticateRecommendation",
    "CS/{station}/AuthenticateRecommendationOutcome",
    "EI/{asker}/ElectricityImbalanceRequest",
    "EI/{asker}/ElectricityImbalance",
    "EI/ElectricityImbalance",
    "MD/{asker}/ElectricityPricesRequest",
    "MD/{asker}/ElectricityPrices",
    "MD/ElectricityPrices",
    "CS/{station}/UpdatedChargingSchedule",
    "EI/{asker}/UpdateScheduleOutcome",
    "MD/{asker}/UpdateScheduleOutcome",
    "EP/{producer}/RegisterElectricityProducer",
    "EC/{consumer}/RegisterElectricityConsumer",
    "EP/{producer}/UpdateExpectedProduction",
    "EC/{consumer}/UpdateExpectedConsumption",
    "EI/{asker}/UpdateProfileOutcome",
    "MD/{asker}/UpdateProfileOutcome",
    "EP/{asker}/UpdateConfidence",
    "EC/{asker}/UpdateConfidence",
    "CS/{asker}/UpdateConfidence",
    "EI/{asker}/UpdateConfidenceOutcome",
    "MD/{asker}/UpdateConfidenceOutcome",
    "CS/{station}/UpdatedStationAvailability",
    "CS/{station}/UpdateAvailabilityOutcome",
}


def test_the_topic_tree_is_the_published_one_spelling_included() -> None:
    addresses = {channel["address"] for channel in asyncapi_document()["channels"].values()}
    assert addresses == TOPICS | {"timer", "clock", "presence/{id}"}


def test_every_request_tells_where_its_reply_comes_from_each_responder() -> None:
    document = asyncapi_document()
    for message in MESSAGES:
        for publisher in message.publishers:
            for reader in message.readers:
                name = f"{publisher}_sends_{message.__name__}_to_{reader}"
                if issubclass(message, Reply):
                    assert name not in document["operations"]
                    continue
                operation = document["operations"][name]
                assert ("reply" in operation) == issubclass(message, Request)
                assert operation["bindings"]["mqtt"]["retain"] == issubclass(message, Broadcast)
                assert operation["bindings"]["mqtt"]["qos"] == 1
                if issubclass(message, Request):
                    key = operation["reply"]["channel"]["$ref"].rsplit("/", 1)[1]
                    address = document["channels"][key]["address"]
                    assert address in message.reply.topics
                    several = len(message.reply.topics) > 1
                    assert not several or address.startswith(reader)


def test_the_description_for_people_names_everything() -> None:
    text = described()
    for protocol in PROTOCOLS:
        assert f"{protocol.code} {protocol.name}" in text
        for reason in protocol.reasons:
            assert reason in described(protocol.code)
    for topic in TOPICS:
        assert topic in text
    for name, schema in components("{name}").items():
        assert name in text
        for field in schema.get("properties", {}):
            assert field in text


def test_one_protocol_is_described_with_its_objects_alone() -> None:
    text = described("cp5")
    assert "AuthenticateRecommendation" in text
    assert "Recommendation: A capability" in text
    assert "Battery" not in text


def test_an_unknown_protocol_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"code: got 'CP13', must be one of: .*did you mean 'CP"):
        described("CP13")
