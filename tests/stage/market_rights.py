"""Who may publish and read what in a market: a table made by hand from the protocols.

Never from the code under test.
"""

from __future__ import annotations

from typing import Any

from voltagora.hub import passwords
from voltagora.live.owners import Owners

# One owner of each kind, a second vehicle's and a second station's owner, an operator, a reader.
OWNED: dict[str, dict[str, Any]] = {
    "ev": {"vehicle": ["v1"]},
    "ev2": {"vehicle": ["v2"]},
    "cs": {"station": ["s1"]},
    "cs2": {"station": ["s2"]},
    "sr": {"recommender": ["r1"]},
    "ei": {"imbalance": ["i1"]},
    "md": {"pricing": ["m1"]},
    "ep": {"producer": ["p1"]},
    "ec": {"consumer": ["c1"]},
    "op": {"operator": True},
    "rd": {"reader": True},
}
HEARS_ALL = {"op", "rd"}
ALL = set(OWNED)

# Topic: who may publish there, who may read it beside those who hear all.
TABLE: dict[str, tuple[set[str], set[str]]] = {
    "EV/v1/RequestChargingRecommendations": ({"ev"}, {"sr"}),
    "EV/v1/ChargingRecommendations": ({"sr"}, {"ev"}),
    "CS/s1/ReserveChargingSlot": ({"ev", "ev2"}, {"cs"}),
    "EV/v1/ReservationOutcome": ({"cs", "cs2"}, {"ev"}),
    "CS/s1/EV/v1/EV_start/start_negotiation": ({"ev"}, {"cs"}),
    "CS/s1/EV/v1/EV_start/accept_negotiation": ({"cs"}, {"ev"}),
    "CS/s1/EV/v1/CS_start/start_negotiation": ({"cs"}, {"ev"}),
    "CS/s1/EV/v1/CS_start/accept_negotiation": ({"ev"}, {"cs"}),
    "CS/s1/RegisterChargingStation": ({"cs"}, {"ei", "md", "sr"}),
    "EI/s1/RegistrationOutcome": ({"ei"}, {"cs"}),
    "MD/s1/RegistrationOutcome": ({"md"}, {"cs"}),
    "SR/s1/RegistrationOutcome": ({"sr"}, {"cs"}),
    "CS/s1/AuthenticateRecommendation": ({"cs"}, {"sr"}),
    "CS/s1/AuthenticateRecommendationOutcome": ({"sr"}, {"cs"}),
    "EI/s1/ElectricityImbalanceRequest": ({"cs"}, {"ei"}),
    "EI/r1/ElectricityImbalanceRequest": ({"sr"}, {"ei"}),
    "EI/m1/ElectricityImbalanceRequest": ({"md"}, {"ei"}),
    "EI/s1/ElectricityImbalance": ({"ei"}, {"cs"}),
    "EI/m1/ElectricityImbalance": ({"ei"}, {"md"}),
    "EI/ElectricityImbalance": ({"ei"}, {"cs", "cs2", "sr", "md"}),
    "MD/s1/ElectricityPricesRequest": ({"cs"}, {"md"}),
    "MD/r1/ElectricityPricesRequest": ({"sr"}, {"md"}),
    "MD/s1/ElectricityPrices": ({"md"}, {"cs"}),
    "MD/r1/ElectricityPrices": ({"md"}, {"sr"}),
    "MD/ElectricityPrices": ({"md"}, {"cs", "cs2", "sr"}),
    "CS/s1/UpdatedChargingSchedule": ({"cs"}, {"ei", "md"}),
    "EI/s1/UpdateScheduleOutcome": ({"ei"}, {"cs"}),
    "MD/s1/UpdateScheduleOutcome": ({"md"}, {"cs"}),
    "EP/p1/RegisterElectricityProducer": ({"ep"}, {"ei", "md"}),
    "EC/c1/RegisterElectricityConsumer": ({"ec"}, {"ei", "md"}),
    "EI/p1/RegistrationOutcome": ({"ei"}, {"ep"}),
    "MD/c1/RegistrationOutcome": ({"md"}, {"ec"}),
    "SR/p1/RegistrationOutcome": ({"sr"}, set()),
    "EP/p1/UpdateExpectedProduction": ({"ep"}, {"ei", "md"}),
    "EC/c1/UpdateExpectedConsumption": ({"ec"}, {"ei", "md"}),
    "EI/p1/UpdateProfileOutcome": ({"ei"}, {"ep"}),
    "MD/c1/UpdateProfileOutcome": ({"md"}, {"ec"}),
    "EP/p1/UpdateConfidence": ({"ep"}, {"ei", "md"}),
    "EC/c1/UpdateConfidence": ({"ec"}, {"ei", "md"}),
    "CS/s1/UpdateConfidence": ({"cs"}, {"ei", "md"}),
    "EI/s1/UpdateConfidenceOutcome": ({"ei"}, {"cs"}),
    "MD/p1/UpdateConfidenceOutcome": ({"md"}, {"ep"}),
    "CS/s1/UpdatedStationAvailability": ({"cs"}, {"sr"}),
    "CS/s1/UpdateAvailabilityOutcome": ({"sr"}, {"cs"}),
    "timer": ({"op"}, ALL),
    "clock": ({"op"}, ALL),
    "presence/v1": ({"ev"}, set()),
    "presence/s1": ({"cs"}, set()),
    "presence/i1": ({"ei"}, {"cs", "cs2", "ep", "ec"}),
    "presence/m1": ({"md"}, {"cs", "cs2", "ep", "ec"}),
    "presence/r1": ({"sr"}, {"cs", "cs2", "ep", "ec"}),
    "EV/v1": (set(), set()),
    "EV/v1/ReservationOutcome/more": (set(), set()),
    "elsewhere": (set(), set()),
}


def owners() -> Owners:
    stored = passwords.hash_password("x", salt=bytes(16))
    return Owners.of({"users": {user: {"password": stored, **owned} for user, owned in OWNED.items()}})
