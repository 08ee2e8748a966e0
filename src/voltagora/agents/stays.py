"""The stays a vehicle has booked or asked for: it is never at two places at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import UNSET, UnsetType

from voltagora.domain.fleet import Need
from voltagora.domain.terms import Terms
from voltagora.domain.units import Time, replaced
from voltagora.domain.vehicle import Preferences
from voltagora.protocols.cp03_negotiation import StationTerms


@dataclass(slots=True)
class Held:
    """A reservation as the vehicle believes it to be."""

    need: int
    station: str
    reservation: str
    preferences: Preferences
    cost_eur: float
    compensation_eur: float = 0.0
    rounds: int = 1  # of asking that it took

    def terms(self) -> Terms:
        """Give what is agreed, as terms."""
        return Terms(
            arrival=self.preferences.arrival,
            departure=self.preferences.departure,
            energy_kwh=self.preferences.energy_kwh,
            compensation_eur=self.compensation_eur,
        )

    def take(self, terms: StationTerms) -> None:
        """Believe what both sides agreed on."""
        self.preferences = agreed(self.preferences, terms)
        self.cost_eur = terms.cost_eur
        if not isinstance(terms.compensation_eur, UnsetType):
            self.compensation_eur = terms.compensation_eur


class Stays:
    """What a vehicle holds, and what it has asked for and not heard of."""

    __slots__ = ("claims", "held")

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}  # by reservation
        self.claims: dict[int, tuple[int, int]] = {}  # stays asked of a station and not answered, by need

    def is_taken(self, number: int, start: int, end: int) -> bool:
        """Tell whether any moment of `[start, end)` is booked, or being booked, for another need."""
        for held in self.held.values():
            if held.preferences.arrival < end and start < held.preferences.departure and held.need != number:
                return True
        for other, (begin, until) in self.claims.items():
            if begin < end and start < until and other != number:
                return True
        return False

    def allow(self, held: Held, terms: Terms) -> bool:
        """Tell whether terms leave the vehicle at one place at a time."""
        arrival, departure = terms.arrival, terms.departure
        start = held.preferences.arrival if isinstance(arrival, UnsetType) else arrival
        end = held.preferences.departure if isinstance(departure, UnsetType) else departure
        return start < end and not self.is_taken(held.need, start, end)

    def forget_past(self, now: int) -> None:
        """Drop the reservations that are over."""
        for name in [name for name, held in self.held.items() if held.preferences.departure <= now]:
            self.claims.pop(self.held.pop(name).need, None)


def agreed(preferences: Preferences, terms: Terms) -> Preferences:
    """Apply terms to what was asked for."""
    names = ("arrival", "departure", "energy_kwh")
    changes = {name: value for name in names if (value := getattr(terms, name)) is not UNSET}
    result: Preferences = replaced(preferences, **changes)
    return result


def wish(need: Need) -> Terms:
    """Say what a driver whose plan changed would have instead."""
    if need.cancels:
        return Terms(energy_kwh=0.0)
    departure, energy = need.changed_departure, need.changed_energy_kwh
    return Terms(
        departure=UNSET if departure is None else Time(departure),
        energy_kwh=UNSET if energy is None else energy,
    )
