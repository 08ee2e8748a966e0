"""Where a broker is and who we are to it: `mqtt://user:password@host:port`."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from voltagora.domain.errors import InputError

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
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
                context.load_cert_chain(self.cert, self.key)
            except (OSError, ssl.SSLError) as error:
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
            port = found.port
        except ValueError:
            raise InputError("broker", _shown(text), _FORM) from None
        if found.scheme not in PORTS or not found.hostname or found.path not in ("", "/"):
            raise InputError("broker", _shown(text), _FORM)
        is_secure = found.scheme == "mqtts"
        if tls is not None and not is_secure and tls != Tls():
            raise InputError("broker", _shown(text), "mqtts://..., as certificates are given")
        user, password = _credentials(found, environment or {})
        return cls(
            scheme=found.scheme,
            host=found.hostname,
            port=port or PORTS[found.scheme],
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


def _credentials(found: SplitResult, environment: Mapping[str, str]) -> tuple[str | None, str | None]:
    user = unquote(found.username) if found.username else environment.get("username") or None
    password = unquote(found.password) if found.password else environment.get("password") or None
    return user, password if user is not None else None


def _shown(text: str) -> str:
    """Leave out whatever stands where a password could."""
    head, at, tail = text.rpartition("@")
    return f"{head.partition('://')[0]}://...@{tail}" if at else text


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
