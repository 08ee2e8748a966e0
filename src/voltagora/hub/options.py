"""What a hub is told when it is made, checked before anything is opened."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from voltagora.hub.errors import SetupError
from voltagora.hub.limits import Limits
from voltagora.hub.rights import Rights

MQTT_PORT = 1883


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of one hub.

    Attributes:
        mqtt: `HOST:PORT` for MQTT over TCP; port 0 takes a free one; None: none.
        websocket: the same for MQTT over WebSocket.
        users: users file; without it (and without `rights`) everybody is the operator, and only
            loopback addresses are taken.
        rights: rights of another origin, in place of `users`.
        backoff: slow down whoever guesses passwords; False leaves it to `rights`, which may know a token
            that nobody guesses from a password.
        data: folder for what must survive; None: memory only.
        full: wait for the disk at every commit, so that a power failure loses nothing either.
        tls_cert, tls_key: PEM files; with them both listeners speak TLS only.
        metrics: `HOST:PORT` for Prometheus.
        origins: origins of web pages that may open a WebSocket, besides those of the same host.
        sys_seconds: how often `$SYS` topics are published; 0: never.
        limits: all limits.
    """

    mqtt: str | None = f"127.0.0.1:{MQTT_PORT}"
    websocket: str | None = None
    users: Path | None = None
    rights: Rights | None = None
    backoff: bool = True
    data: Path | None = None
    full: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    metrics: str | None = None
    origins: tuple[str, ...] = ()
    sys_seconds: float = 10.0
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.users is not None and self.rights is not None:
            raise SetupError("users", self.users, "absent when rights are given")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SetupError("tls_key", self.tls_key, "given together with tls_cert")
        for name in ("mqtt", "websocket", "metrics"):
            text = getattr(self, name)
            if text is None:
                continue
            host, _ = host_and_port(name, text)
            if self.open_to_all and not is_loopback(host):
                raise SetupError(name, text, "a loopback address such as 127.0.0.1, or users must be given")

    @property
    def open_to_all(self) -> bool:
        """Whether everybody is the operator."""
        return self.users is None and self.rights is None

    def tls(self) -> ssl.SSLContext | None:
        """Make the TLS context, 1.2 at least.

        Raises:
            SetupError: the files are no certificate and its key.
        """
        if self.tls_cert is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.tls_cert, self.tls_key)
        except (OSError, ssl.SSLError) as error:
            raise SetupError(
                "tls_cert", str(self.tls_cert), f"a certificate that fits tls_key ({error})"
            ) from None
        return context


def host_and_port(field_name: str, text: str) -> tuple[str, int]:
    """Read `HOST:PORT`; an IPv6 address stands in brackets.

    Raises:
        SetupError: it is none.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise SetupError(field_name, text, "HOST:PORT, an IPv6 address in brackets")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:
        raise SetupError(field_name, text, "HOST:PORT, such as 127.0.0.1:1883")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
