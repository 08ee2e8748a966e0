"""Bytes to messages and back: one decoder with limits, for everything that comes from outside.

A payload is parsed into the types of the contract and nothing else. Size and depth are
checked before parsing, numbers are finite, names are unique within an object, and a number
with more decimals than the wire carries is rounded, as the rounded value counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from types import UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
import numpy as np
from msgspec import UnsetType

from voltagora.domain.errors import InputError, Verbatim
from voltagora.domain.series import Series
from voltagora.domain.units import Time, round_half_even
from voltagora.protocols.explained import invalid, malformed
from voltagora.protocols.message import Message

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 16

T = TypeVar("T")


def decode(payload: bytes, wanted: type[T], max_bytes: int = MAX_BYTES) -> T:
    """Parse one JSON document into a message or value of the contract.

    Args:
        payload: UTF-8 JSON.
        wanted: the type it must have.
        max_bytes: a longer payload is refused unread.

    Raises:
        InputError: naming the field, what was found there and what would be right.
    """
    check_frame(payload, max_bytes)
    as_any: Any = wanted
    try:
        value: T = _decoder(as_any).decode(payload)
        _check_names(payload)
    except msgspec.ValidationError as error:
        raise invalid(str(error), payload, wanted) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(str(error), payload) from None
    normalised = _normalised(value)
    if isinstance(normalised, Message):
        normalised.check()
    return normalised


def encode(value: object) -> bytes:
    """Write a message or value of the contract as compact UTF-8 JSON; fields keep their order."""
    return _ENCODER.encode(value)


def to_builtins(value: object) -> Any:
    """Turn a message or value of the contract into dicts, lists, strings and numbers."""
    return msgspec.to_builtins(value, enc_hook=_encode_hook)


def _encode_hook(value: object) -> object:
    if isinstance(value, Time):
        return str(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise NotImplementedError(f"{type(value).__name__} is not part of the contract")


_ENCODER: Final = msgspec.json.Encoder(enc_hook=_encode_hook)
_NUMBERS: Final = {int, float}


def _decode_hook(wanted: type[Any], value: Any) -> object:
    if wanted is Time:
        if type(value) is not str:
            raise ValueError("Expected a UTC time like 2020-01-31T08:00:00Z")
        try:
            return Time.parse(value)
        except ValueError as error:
            raise ValueError(f"Expected {error}") from None
    if type(value) is not list or not set(map(type, value)) <= _NUMBERS:
        raise ValueError("Expected a list of numbers")
    try:
        return np.array(value, dtype=np.float64)
    except OverflowError:
        raise ValueError("Expected a list of finite numbers") from None


@lru_cache(maxsize=256)
def _decoder(wanted: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(wanted, dec_hook=_decode_hook)


def check_frame(payload: bytes, max_bytes: int = MAX_BYTES) -> None:
    """Refuse what is too large or too deep before anything parses it.

    Raises:
        InputError: which of the two.
    """
    if len(payload) > max_bytes:
        raise InputError("payload", Verbatim(f"{len(payload)} bytes"), f"at most {max_bytes} bytes")
    if payload.count(b"[") + payload.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(payload):
        opening = token[0][:1]
        if opening in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise InputError("payload", Verbatim("deeper nesting"), f"nested at most {MAX_DEPTH} deep")
        elif opening in b"]}":
            depth -= 1


# Possessive, and taking a string without its end to the end of the payload, so that no payload
# is read more than once.
_STRING_OR_BRACKET: Final = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


def _check_names(payload: bytes) -> None:
    """Refuse an object that says two things under one name: readers would differ in which counts.

    In compact JSON `":` ends each name. If as many names are left once parsed, none was given
    twice; if not, or where there may be space before a colon, each object is looked at.
    """
    is_compact = not any(gap in payload for gap in _GAPS)
    if is_compact and payload.count(b'":') == _count_names(_ANYTHING.decode(payload)):
        return
    _UNIQUE_NAMES.decode(payload.decode())


def _count_names(value: Any) -> int:
    """Count the names in objects; in a list that does not begin with an object there are none."""
    if type(value) is dict:
        return len(value) + sum(
            _count_names(each) for each in value.values() if type(each) is dict or type(each) is list
        )
    if type(value) is list and value and type(value[0]) is dict:
        return sum(map(_count_names, value))
    return 0


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(twice, Verbatim("the name twice in one object"), "given once")
    return found


_GAPS: Final = (b'" ', b'"\t', b'"\n', b'"\r')
_ANYTHING: Final = msgspec.json.Decoder()
_UNIQUE_NAMES: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=lambda _: 0, parse_int=lambda _: 0
)


# Rounding and bounds that types cannot carry, one plan a type, made once.

_Fix = Callable[[Any, str], Any]


def _normalised(value: T) -> T:
    kind: Any = type(value)
    fix = _fix_of(kind)
    if fix is None:
        return value
    fixed: T = fix(value, "")
    return fixed


@lru_cache(maxsize=256)
def _fix_of(annotation: Any) -> _Fix | None:
    """Find what must be done to a value of this type after parsing, None if nothing."""
    origin = get_origin(annotation)
    if origin is tuple:
        return _fix_of_items(get_args(annotation)[0])
    if origin is UnionType or origin is Union:
        inner = [arg for arg in get_args(annotation) if arg is not UnsetType]
        return _fix_of(inner[0]) if len(inner) == 1 else None
    if hasattr(annotation, "__metadata__"):
        limits = [meta for meta in annotation.__metadata__ if isinstance(meta, msgspec.Meta)]
        decimals = next((meta.extra["decimals"] for meta in limits if meta.extra), None)
        if decimals is None:
            return _fix_of(annotation.__origin__)
        return _rounding_above_zero(decimals) if any(meta.gt == 0 for meta in limits) else _rounding(decimals)
    if annotation is float:
        return lambda number, _path: number + 0.0  # -0 becomes 0
    if isinstance(annotation, type) and issubclass(annotation, Series):
        return lambda series, path: series.checked(path)
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return _fix_of_fields(annotation)
    return None


def _rounding(decimals: int) -> _Fix:
    return lambda number, _path: round_half_even(number, decimals)


def _rounding_above_zero(decimals: int) -> _Fix:
    def fix(number: float, path: str) -> float:
        rounded = round_half_even(number, decimals)
        if rounded == 0:
            raise InputError(path, number, f"above 0 with {decimals} decimals")
        return rounded

    return fix


def _fix_of_items(annotation: Any) -> _Fix | None:
    fix = _fix_of(annotation)
    if fix is None:
        return None
    return lambda items, path: tuple(fix(item, f"{path}[{place}]") for place, item in enumerate(items))


def _fix_of_fields(struct: type[msgspec.Struct]) -> _Fix | None:
    hints = get_type_hints(struct, include_extras=True)
    fixes = {name: fix for name in struct.__struct_fields__ if (fix := _fix_of(hints[name])) is not None}
    if not fixes:
        return None

    def fix_fields(value: msgspec.Struct, path: str) -> msgspec.Struct:
        changed = {}
        for name, fix in fixes.items():
            old = getattr(value, name)
            if old is not msgspec.UNSET:
                new = fix(old, f"{path}.{name}" if path else name)
                if new is not old:
                    changed[name] = new
        return msgspec.structs.replace(value, **changed) if changed else value

    return fix_fields
