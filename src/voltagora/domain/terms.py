"""What two sides of a reservation may agree to change."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from voltagora.domain.units import Eur, Kwh, Time


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """A proposed change of a reservation; what is absent stays as booked, at least one is present."""

    arrival: Time | UnsetType = UNSET
    departure: Time | UnsetType = UNSET
    energy_kwh: Kwh | UnsetType = UNSET
    compensation_eur: Eur | UnsetType = UNSET  # station to vehicle; negative the other way

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing is proposed."""
        return (
            self.arrival is UNSET
            and self.departure is UNSET
            and self.energy_kwh is UNSET
            and self.compensation_eur is UNSET
        )

    def plain(self) -> Terms:
        """Give the terms without what a station says besides."""
        return Terms(
            arrival=self.arrival,
            departure=self.departure,
            energy_kwh=self.energy_kwh,
            compensation_eur=self.compensation_eur,
        )

    def says_the_same(self, other: Terms) -> bool:
        """Tell whether two proposals ask for the same; a station's schedule and cost follow from it."""
        return self.plain() == other.plain()
