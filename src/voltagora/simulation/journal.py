"""Writes down publications as they are sent, for runs that are asked for their messages."""

from __future__ import annotations

from voltagora.agents.exchange import Flight
from voltagora.domain.records import MessageRecord, RecordSink
from voltagora.protocols.codec import encode
from voltagora.protocols.topic import topic_name


class MessageJournal:
    """A watcher that records each publication of one area with its topic and payload."""

    def __init__(self, area: str, sink: RecordSink) -> None:
        self.area = area
        self._sink = sink

    def __call__(self, now: int, wave: int, flight: Flight) -> None:
        """Record one publication."""
        message = flight.message
        template = type(message).topic_of(flight.sender.kind)
        self._sink(
            MessageRecord(
                at=now,
                wave=wave,
                area=self.area,
                protocol=flight.protocol,
                topic=topic_name(template, flight.address),
                sender=flight.sender.id,
                payload=encode(message),
            )
        )
