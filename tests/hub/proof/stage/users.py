"""A users file for clients that show a password."""

from __future__ import annotations

from pathlib import Path

from voltagora.hub.passwords import hash_password

ALL = '["#"]'


def users_file(folder: Path, **passwords: str) -> Path:
    """Write users who may do everything."""
    path = folder / "users.toml"
    path.write_text(
        "".join(
            f'[users.{user}]\npassword = "{hash_password(password)}"\npublish = {ALL}\nsubscribe = {ALL}\n'
            for user, password in passwords.items()
        )
    )
    return path
