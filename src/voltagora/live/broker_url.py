"""Where a broker is and who we are to it: `mqtt://user:password@host:port`."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from voltagora.domain.errors import InputError

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_PLAIN: Final = re.compile(r"[^:/@]*:\d{1,5}/?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?/?")
"""A host and a port, in which no secret can stand."""
_BLANK: Final = re.compile(r"[\s\x00-\x1f\x7f]")
_FORM: Final = "mqtt://user:password@host:port, or mqtts:// for TLS"


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """Files (PEM) for a connection with TLS; the broker's certificate is always verified."""

    ca: Path | None = None  # vouches for the broker's certificate; None: the system's authorities
    cert: Path | None = None  # who we are
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Make the context.

        Raises:
            InputError: a file cannot be used.
        """
        if (self.cert is None) != (self.key is None):
            raise InputError("--cert", str(self.cert), "given together with --key")
        try:
            context = ssl.create_default_context(cafile=None if self.ca is None else str(self.ca))
        except (OSError, ssl.SSLError) as error:
            raise InputError("--ca", str(self.ca), f"a certificate file ({_why(error)})") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.cert is not None:
            try:
                context.load_cert_chain(self.cert, self.key, password=_no_passphrase)
            except (OSError, ssl.SSLError, _Passphrase) as error:
                raise InputError(
                    "--cert", str(self.cert), f"a certificate with its key ({_why(error)})"
                ) from None
        return context


class BrokerUrl(msgspec.Struct, frozen=True, kw_only=True):
    """A broker's address; its text never shows the password."""

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str | None = None
    tls: Tls | None = None

    def client_id(self, name: str) -> str:
        """Name a connection as one of its user's: some brokers know a session by nothing else.

        Rights for RabbitMQ take no other (`voltagora.brokers.rabbitmq`).
        """
        return name if self.user is None else f"{self.user}+{name}"

    @classmethod
    def parse(
        cls, text: str, environment: Mapping[str, str] | None = None, tls: Tls | None = None
    ) -> BrokerUrl:
        """Read an address.

        Args:
            text: `mqtt://host`, with user, password and port as needed, percent-encoded.
            environment: where `username` and `password` are looked up if the address has none.
            tls: files for `mqtts://`.

        Raises:
            InputError: it is none; the password is not repeated.
        """
        try:
            found = urlsplit(text)
            port = PORTS.get(found.scheme) if found.port is None else found.port
        except ValueError:
            raise InputError("broker", _shown(text), _FORM) from None
        if not port or found.scheme not in PORTS or not _is_host(found.hostname):
            raise InputError("broker", _shown(text), _FORM)
        if found.path not in ("", "/") or found.query or found.fragment:
            raise InputError("broker", _shown(text), f"{_FORM}, with nothing behind it")
        is_secure = found.scheme == "mqtts"
        if tls is not None and not is_secure and tls != Tls():
            raise InputError("broker", _shown(text), "mqtts://..., as certificates are given")
        user, password = _credentials(found, environment or {})
        return cls(
            scheme=found.scheme,
            host=found.hostname or "",
            port=port,
            user=user,
            password=password,
            tls=(tls or Tls()) if is_secure else None,
        )

    def __str__(self) -> str:
        who = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{who}{host}:{self.port}"

    def __repr__(self) -> str:
        return f"BrokerUrl({self})"


def from_environment(environment: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Give user and password as the platform hands them to its services, so that none stands in argv."""
    return environment.get("username") or None, environment.get("password") or None


def _credentials(found: SplitResult, environment: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Take what the address says; a password of the environment only for the user it belongs to."""
    told_user, told_password = from_environment(environment)
    user = unquote(found.username) if found.username else told_user
    if found.password:
        password: str | None = unquote(found.password)
    else:
        password = told_password if told_user in (None, user) else None
    return user, password if user is not None else None


def _is_host(host: str | None) -> bool:
    """Whether a name can be looked up at all."""
    try:
        return bool(host) and not _BLANK.search(str(host)) and bool(str(host).encode("idna"))
    except UnicodeError:
        return False


def _shown(text: str) -> str:
    """Show where a broker was looked for; before an `@`, and where one may be missing, is a secret."""
    scheme, mark, _ = text.partition("://")
    shown = scheme if mark and scheme.isalpha() else "..."
    if "@" in text:
        return f"{shown}://...@{text.rpartition('@')[2]}"
    rest = text.partition("://")[2] if mark else text
    return text if ":" not in rest or _PLAIN.fullmatch(rest) else f"{shown}://..."


class _Passphrase(Exception):
    """A key wants a passphrase; a service has nobody to ask."""

    strerror = "the key has a passphrase; give one without"


def _no_passphrase() -> str:
    raise _Passphrase


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
