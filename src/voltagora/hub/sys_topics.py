"""`$SYS`: what the hub tells of itself, under the names that mosquitto made common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from voltagora.hub.broker import Broker

ROOT: Final = "$SYS/broker/"


def publish(broker: Broker, uptime_seconds: float) -> None:
    """Publish everything, retained."""
    figures, counters = broker.figures(), broker.counters
    sessions = figures["sessions"]
    values = {
        "version": "voltagora hub",
        "uptime": f"{uptime_seconds:.0f} seconds",
        "clients/connected": figures["connected"],
        "clients/disconnected": sessions - figures["connected"],
        "clients/total": sessions,
        "subscriptions/count": figures["subscriptions"],
        "retained messages/count": figures["retained"],
        "messages/received": sum(counters.published),
        "messages/sent": sum(counters.delivered),
        "messages/dropped": counters.dropped.total(),
        "messages/refused": counters.refused.total(),
        "bytes/received": counters.bytes_received,
        "bytes/sent": counters.bytes_sent,
    }
    for name, value in values.items():
        broker.publish_own(ROOT + name, str(value).encode())
