"""Recorded messages as CSV that a spreadsheet can open without executing a cell.

A payload is text where it is UTF-8 without NUL, else base64; the column `payload_encoding` says
which. A text that begins with `=`, `+`, `-`, `@`, a tab, a carriage return or an apostrophe gets an
apostrophe in front: spreadsheets take the cell for text then, and whoever reads the file takes one
leading apostrophe away and has what was published. Numbers and times are left as they are.
"""

from __future__ import annotations

import base64
import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

FORMULA_OPENERS: Final = ("=", "+", "-", "@", "\t", "\r", "'")
"""What makes a spreadsheet calculate, and the mark of our own that says `this is text`."""

COLUMNS: Final = (
    "sequence",
    "received_at",
    "simulated_at",
    "topic",
    "protocol",
    "sender",
    "retained",
    "repeats",
    "size_bytes",
    "payload_encoding",
    "payload",
)


def write_rows(file: TextIO, rows: Iterable[Sequence[Any]]) -> None:
    """Write a head line and rows of `COLUMNS`, every text escaped and quoted."""
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([escaped(cell) if isinstance(cell, str) else cell for cell in row])


def read_csv(path: Path) -> Iterator[dict[str, str]]:
    """Read a file back, texts as they were published."""
    csv.field_size_limit(2**31 - 1)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {name: plain(cell) for name, cell in row.items()}


def payload_cells(payload: bytes) -> tuple[str, str]:
    """Give the encoding's name and the payload as text."""
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        return "base64", base64.b64encode(payload).decode("ascii")
    return "utf-8", text


def payload_of(encoding: str, text: str) -> bytes:
    """Give back the payload of two cells that `payload_cells` gave."""
    return base64.b64decode(text) if encoding == "base64" else text.encode("utf-8")


def escaped(text: str) -> str:
    """Mark a text as text if a spreadsheet would take it for something to calculate."""
    return f"'{text}" if text.startswith(FORMULA_OPENERS) else text


def plain(text: str) -> str:
    """Take the mark of `escaped` away."""
    return text[1:] if text.startswith("'") else text
