"""Random numbers that depend only on a name and a place, never on what was drawn before.

The draw of vehicle 17 must be the same whether the fleet has 20 vehicles or a million, on any
machine and with any version of numpy. So each number is a hash of (seed, purpose, row, column),
computed for a whole fleet at once; a stream of random numbers could not promise that.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from voltagora.domain.units import Floats, Integers

_Words = npt.NDArray[np.uint64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Draws:
    """All random numbers of one purpose, a table without end of rows and columns.

    Args:
        seed: the scenario's seed.
        purpose: what the numbers are for; other purposes give independent tables.
    """

    def __init__(self, seed: int, *purpose: str) -> None:
        text = "\x1f".join((str(seed), *purpose)).encode()
        self._key = np.uint64(int.from_bytes(hashlib.sha256(text).digest()[:8], "little"))

    def uniform(self, rows: npt.ArrayLike, columns: npt.ArrayLike) -> Floats:
        """Draw numbers uniform in [0, 1), of the shape that rows and columns broadcast to."""
        words = self._words(rows, columns)
        # 53 bits fill a double exactly, so the same bits come out everywhere.
        drawn: Floats = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return drawn

    def between(self, low: Any, high: Any, rows: npt.ArrayLike, columns: npt.ArrayLike) -> Floats:
        """Draw numbers uniform in [low, high)."""
        drawn: Floats = low + (high - low) * self.uniform(rows, columns)
        return drawn

    def normal(self, rows: npt.ArrayLike, columns: npt.ArrayLike) -> Floats:
        """Draw numbers of mean 0 and deviation 1, bell-shaped, between -6 and 6.

        The sum of twelve uniform numbers less six: only additions, hence equal to the bit on
        every machine, which a logarithm or a cosine is not.
        """
        wide = np.asarray(columns, dtype=np.int64)[..., None] * 12 + np.arange(12)
        drawn: Floats = self.uniform(np.asarray(rows)[..., None], wide).sum(axis=-1) - 6.0
        return drawn

    def whole(self, low: Any, high: Any, rows: npt.ArrayLike, columns: npt.ArrayLike) -> Integers:
        """Draw whole numbers uniform in low..high, both included."""
        span = np.asarray(high) - np.asarray(low) + 1
        drawn: Integers = (np.asarray(low) + np.floor(self.uniform(rows, columns) * span)).astype(np.int64)
        return drawn

    def _words(self, rows: npt.ArrayLike, columns: npt.ArrayLike) -> _Words:
        row = np.asarray(rows, dtype=np.int64).astype(np.uint64)
        column = np.asarray(columns, dtype=np.int64).astype(np.uint64)
        with np.errstate(over="ignore"):
            return _mixed(_mixed(_mixed(self._key + row * _GOLDEN) + column * _GOLDEN))


def _mixed(words: _Words) -> _Words:
    """Scatter the bits of 64-bit words.

    Source: the finaliser of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable
    pseudorandom number generators").
    """
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
