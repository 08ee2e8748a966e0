"""What goes out comes back, and nothing that is wrong comes in."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voltagora.domain.errors import InputError
from voltagora.domain.location import Location
from voltagora.domain.units import round_half_even
from voltagora.domain.vehicle import Battery
from voltagora.protocols.catalogue import MESSAGES
from voltagora.protocols.codec import MAX_BYTES, decode, encode, to_builtins
from voltagora.protocols.cp04_station_registration import RegisterChargingStation
from voltagora.protocols.cp08_schedule import UpdatedChargingSchedule
from voltagora.protocols.cp10_expected_energy import UpdateExpectedProduction
from voltagora.protocols.cp12_availability import UpdatedStationAvailability
from voltagora.protocols.message import Message

every_message = pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)


@every_message
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_message_survives_the_wire(message: type[Message], payloads: Any, data: st.DataObject) -> None:
    payload = data.draw(payloads(message))

    received = decode(json.dumps(payload).encode(), message)

    assert decode(encode(received), message) == received
    assert agrees(payload, to_builtins(received))


def agrees(sent: Any, received: Any) -> bool:
    """Tell whether all that was sent was received, but for rounding; defaults may come on top."""
    if isinstance(sent, dict):
        return all(agrees(value, received[name]) for name, value in sent.items())
    if isinstance(sent, list):
        return len(sent) == len(received) and all(map(agrees, sent, received))
    if isinstance(sent, float | int) and not isinstance(sent, bool):
        return received in {sent, *(round_half_even(sent, places) for places in (3, 5, 6))}
    return bool(sent == received)


@settings(max_examples=100)
@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=5))
def test_the_rounded_value_counts(values: list[float]) -> None:
    payload = {
        "msg_id": "m",
        "grid_area": "g",
        "day": "2020-01-01",
        "revision": 1,
        "expected": {"start": "2020-01-01T00:00:00Z", "step_minutes": 60, "values": values},
    }
    received = decode(json.dumps(payload).encode(), UpdateExpectedProduction)
    assert received.expected.values.tolist() == [round_half_even(value, 6) for value in values]


def test_minus_zero_is_received_as_zero_and_never_sent() -> None:
    received = decode(battery(soc="-0.0", min_soc="-0.0", max_charge_kw="-0.0"), Battery)
    assert b"-0" not in encode(received)


def test_unknown_fields_are_ignored() -> None:
    text = battery().decode().replace("{", '{"colour": {"deep": [null, "x"]}, ', 1)
    assert decode(text.encode(), Battery) == decode(battery(), Battery)


def battery(**changes: str) -> bytes:
    fields = {
        "capacity_kwh": "40",
        "soc": "0.5",
        "min_soc": "0",
        "max_soc": "1",
        "max_charge_kw": "7.4",
        "max_discharge_kw": "7.4",
    } | changes
    return ("{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}").encode()


def refusal(payload: bytes, wanted: type[Any]) -> InputError:
    with pytest.raises(InputError) as caught:
        decode(payload, wanted)
    return caught.value


HUGE = "1" + "0" * 5_000


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("capacity_kwh", "NaN", "a finite number"),
        ("capacity_kwh", "Infinity", "a finite number"),
        ("max_charge_kw", "-Infinity", "a finite number"),
        ("capacity_kwh", "1e400", "a finite number within range"),
        ("capacity_kwh", "1" + "0" * 400, "a finite number within range"),
        ("capacity_kwh", HUGE, "a finite number within range"),
        ("capacity_kwh", '"12"', "a number"),
        ("capacity_kwh", "true", "a number"),
        ("capacity_kwh", "null", "a number"),
        ("capacity_kwh", "[40]", "a number"),
        ("capacity_kwh", "{}", "a number"),
        ("capacity_kwh", "0", "a number above 0"),
        ("capacity_kwh", "-22", "a number above 0"),
        ("capacity_kwh", "1e-09", "above 0 with 6 decimals"),
        ("capacity_kwh", "1e13", "a number of at most 1000000000000"),
        ("soc", "1.0000001", "a number of at most 1"),
        ("soc", "-0.1", "a number of at least 0"),
        ("max_charge_kw", "-1", "a number of at least 0"),
        ("charge_efficiency", "0", "a number above 0"),
        ("charge_efficiency", "1.5", "a number of at most 1"),
        ("discharge_efficiency", "null", "a number"),
        ("min_soc", "1.1", "a number of at most 1"),
    ],
)
def test_a_wrong_number_is_named_with_what_would_be_right(field: str, value: str, expected: str) -> None:
    error = refusal(battery(**{field: value}), Battery)
    assert (error.field, error.expected) == (field, expected)
    assert len(str(error)) < 300
    if len(value) < 40:
        assert value.strip('"') in str(error)


def test_a_floor_above_the_ceiling_is_named() -> None:
    error = refusal(battery(min_soc="0.9", max_soc="0.8"), Battery)
    assert str(error) == "min_soc: got 0.9, must be at most max_soc (0.8)"


def test_a_missing_field_is_named() -> None:
    assert str(refusal(b"{}", Battery)) == "capacity_kwh: got nothing, must be present"
    assert refusal(b'{"latitude": 1}', Location).field == "longitude"


def station(network: str = '"net"', connectors: str | None = None) -> bytes:
    plug = '{"id": "c1", "connector_type": "x", "power_kw": 22, "level": 2, "v2g_capable": true}'
    return (
        f'{{"msg_id": "m", "network": {network}, "grid_area": "g", '
        f'"location": {{"latitude": 0, "longitude": 0}}, '
        f'"connectors": {connectors or f"[{plug}]"}, "grid_limit_kw": 22}}'
    ).encode("utf-8", "surrogatepass")


IDS = [
    "",
    "a/b",
    "a+b",
    "#",
    "+",
    "..",
    "a b",
    "a\n",
    "\n",
    "a\u0000",
    "é",
    "\u0430",  # looks like a
    "\uff21",  # looks like A
    "a\u200b",
    "x" * 65,
    "x" * 65_536,
    "$SYS",
]


@pytest.mark.parametrize("name", IDS)
def test_an_id_is_at_most_64_plain_letters(name: str) -> None:
    error = refusal(station(json.dumps(name)), RegisterChargingStation)
    assert (error.field, error.expected) == ("network", "a name: 1 to 64 of A-Z a-z 0-9 _ -")


@pytest.mark.parametrize("name", ["a", "A-Z_09", "x" * 64, "-", "__"])
def test_any_such_name_is_an_id(name: str) -> None:
    assert decode(station(json.dumps(name)), RegisterChargingStation).network == name


@pytest.mark.parametrize(
    ("connectors", "field"),
    [
        ("[]", "connectors"),
        ("{}", "connectors"),
        ("[1]", "connectors[0]"),
        ('[{"id": "c"}]', "connectors[0].connector_type"),
        ('[{"id": "c", "connector_type": "", "power_kw": 1}]', "connectors[0].connector_type"),
        ('[{"id": "c", "connector_type": "x", "power_kw": -22}]', "connectors[0].power_kw"),
        (
            '[{"id": "c", "connector_type": "x", "power_kw": NaN, "level": 2, "v2g_capable": true}]',
            "connectors[0].power_kw",
        ),
        (
            '[{"id": "c", "connector_type": "x", "power_kw": 1, "level": 4, "v2g_capable": true}]',
            "connectors[0].level",
        ),
        (
            '[{"id": "c", "connector_type": "x", "power_kw": 1, "level": 1, "v2g_capable": 1}]',
            "connectors[0].v2g_capable",
        ),
        (
            '[{"id": "c", "connector_type": "x", "power_kw": 1, "level": 1, "v2g_capable": true}, '
            '{"id": "c", "connector_type": "y", "power_kw": 1, "level": 1, "v2g_capable": true}]',
            "connectors[1].id",
        ),
    ],
)
def test_the_path_leads_to_the_wrong_field(connectors: str, field: str) -> None:
    assert refusal(station(connectors=connectors), RegisterChargingStation).field == field


def availability(**changes: str) -> bytes:
    fields = {
        "msg_id": '"m"',
        "reservation": '"r"',
        "revision": "1",
        "connector": '"c"',
        "arrival": '"2020-01-01T08:00:00Z"',
        "departure": '"2020-01-01T09:00:00Z"',
        "state": '"reserved"',
    } | changes
    return ("{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}").encode()


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("arrival", '"2020-01-01T08:00:00+00:00"', "a UTC time like 2020-01-31T08:00:00Z, whole seconds"),
        ("arrival", '"2020-01-01T08:00:00"', "a UTC time like"),
        ("arrival", '"2016-12-31T23:59:60Z"', "a UTC time that exists"),
        ("arrival", '"2019-02-29T08:00:00Z"', "a UTC time that exists"),
        ("arrival", "1577865600", "a UTC time like"),
        ("arrival", "null", "a UTC time like"),
        ("departure", '"2020-01-01T08:00:00Z"', "after arrival (2020-01-01T08:00:00Z)"),
        ("departure", '"2020-01-01T07:00:00Z"', "after arrival"),
        ("departure", '"2030-01-01T08:00:00Z"', "within 31 days of arrival"),
        ("departure", '"9999-12-31T23:59:59Z"', "within 31 days of arrival"),
        ("revision", "0", "a whole number of at least 1"),
        ("revision", "1.5", "a whole number"),
        ("revision", "true", "a whole number"),
        ("revision", "1e400", "a finite number within range"),
        ("revision", HUGE, "a finite number within range"),
        ("state", '"released "', "one of: released, reserved (did you mean 'released'?)"),
        ("state", "7", "one of: released, reserved"),
    ],
)
def test_a_wrong_time_count_or_word_is_named(field: str, value: str, expected: str) -> None:
    error = refusal(availability(**{field: value}), UpdatedStationAvailability)
    assert error.field == field
    assert error.expected.startswith(expected)


def schedule(values: str, step: str = "60", buy: str = "[0.1]") -> bytes:
    def series(inside: str) -> str:
        return f'{{"start": "2020-01-01T08:00:00Z", "step_minutes": {step}, "values": {inside}}}'

    return (
        '{"msg_id": "m", "grid_area": "g", "reservation": "r", "revision": 1, '
        f'"schedule": {series(values)}, "buy": {series(buy)}, "sell": {series(buy)}, "cost_eur": 1}}'
    ).encode()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ("[NaN]", "schedule.values[0]"),
        ("[1, -Infinity]", "schedule.values[1]"),
        ("[1e308]", "schedule.values[0]"),
        ("[1, 1e400]", "schedule.values[1]"),
        ("[1" + "0" * 400 + "]", "schedule.values"),
        (f"[{HUGE}]", "schedule.values[0]"),
        ("[true]", "schedule.values"),
        ("[null]", "schedule.values"),
        ('["1"]', "schedule.values"),
        ("[[1]]", "schedule.values"),
        ("{}", "schedule.values"),
        ("5", "schedule.values"),
        ("[1, 2]", "buy"),
        ("[]", "buy"),
        ("[" + "0," * 100_000 + "0]", "schedule.values"),
    ],
)
def test_a_wrong_series_is_named(values: str, field: str) -> None:
    assert refusal(schedule(values), UpdatedChargingSchedule).field == field


@pytest.mark.parametrize("step", ["0", "-60", "1441", "7.5", '"60"', "null"])
def test_a_wrong_step_is_named(step: str) -> None:
    assert refusal(schedule("[1]", step), UpdatedChargingSchedule).field == "schedule.step_minutes"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b" ",
        b"null",
        b"true",
        b"1",
        b'"text"',
        b"[]",
        b"[{}]",
        b"{",
        b"}",
        b"{} {}",
        b"{},",
        b"{'a': 1}",
        b"{a: 1}",
        b'{"a": 1,}',
        b'{"a" 1}',
        b'{"a": 01}',
        b'{"a": +1}',
        b'{"a": .5}',
        b'{"a": 1.}',
        b'{"a": 0x10}',
        b'{"a": 1_000}',
        b"{\"a\": 'x'}",
        b'{"a": "\x01"}',
        b'{"a": "\\x41"}',
        b'{"a": undefined}',
        b"/* c */ {}",
        b"\xef\xbb\xbf{}",  # a byte order mark
        "{}".encode("utf-16"),
        b"\xff\xfe",
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',  # a lone surrogate, raw
        b'{"a": "\xc0\xaf"}',  # an overlong slash
        b"\x00",
        b"__import__('os').system('true')",
    ],
)
def test_what_is_not_one_json_object_is_refused(payload: bytes) -> None:
    error = refusal(payload, Battery)
    assert "must be" in str(error)


@pytest.mark.parametrize("text", ['"\\ud800"', '"\\udc00\\ud800"', '"\\ud800x"'])
def test_a_lone_surrogate_is_refused(text: str) -> None:
    refusal(station(text), RegisterChargingStation)


def test_a_name_said_twice_is_refused_at_any_depth() -> None:
    twice = refusal(battery(soc='0.5, "soc": 0.9'), Battery)
    assert str(twice) == "soc: got the name twice in one object, must be given once"
    inside = station().replace(b'"latitude": 0', b'"latitude": 0, "latitude": 1')
    assert refusal(inside, RegisterChargingStation).field == "latitude"
    unknown = battery().replace(b"{", b'{"x": {"y": 1, "y": 2}, ', 1)
    assert refusal(unknown, Battery).field == "y"


def test_a_payload_has_at_most_256_kibibytes() -> None:
    room = MAX_BYTES - len(battery())
    assert decode(battery() + b" " * room, Battery).capacity_kwh == 40
    error = refusal(battery() + b" " * (room + 1), Battery)
    assert str(error) == "payload: got 262145 bytes, must be at most 262144 bytes"


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a": ', "}")])
def test_a_payload_is_nested_at_most_16_deep(opening: str, closing: str) -> None:
    def nested(depth: int) -> bytes:
        inside = opening * depth + "1" + closing * depth
        return battery().replace(b"{", f'{{"x": {inside}, '.encode(), 1)

    assert decode(nested(15), Battery).capacity_kwh == 40
    assert str(refusal(nested(16), Battery)) == "payload: got deeper nesting, must be nested at most 16 deep"
    assert refusal((opening * 40_000).encode(), Battery).field == "payload"


def test_brackets_inside_strings_are_no_nesting() -> None:
    text = json.dumps("[{" * 1_000 + '\\"' + "[{" * 1_000)
    assert decode(battery().replace(b"{", f'{{"x": {text}, '.encode(), 1), Battery).capacity_kwh == 40


def test_a_string_without_its_end_is_read_only_once() -> None:
    # Reading the rest again from every quote would take minutes here.
    refusal(b"[" * 17 + b'"' + b'\\"' * 130_000, Battery)
    refusal(b"[" * 10 + b"{}" * 10 + b'"' + b'\\"' * 130_000, Battery)


@settings(max_examples=1_000, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(MESSAGES))
def test_random_bytes_never_do_more_than_be_refused(payload: bytes, message: type[Message]) -> None:
    with pytest.raises(InputError):
        decode(payload, message)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@every_message
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_json_in_any_field_is_taken_or_refused(
    message: type[Message], payloads: Any, data: st.DataObject
) -> None:
    payload = data.draw(payloads(message))
    payload[data.draw(st.sampled_from(sorted(payload)))] = data.draw(anything)
    try:
        received = decode(json.dumps(payload).encode(), message)
    except InputError:
        return
    assert all(map(np.isfinite, numbers_in(to_builtins(received))))


def numbers_in(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers_in(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers_in(item)]
    return [value] if isinstance(value, float | int) else []


def test_what_is_not_of_the_contract_cannot_be_sent() -> None:
    with pytest.raises(NotImplementedError, match="object is not part of the contract"):
        encode(object())


def test_fields_are_sent_in_the_order_of_the_type() -> None:
    received = decode(availability(), UpdatedStationAvailability)
    assert tuple(json.loads(encode(received))) == UpdatedStationAvailability.__struct_fields__
    assert isinstance(received, msgspec.Struct)
