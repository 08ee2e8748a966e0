"""A sink that gathers the records of a run, or of one area of it, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import msgspec

from voltagora.domain.records import (
    DayRecord,
    LedgerRecord,
    MessageCountRecord,
    MessageRecord,
    NeedRecord,
    Record,
    RefusalRecord,
    SessionRecord,
    StationRecord,
    VehicleRecord,
)
from voltagora.results.sessions import SessionColumns

SESSIONS_HELD = 16_384
"""Session records held as objects before they are turned into columns, a tenth of the size."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """The time a report is about: from the first day's local midnight to the last day's end, seconds UTC."""

    start: int
    end: int
    time_zone: str = "UTC"

    @property
    def hours(self) -> float:
        """Length of the run, hours."""
        return (self.end - self.start) / 3600


class Collector:
    """A `RecordSink` that keeps what the tables of a run need.

    Args:
        span: the time that counts; later slots of a session are kept but not settled.
        session_series: keep the schedule and prices of every session (else only their sums).
        messages: keep every message; otherwise message records are dropped.
    """

    def __init__(self, span: Span, *, session_series: bool = True, messages: bool = False) -> None:
        self.span = span
        self.session_series = session_series
        self.messages = messages
        self.session_columns: list[SessionColumns] = []
        self._sessions: list[SessionRecord] = []
        self._held: dict[type, list[Any]] = {
            SessionRecord: self._sessions,
            NeedRecord: [],
            RefusalRecord: [],
            VehicleRecord: [],
            StationRecord: [],
            DayRecord: [],
            LedgerRecord: [],
            MessageRecord: [],
            MessageCountRecord: [],
        }

    def __call__(self, record: Record) -> None:
        """Take one record."""
        kind = type(record)
        held = self._held[kind]
        if kind is MessageRecord and not self.messages:
            return
        held.append(record)
        if held is self._sessions and len(held) >= SESSIONS_HELD:
            self.settle()

    def settle(self) -> None:
        """Turn the session records held into columns; do so before a collector is sent to another process."""
        if self._sessions:
            columns = SessionColumns.of(self._sessions, self.span.end, keep_series=self.session_series)
            self.session_columns.append(columns)
            self._sessions.clear()

    def records(self, kind: type) -> list[Any]:
        """Give the records of one kind, in the order they came (session records are in `session_columns`)."""
        return self._held[kind]

    def merge(self, others: Iterable[Collector]) -> Self:
        """Take over what collectors of other areas hold; the order of areas does not matter to the tables."""
        self.settle()
        for other in others:
            other.settle()
            self.session_columns.extend(other.session_columns)
            for kind, held in other._held.items():
                self._held[kind].extend(held)
        return self

    def __getstate__(self) -> dict[str, Any]:
        self.settle()
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._sessions = self._held[SessionRecord]
