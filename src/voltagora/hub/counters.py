"""What the hub counts; plain integers, read by the metrics and by `$SYS`."""

from __future__ import annotations

from collections import Counter


class Counters:
    """Counts since the hub opened."""

    __slots__ = (
        "bytes_received",
        "bytes_sent",
        "closed",
        "commits",
        "connections_accepted",
        "delivered",
        "dropped",
        "failed_commits",
        "logins_refused",
        "published",
        "refused",
        "takeovers",
    )

    def __init__(self) -> None:
        self.connections_accepted = 0
        self.bytes_received = 0
        self.bytes_sent = 0
        self.published = [0, 0, 0]
        """Messages taken, by quality of service."""
        self.delivered = [0, 0, 0]
        """Messages sent, by quality of service, repeats included."""
        self.takeovers = 0
        self.logins_refused: Counter[str] = Counter()
        """Connections refused at CONNECT, by reason."""
        self.closed: Counter[str] = Counter()
        """Connections ended, by reason."""
        self.refused: Counter[str] = Counter()
        """Publishes, subscribes and deliveries that rights or a quota refused, by what and why."""
        self.dropped: Counter[str] = Counter()
        """Messages not delivered though lawful, by reason."""
        self.commits = 0
        self.failed_commits = 0
