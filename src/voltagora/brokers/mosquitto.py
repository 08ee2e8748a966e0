"""Rights for mosquitto: a password file, an access list and the settings that go with them.

mosquitto acknowledges a subscription without right and filters what it delivers. Lines are written
for each user: `pattern` lines would hold for all users alike, so that a station's owner could speak
as a vehicle that bears the station's name.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from voltagora.brokers.account import Account
from voltagora.brokers.errors import BrokerError
from voltagora.brokers.files import replace

ITERATIONS: Final = 101
"""What mosquitto_passwd uses, and what mosquitto can afford at each CONNECT."""
_SALT_BYTES: Final = 12
_HASH: Final = re.compile(r"\$7\$[0-9]+\$[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+")
_NAME: Final = re.compile(r"(?! )[^\x00-\x1f\x7f:+#/]{1,200}(?<! )")
_TOPIC: Final = re.compile(r"(?! )[^\x00-\x1f\x7f]+(?<! )")

FILES: Final = ("passwords", "access", "voltagora.conf")


def mosquitto_hash(password: str) -> str:
    """Hash a password as mosquitto 2 stores it: PBKDF2 with SHA-512."""
    salt = secrets.token_bytes(_SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def is_mosquitto_hash(line: str) -> bool:
    """Tell whether a line is a password as mosquitto stores it."""
    return _HASH.fullmatch(line) is not None


def write(folder: Path, accounts: Mapping[str, Account]) -> None:
    """Write the three files, each as a whole; include `voltagora.conf` from mosquitto's own settings.

    Raises:
        BrokerError: a user's name or password is none that mosquitto can hold.
    """
    for user, account in accounts.items():
        _check(user, account)
    folder.mkdir(parents=True, exist_ok=True)
    replace(folder / "passwords", _passwords(accounts))
    replace(folder / "access", _access(accounts))
    replace(folder / "voltagora.conf", _settings(folder))


def _check(user: str, account: Account) -> None:
    """Refuse what mosquitto would read as something else: lines end a right and begin another's."""
    if not _NAME.fullmatch(user):
        raise BrokerError(f"users.{user!r}: mosquitto cannot hold this name")
    if account.secret is not None and not is_mosquitto_hash(account.secret):
        raise BrokerError(f"users.{user}: the password is not hashed for mosquitto")
    grant = account.grant
    for text in (*grant.publish, *grant.subscribe, *grant.deny):
        if not _TOPIC.fullmatch(text):
            raise BrokerError(f"users.{user}: mosquitto cannot hold this topic: {text!r}")


def reload(process: int) -> None:
    """Have a running mosquitto read its files again."""
    os.kill(process, signal.SIGHUP)


def _passwords(accounts: Mapping[str, Account]) -> Iterator[str]:
    for user, account in accounts.items():
        if account.secret is not None:
            yield f"{user}:{account.secret}"


def _access(accounts: Mapping[str, Account]) -> Iterator[str]:
    for user, account in accounts.items():
        yield f"user {user}"
        both = set(account.grant.publish) & set(account.grant.subscribe)
        for text in account.grant.publish:
            yield f"topic {'readwrite' if text in both else 'write'} {text}"
        yield from (f"topic read {text}" for text in account.grant.subscribe if text not in both)
        yield from (f"topic deny {text}" for text in account.grant.deny)
        yield ""


def _settings(folder: Path) -> Iterator[str]:
    yield "# Who may connect, publish and read; made by `voltagora rights`. Include it; it holds for"
    yield "# all listeners, so per_listener_settings stays false."
    yield "allow_anonymous false"
    yield f"password_file {folder.resolve() / 'passwords'}"
    yield f"acl_file {folder.resolve() / 'access'}"
    yield "# At its default of 1,000 messages acknowledged to their publisher are lost to a slow reader."
    yield "max_queued_messages 0"
    yield "# Without it small messages wait for each other's acknowledgement, up to 40 ms."
    yield "set_tcp_nodelay true"
    yield "persistence true"
    yield "# Passwords travel as they are, so listen beyond this machine with TLS only. A session belongs"
    yield "# to whoever knows its client id; where every user has one connection only, the last line keeps"
    yield "# others from ending it."
    yield "# listener 8883"
    yield "# certfile /etc/mosquitto/certs/server.pem"
    yield "# keyfile /etc/mosquitto/certs/server.key"
    yield "# tls_version tlsv1.2"
    yield "# use_username_as_clientid true"
