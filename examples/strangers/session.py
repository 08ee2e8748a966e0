"""One booked session of a station, and the arithmetic around it."""

import math
from datetime import UTC, datetime

from post import seconds


class Booking:
    def __init__(self, recommendation, outcome):
        self.recommendation = recommendation
        self.id, self.vehicle = recommendation["id"], recommendation["vehicle"]
        self.connector = recommendation["connector"]
        self.arrival, self.departure = times(recommendation)
        self.schedule, self.buy, self.sell = outcome["schedule"], outcome["buy"], outcome["sell"]
        self.cost_eur = outcome["cost_eur"]
        self.revision = 1
        self.is_released = False

    def release(self):
        self.is_released = True
        self.revision += 1
        self.schedule = self.schedule | {"values": [0] * len(self.schedule["values"])}
        self.cost_eur = 0

    def energy_in(self, slot, step):
        place = (slot - seconds(self.schedule["start"])) // step
        return self.schedule["values"][place] if 0 <= place < len(self.schedule["values"]) else 0.0


def cheapest_first(energy, limits, prices):
    """Spread an energy over slots, the cheapest first, the earlier of equals; nothing is discharged."""
    energies = [0.0] * len(limits)
    for place in sorted(range(len(limits)), key=lambda place: (prices[place], place)):
        energies[place] = rounded(min(limits[place], energy), 6)
        energy -= energies[place]
    return energies


def no(reason, field=None):
    refusal = {"accepted": False, "reason": reason}
    return refusal | {"field": field} if field else refusal


def is_stay(stay):
    arrival, departure = times(stay)
    return arrival < departure <= arrival + 31 * 86_400


def times(stay):
    return seconds(stay["arrival"]), seconds(stay["departure"])


def utc(moment):
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rounded(value, decimals):
    # Adding 0 makes 0 of -0.
    return round(value * 10**decimals) / 10**decimals + 0.0 if math.isfinite(value) else 0.0
