"""Which way each slot goes where buying and selling at once would pay but is forbidden."""

from __future__ import annotations

from voltagora.domain.units import Floats, Integers
from voltagora.strategies.kernels.session_schedule import Terms

DIRECTION_TYPES = "(UniTuple(float64, 10), float64, float64[:, ::1])"


def choose_directions(terms: Terms, target: float, limits: Floats) -> Integers:
    """Not there yet: such a session is an error for now."""
    raise NotImplementedError
