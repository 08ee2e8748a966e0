"""Structured logs: one line per event with its fields, never a payload, and no flood of equal lines."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

LOG: Final = logging.getLogger("voltagora.hub")

EVERY_SECONDS: Final = 60.0
MOST_REMEMBERED: Final = 10_000


class FaultLog:
    """Logs what the broker reports; the same fault of the same client once a minute, with a count."""

    __slots__ = ("_clock", "_seen")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[tuple[object, ...], tuple[float, int]] = {}

    def __call__(self, event: str, **fields: object) -> None:
        """Take note of an event."""
        if event == "fault":
            self._fault(**fields)
        else:
            LOG.info("%s%s", event, in_words(fields), extra={"event": event, "fields": fields})

    def _fault(self, **fields: object) -> None:
        key = (fields.get("what"), fields.get("user"), fields.get("client"), fields.get("address"))
        now = self._clock()
        since, number = self._seen.pop(key, (-EVERY_SECONDS, 0))
        if now - since < EVERY_SECONDS:
            self._seen[key] = (since, number + 1)
            return
        self._seen[key] = (now, 0)
        while len(self._seen) > MOST_REMEMBERED:
            del self._seen[next(iter(self._seen))]
        if number:
            fields["repeated"] = number
        LOG.warning("fault%s", in_words(fields), extra={"event": "fault", "fields": fields})


def in_words(fields: dict[str, object]) -> str:
    """Write fields as ` key='value'`; control characters are escaped, so that no client forges a line."""
    return "".join(f" {key}={value!r}" for key, value in fields.items() if value is not None)
