"""The figures of a result as matplotlib Figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voltagora.results.result import Result


class Plots:
    """The figures of one result; each method draws one anew."""

    def __init__(self, result: Result) -> None:
        self._result = result
