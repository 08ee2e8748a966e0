"""Every error that VoltAgora raises on purpose.

VoltAgoraError                something a user can act on
├── InputError                one field of an input is wrong: field, value, what would be right
├── InputErrors               several of them, collected so that all can be mended at once
├── MissingExtra              a feature needs an extra that is not installed
└── RunError                  a run could not go on or could not be stored
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Final


class VoltAgoraError(Exception):
    """Something a user can act on; the message says how."""


class InputError(VoltAgoraError, ValueError):
    """One field of an input is wrong.

    Args:
        field: where it is, as a path (`stations[3].power_kw`) or `file:line:column`.
        got: the value found.
        expected: what would be right, so that the sentence reads "must be ...".
    """

    def __init__(self, field: str, got: object, expected: str) -> None:
        self.field = field
        self.got = got
        self.expected = expected
        super().__init__(f"{field}: got {shortened(got)}, must be {expected}")

    def within(self, prefix: str) -> InputError:
        """Give the same error seen from an enclosing field or file."""
        joint = "" if self.field.startswith("[") else "."
        return type(self)(f"{prefix}{joint}{self.field}" if self.field else prefix, self.got, self.expected)


class InputErrors(VoltAgoraError, ValueError):
    """Several wrong fields of one input."""

    def __init__(self, errors: Sequence[InputError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(str(error) for error in self.errors))


class MissingExtra(VoltAgoraError, ImportError):
    """A feature needs packages that the bare install leaves out."""

    def __init__(self, extra: str, feature: str) -> None:
        self.extra = extra
        super().__init__(f"{feature} needs the extra '{extra}': pip install 'voltagora[{extra}]'")


class RunError(VoltAgoraError):
    """A run could not go on, or its results could not be stored."""


class Verbatim(str):
    """Words about a value, shown in a message as they are: `got nothing`, not `got 'nothing'`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


NOTHING: Final = Verbatim("nothing")
"""What was found where a field is missing."""


def shortened(value: object, limit: int = 80) -> str:
    """Show a value in a message without letting a huge one drown it."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def one_of(got: str, known: Iterable[str]) -> str:
    """Say which words would be right, the nearest first: the `expected` of an InputError."""
    names = sorted(known)
    near = difflib.get_close_matches(got, names, n=1, cutoff=0.5)
    listed = ", ".join(names)
    return f"one of: {listed} (did you mean '{near[0]}'?)" if near else f"one of: {listed}"
