"""What every strategy is: frozen parameters, and one pure method that its kind names."""

from __future__ import annotations

import msgspec


class Strategy(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of one decision; a subclass of a kind's base adds fields and the method.

    Every field is a parameter: it has a default, a type whose `Meta` says its bounds, and a
    `description` with the unit. The same values in give the same values out, on any machine.
    The docstring is what a user reads: a first line, the formula, and a last part `Source: ...`.
    """
