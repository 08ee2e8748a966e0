"""Rights for a hub that runs by itself: its users file, read again within a second of a change."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from voltagora.brokers.account import Account
from voltagora.brokers.files import replace


def write(path: Path, accounts: Mapping[str, Account]) -> None:
    """Write the file as a whole; a user without a password is left out, as nobody can be it."""
    replace(path, _lines(accounts))


def _lines(accounts: Mapping[str, Account]) -> Iterator[str]:
    yield "# Made by `voltagora rights`, for `voltagora hub --users`."
    for user, account in accounts.items():
        if account.secret is None:
            continue
        yield f"[users.{_quoted(user)}]"
        yield f"password = {_quoted(account.secret)}"
        for name in ("publish", "subscribe", "deny"):
            yield f"{name} = ["
            yield from (f"    {_quoted(text)}," for text in getattr(account.grant, name))
            yield "]"


def _quoted(text: str) -> str:
    """Write a string as TOML has it; JSON's differs in DEL alone."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
