"""Seeded streams, one an agent: an agent's draws depend on the seed and its id, on nobody else's."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

_MASK: Final = 0xFFFFFFFFFFFFFFFF
_GOLDEN: Final = 0x9E3779B97F4A7C15
_TO_SHARE: Final = 2.0**-53


class SeededRandomness:
    """Draws and tokens of all agents, from one seed.

    The n-th draw of an agent is a hash of its key and n, so a stream costs one integer of memory
    and whole fleets can be drawn in columns.

    Source: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators" (SplitMix64).
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._draws: dict[str, int] = {}
        self._tokens: dict[str, int] = {}

    def draw(self, agent: str) -> float:
        """Give the next number of [0, 1) of an agent's stream."""
        return (self._next(self._draws, agent) >> 11) * _TO_SHARE

    def token(self, agent: str) -> str:
        """Give a text for a recommendation, drawn apart from the agent's decisions."""
        return "%016x" % self._next(self._tokens, agent)  # noqa: UP031 (the quickest way)

    def _next(self, states: dict[str, int], agent: str) -> int:
        state = states.get(agent)
        if state is None:
            what = "draw" if states is self._draws else "token"
            digest = blake2b(f"{self.seed}/{what}/{agent}".encode(), digest_size=8).digest()
            state = int.from_bytes(digest, "little")
        states[agent] = state = (state + _GOLDEN) & _MASK
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)
