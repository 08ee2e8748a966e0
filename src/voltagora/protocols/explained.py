"""From the parser's words to ours: which field is wrong, what stands there, what would be right."""

from __future__ import annotations

import json
import re
from enum import Enum
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from msgspec import UnsetType

from voltagora.domain.errors import NOTHING, InputError, Verbatim, one_of

_AT: Final = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>\w+)`")
_OWN: Final = re.compile(r"^(?P<name>\w+): got (?P<got>.*), must be (?P<expected>.*)$", re.DOTALL)
_EXPECTED: Final = re.compile(r"^Expected (?P<expected>.*?)(?:, got `\w+`)?$", re.DOTALL)
_STEP: Final = re.compile(r"\w+|\[\d+\]")
_WORDS: Final = (
    (re.compile(r"`str` matching regex .*", re.DOTALL), "a name: 1 to 64 of A-Z a-z 0-9 _ -"),
    (re.compile("`int`"), "a whole number"),
    (re.compile("`float`"), "a number"),
    (re.compile("`str`"), "a string"),
    (re.compile("`bool`"), "true or false"),
    (re.compile("`object`"), "an object"),
    (re.compile("`array`"), "a list"),
    (re.compile(r" of length >= "), " of length at least "),
    (re.compile(r" of length <= "), " of length at most "),
    (re.compile(r" >= "), " of at least "),
    (re.compile(r" <= "), " of at most "),
    (re.compile(r" > "), " above "),
    (re.compile(r" < "), " below "),
    (re.compile(r"(\d)\.0$"), r"\1"),
)


def invalid(text: str, payload: bytes, wanted: Any) -> InputError:
    """Explain why a JSON document is not of the wanted type.

    Args:
        text: what msgspec's `ValidationError` says.
        payload: the document.
        wanted: the type it should have had.
    """
    found = _AT.match(text)
    assert found is not None
    what, path = found["what"], (found["path"] or "")
    if missing := _MISSING.search(what):
        return InputError(_joined(path, missing["name"]), NOTHING, "present")
    if own := _OWN.match(what):
        return InputError(_joined(path, own["name"]), Verbatim(own["got"]), own["expected"])
    value = _value_at(payload, path)
    return InputError(path or "payload", value, _expected(what, value, _type_at(wanted, path)))


def malformed(text: str, payload: bytes) -> InputError:
    """Explain why bytes are not a JSON document; NaN and Infinity are traced to their field."""
    try:
        document = json.loads(payload, parse_constant=_Constant, parse_int=Verbatim, parse_float=Verbatim)
    except (ValueError, RecursionError):
        document = None
    place = _place_of_constant(document, "")
    if place is None:
        return InputError("payload", Verbatim(f"{len(payload)} bytes"), f"one JSON object ({text})")
    path, constant = place
    return InputError(path or "payload", constant, "a finite number")


class _Constant(Verbatim):
    """One of the three words that Python's json takes for numbers and JSON does not know."""

    __slots__ = ()


def _place_of_constant(value: Any, path: str) -> tuple[str, _Constant] | None:
    if isinstance(value, _Constant):
        return path, value
    inner: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        inner = [(_joined(path, name), item) for name, item in value.items()]
    elif isinstance(value, list):
        inner = [(f"{path}[{place}]", item) for place, item in enumerate(value)]
    return next((found for at, item in inner if (found := _place_of_constant(item, at))), None)


def _expected(what: str, value: object, annotation: Any) -> str:
    if isinstance(annotation, type) and issubclass(annotation, Enum) and isinstance(value, str):
        return one_of(value, [str(member.value) for member in annotation])
    if what.endswith("out of range"):
        return "a finite number within range"
    plain = _EXPECTED.match(what)
    expected = plain["expected"] if plain else what
    for pattern, ours in _WORDS:
        expected = pattern.sub(ours, expected)
    return expected


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _value_at(payload: bytes, path: str) -> object:
    """Look up what stands at a path of a document that is valid JSON but not a valid message."""
    try:
        value = json.loads(payload, parse_int=Verbatim, parse_float=Verbatim)
        for step in _STEP.findall(path):
            value = value[int(step[1:-1])] if step.startswith("[") else value[step]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return Verbatim("a value that cannot be shown")
    if value is None or isinstance(value, bool):
        return Verbatim(json.dumps(value))
    return value


def _type_at(annotation: Any, path: str) -> Any:
    """Find the type that a path of a document should have, None where that is not one type."""
    for step in _STEP.findall(path):
        if step.startswith("["):
            annotation = next(iter(get_args(annotation)), None)
        else:
            annotation = get_type_hints(annotation).get(step) if isinstance(annotation, type) else None
        if get_origin(annotation) in (UnionType, Union):
            present = [arg for arg in get_args(annotation) if arg is not UnsetType]
            annotation = present[0] if len(present) == 1 else None
    return annotation
