"""What a broker has to know of one user."""

from __future__ import annotations

from dataclasses import dataclass, field

from voltagora.hub.rights import Grant


@dataclass(frozen=True, slots=True)
class Account:
    """A user's rights, and the password as the broker at hand can check it.

    Attributes:
        grant: what the user may publish and read.
        secret: for the hub a line of scrypt, for mosquitto one of PBKDF2; None: nobody can log in.
    """

    grant: Grant
    secret: str | None = field(default=None, repr=False)
