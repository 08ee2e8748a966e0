"""Tokens that nobody can guess, and that come out the same when a journal is read again."""

from __future__ import annotations

import hmac
from typing import Final

from voltagora.agents.randomness import SeededRandomness

SECRET_BYTES: Final = 32
TOKEN_DIGITS: Final = 32
MARK_DIGITS: Final = 8


class SecretRandomness(SeededRandomness):
    """Draws from the scenario's seed, so that decisions can be compared; tokens from a secret.

    Args:
        seed: of the draws.
        secret: of the tokens, `SECRET_BYTES` from the system's source, kept with the journal.
    """

    def __init__(self, seed: int, secret: bytes) -> None:
        super().__init__(seed)
        self._secret = secret
        self.mark = hmac.digest(secret, b"mark", "sha256").hex()[:MARK_DIGITS] + "-"
        """Sets the message ids of these agents apart from those of agents made with another secret."""
        self._given: dict[str, int] = {}

    def token(self, agent: str) -> str:
        """Give an agent's next token."""
        number = self._given[agent] = self._given.get(agent, 0) + 1
        digest = hmac.digest(self._secret, f"{agent}/{number}".encode(), "sha256")
        return digest.hex()[:TOKEN_DIGITS]
