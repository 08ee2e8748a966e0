"""Accounts with hashes that cost nothing and clocks that go when told."""

from __future__ import annotations

from argon2 import PasswordHasher
from registry_stage import Wall

from voltagora.platform.accounts.accounts import Accounts
from voltagora.platform.accounts.mail import Mailer
from voltagora.platform.accounts.passwords import Passwords
from voltagora.platform.registry.registry import Registry

SECRET = b"a secret of the tests, 32 bytes at least"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
FAR = "192.0.2.7"


def the_accounts(registry: Registry, wall: Wall, mailer: Mailer | None = None) -> Accounts:
    return Accounts(
        registry,
        SECRET,
        passwords=Passwords(CHEAP),
        mailer=mailer,
        address="https://platform.example.org",
        wall=wall,
        monotonic=wall,
    )


def bearer(token: str) -> str:
    return f"Bearer {token}"
