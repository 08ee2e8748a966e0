"""Reads JSON that strangers wrote: no word for no number, no key twice, no depth that breaks the reader."""

from __future__ import annotations

import json
from typing import Any


def read(text: bytes) -> Any:
    """Read a document.

    Raises:
        ValueError: it is none; the message says why.
    """
    try:
        return json.loads(text.decode("utf-8-sig"), object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("too deeply nested") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")
