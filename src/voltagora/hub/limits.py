"""Every limit of the hub, with its default and what happens beyond it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one hub; all are per hub unless they say otherwise."""

    packet_bytes: int = 256 * 1024
    """A larger packet ends the connection that sent it (0x95)."""
    connect_seconds: float = 10.0
    """A connection that has not said CONNECT by then is closed."""
    half_open: int = 1_000
    """Connections that have not said CONNECT; beyond it the oldest of them is closed."""
    connections: int = 20_000
    """Connected clients; one more is refused (0x97)."""
    connections_per_user: int = 20_000
    """Connected clients of one user; one more is refused (0x97)."""
    takeovers_per_minute: int = 30
    """Take-overs of one living session; beyond it the newcomer is refused (0x9F)."""
    sessions: int = 100_000
    """Sessions, connected or not; one more is refused (0x97)."""
    session_seconds: float = 7 * 24 * 3600.0
    """Longest session expiry; CONNACK says so to whoever asks for more. 3.1.1 sessions end so too."""
    subscriptions_per_session: int = 1_000
    """One more is refused (0x97)."""
    window: int = 500
    """Messages sent to a client and not yet acknowledged, if it does not set a lower maximum itself."""
    receive_maximum: int = 1_000
    """Messages a client may have unacknowledged; MQTT 5 is told, one more ends its connection (0x93)."""
    topic_aliases: int = 64
    """Aliases a client may use towards the hub, and the hub at most towards a client."""
    queued_messages: int = 100_000
    """QoS 1 and 2 messages waiting for one session. A session that overflows is ended, its client told
    (0x97): it learns from "session present 0" that something is missing. Never a silent gap."""
    queued_bytes: int = 64 * 1024 * 1024
    """The same, in bytes of payload."""
    queued_qos0: int = 1_000
    """QoS 0 messages waiting for a client that reads too slowly; the oldest is dropped and counted."""
    unsent_bytes: int = 128 * 1024
    """Bytes a connection's socket may hold back before messages wait in the queue, where a revoke
    still reaches them."""
    topics: int = 200_000
    """Topics whose last value is remembered; the oldest that is not retained is forgotten."""
    last_value_bytes: int = 128 * 1024 * 1024
    """Payload bytes of last values; the oldest that is not retained is forgotten."""
    retained: int = 100_000
    """Retained messages; one more is refused (0x97)."""
    retained_bytes: int = 128 * 1024 * 1024
    """Payload bytes of retained messages; more are refused (0x97)."""
    server_keep_alive: int | None = None
    """Seconds that MQTT 5 clients are told to use as keep alive."""
