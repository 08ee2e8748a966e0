"""Users in a TOML file: who they are and what they may do, read again when the file changes.

```toml
[users.alice]
password = "scrypt$14,8,1$...$..."     # from: voltagora hub password
publish = ["EV/alice/#"]
subscribe = ["EV/alice/#", "clock"]
deny = ["EV/alice/private"]
```
"""

from __future__ import annotations

import hashlib
import secrets
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from voltagora.hub import passwords
from voltagora.hub.errors import PacketError, SetupError
from voltagora.hub.rights import CREDENTIAL, Grant, Login, Table
from voltagora.hub.topics import parse_filter

_LISTS: Final = ("publish", "subscribe", "deny")
_KEYS: Final = ("password", *_LISTS)

_NOBODY: Final = passwords.hash_password("", salt=bytes(16))
# Hashed against when there is no such user, so that the time tells nothing.


class KnownUsers(Table):
    """Rights in memory of users that have passwords.

    Args:
        grants: what each user may do.
        hashes: lines from `hash_password`, by user.
    """

    __slots__ = ("_hashes", "_known", "_pepper")

    def __init__(
        self, grants: Mapping[str, Grant] | None = None, hashes: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(grants)
        self._hashes: dict[str, str] = dict(hashes or {})
        self._known: dict[str, bytes] = {}
        self._pepper = secrets.token_bytes(32)

    def may_connect(self, login: Login) -> str | None:
        """Take a user with the right password. A password that was right is not hashed a second time."""
        user, password = login.user or "", login.password or b""
        stored = self._hashes.get(user)
        mark = hashlib.blake2b(password, key=self._pepper, salt=b"hub").digest()
        if stored is not None and self._known.get(user) == mark:
            return user
        right = passwords.is_right(password, stored or _NOBODY)
        if stored is None or not right:
            return None
        if self._hashes.get(user) == stored:
            self._known[user] = mark
        return user


class Users(KnownUsers):
    """Rights from a file.

    Raises:
        SetupError: the file is not right; the field and what would be right.
    """

    __slots__ = ("_seen", "path")

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self.reload()

    def changed(self) -> bool:
        """Whether the file is not the one that was read."""
        try:
            return self._state() != self._seen
        except OSError:
            return False

    def reload(self) -> tuple[list[str], list[str]]:
        """Read the file again.

        Returns:
            Users whose rights changed, and users who are gone or have another password.

        Raises:
            SetupError: the file is not right; everything stays as it was.
        """
        try:
            seen = self._state()
            text = self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(str(self.path), "nothing readable", f"a users file ({error})") from None
        # A file that is wrong is looked at again only when it has changed once more.
        self._seen = seen
        grants, hashes = self._parse(text)
        out = [user for user, stored in self._hashes.items() if hashes.get(user) != stored]
        narrowed = [user for user in grants if user in self._hashes and grants[user] != self.grant(user)]
        for user in self.users:
            if user not in grants:
                self.remove(user)
        for user, grant in grants.items():
            self.set(user, grant)
        for user in out:
            self._known.pop(user, None)
        self._hashes = hashes
        return narrowed, out

    def _parse(self, text: str) -> tuple[dict[str, Grant], dict[str, str]]:
        """Read grants and password hashes; a file of another form comes with a way of its own.

        Raises:
            SetupError: the text is not right.
        """
        return parse_users(text, self.path.name)

    def _state(self) -> tuple[int, int, int]:
        found = self.path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino


def parse_users(text: str, name: str = "users") -> tuple[dict[str, Grant], dict[str, str]]:
    """Read a users file: grants and password hashes by user.

    Raises:
        SetupError: the first thing that is not right.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SetupError(name, str(error), "TOML") from None
    for key in document:
        if key != "users":
            raise SetupError(f"{name}: {key}", key, "users, the only table of this file")
    found = document.get("users", {})
    if not isinstance(found, dict):
        raise SetupError(f"{name}: users", found, "a table of users")
    grants: dict[str, Grant] = {}
    hashes: dict[str, str] = {}
    for user, entry in found.items():
        grants[user], hashes[user] = _user(f"{name}: users.{user}", user, entry)
    return grants, hashes


def _user(where: str, user: str, entry: Any) -> tuple[Grant, str]:
    if not user or "\0" in user or CREDENTIAL in user or len(user.encode()) > 1_000:
        raise SetupError(where, user, f"a user name of 1 to 1,000 bytes without {CREDENTIAL}")
    if not isinstance(entry, Mapping):
        raise SetupError(where, entry, "a table with password, publish, subscribe, deny")
    for key in entry:
        if key not in _KEYS:
            raise SetupError(f"{where}.{key}", key, f"one of {', '.join(_KEYS)}")
    stored = entry.get("password")
    if not isinstance(stored, str):
        raise SetupError(f"{where}.password", stored, "a line from `voltagora hub password`")
    try:
        passwords.parse_hash(stored)
    except ValueError:
        # The value may be somebody's password, so it is not shown.
        raise SetupError(
            f"{where}.password", "something else", "a line from `voltagora hub password`"
        ) from None
    return Grant(*(_filters(f"{where}.{key}", entry.get(key, [])) for key in _LISTS)), stored


def _filters(where: str, given: Any) -> tuple[str, ...]:
    if not isinstance(given, list):
        raise SetupError(where, given, "a list of topic filters")
    for index, text in enumerate(given):
        if not isinstance(text, str):
            raise SetupError(f"{where}[{index}]", text, "a topic filter")
        try:
            group = parse_filter(text).group
        except PacketError as error:
            raise SetupError(f"{where}[{index}]", text, f"a topic filter ({error.what})") from None
        if group is not None:
            raise SetupError(f"{where}[{index}]", text, "a topic filter without $share")
    return tuple(given)
