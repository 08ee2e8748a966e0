"""A CSV file of numbers, read fast when it is right and explained when it is not."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from voltagora.domain.errors import InputError, InputErrors, one_of
from voltagora.domain.units import Floats

MOST_ERRORS = 20
"""Enough to see what is wrong with a file, without a line for each of its rows."""


class NumberTable(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of a file, each of shape (rows,)."""

    path: Path
    columns: dict[str, Floats]

    def error(self, row: int, column: str, expected: str) -> InputError:
        """Describe what is wrong with one value; rows count from 0, lines from 1 with the header."""
        value = float(self.columns[column][row])
        return InputError(
            f"{self.path}: line {row + 2}: column {column}",
            int(value) if value.is_integer() else value,
            expected,
        )


def read_number_table(path: Path, header: Sequence[str]) -> NumberTable:
    """Read the named columns of a CSV file; others may stand beside them.

    Args:
        path: the file, UTF-8, first line the names of its columns.
        header: columns it must have.

    Raises:
        InputErrors: the file cannot be read, a column is missing, a value is missing or no
            finite number.
    """
    text = read_text(path)
    names = header_of(path, text, header)
    table = NumberTable(path=path, columns=_parsed(path, text, names, header))
    wrong = [
        (int(row), column)
        for column, values in table.columns.items()
        for row in np.flatnonzero(~np.isfinite(values))[:MOST_ERRORS]
    ]
    if wrong:
        raise InputErrors(
            [table.error(row, column, "a finite number") for row, column in sorted(wrong)[:MOST_ERRORS]]
        )
    return table


def read_text(path: Path) -> str:
    """Read a file that must be UTF-8 text.

    Raises:
        InputErrors: there is no such file, or it is no text.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputErrors([InputError(str(path), error.strerror, "a file that can be read")]) from None
    except UnicodeDecodeError as error:
        raise InputErrors(
            [InputError(f"{path}: byte {error.start}", error.object[error.start], "UTF-8 text")]
        ) from None


def header_of(path: Path, text: str, needed: Sequence[str]) -> list[str]:
    """Read the names of the columns.

    Raises:
        InputErrors: for each needed column that is missing or stands there twice.
    """
    names = [name.strip() for name in next(csv.reader(io.StringIO(text)), [])]
    errors = []
    for column in needed:
        if column not in names:
            expected = one_of(column, names) if names else "a header line"
            errors.append(InputError(f"{path}: line 1: column {column}", "no such column", expected))
        elif names.count(column) > 1:
            errors.append(InputError(f"{path}: line 1: column {column}", "two of that name", "one"))
    if errors:
        raise InputErrors(errors)
    return names


def _parsed(path: Path, text: str, names: list[str], header: Sequence[str]) -> dict[str, Floats]:
    body = text.rstrip().partition("\n")[2]
    if not body:
        raise InputErrors([InputError(f"{path}: line 2", "no rows", "at least one row of values")])
    try:
        cells = np.loadtxt(
            io.StringIO(body), delimiter=",", comments=None, ndmin=2, usecols=[names.index(c) for c in header]
        )
    except ValueError:
        cells = None
    # loadtxt passes over empty lines; ours may have none, or lines could not be counted.
    if cells is None or len(cells) != body.count("\n") + 1:
        cells = _explained(path, body, names, header)
    columns = {}
    for place, column in enumerate(header):
        values = np.ascontiguousarray(cells[:, place])
        values.setflags(write=False)
        columns[column] = values
    return columns


def _explained(path: Path, body: str, names: list[str], header: Sequence[str]) -> Floats:
    """Go through a file that failed, cell by cell, and say where."""
    errors: list[InputError] = []
    rows: list[list[float]] = []
    for place, cells in enumerate(csv.reader(io.StringIO(body))):
        if len(errors) >= MOST_ERRORS:
            break
        if len(cells) != len(names):
            errors.append(
                InputError(f"{path}: line {place + 2}", f"{len(cells)} values", f"{len(names)}, one a column")
            )
            continue
        row = [_number(cells[names.index(column)]) for column in header]
        errors.extend(
            InputError(
                f"{path}: line {place + 2}: column {column}", cells[names.index(column)], "a finite number"
            )
            for column, value in zip(header, row, strict=True)
            if not math.isfinite(value)
        )
        rows.append(row)
    if errors:
        raise InputErrors(errors[:MOST_ERRORS])
    return np.array(rows, dtype=np.float64)


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan
