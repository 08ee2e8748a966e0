"""The figures of a result as matplotlib Figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from matplotlib.figure import Figure

from voltagora.results.figures.balance import imbalance
from voltagora.results.figures.costs import costs
from voltagora.results.figures.drawing import Drawing
from voltagora.results.figures.messages import messages
from voltagora.results.figures.prices import prices
from voltagora.results.figures.soc import soc
from voltagora.results.figures.station import station

if TYPE_CHECKING:
    from voltagora.results.result import Result

FIGURES: Final[tuple[Callable[[Result], Drawing], ...]] = (imbalance, prices, station, soc, costs, messages)
"""The figures of the report, in its order."""


class Plots:
    """The figures of one result; each method draws one anew.

    In a notebook the figure shows itself; elsewhere `figure.savefig("prices.png")` stores it.
    """

    def __init__(self, result: Result) -> None:
        self._result = result

    def imbalance(self) -> Figure:
        """Supply, demand and their difference, with and without the fleet."""
        return imbalance(self._result).figure()

    def prices(self) -> Figure:
        """Buy and sell price of each slot."""
        return prices(self._result).figure()

    def station(self) -> Figure:
        """The bookings of the busiest station on its busiest day."""
        return station(self._result).figure()

    def soc(self) -> Figure:
        """Percentiles of the state of charge of the vehicles plugged in."""
        return soc(self._result).figure()

    def costs(self) -> Figure:
        """How cost spreads over the vehicles."""
        return costs(self._result).figure()

    def messages(self) -> Figure:
        """Messages by protocol."""
        return messages(self._result).figure()
