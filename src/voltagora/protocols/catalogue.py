"""All messages of the twelve protocols, for whoever must know them all: codec, schemas, rights."""

from __future__ import annotations

from typing import NamedTuple

from voltagora.protocols.cp01_recommendation import (
    ChargingRecommendations,
    RequestChargingRecommendations,
)
from voltagora.protocols.cp02_reservation import ReservationOutcome, ReserveChargingSlot
from voltagora.protocols.cp03_negotiation import (
    StationAnswer,
    StationProposal,
    VehicleAnswer,
    VehicleProposal,
)
from voltagora.protocols.cp04_station_registration import RegisterChargingStation, RegistrationOutcome
from voltagora.protocols.cp05_authentication import AuthenticateRecommendation, AuthenticationOutcome
from voltagora.protocols.cp06_imbalance import (
    ElectricityImbalance,
    ElectricityImbalanceRequest,
    ImbalanceBroadcast,
)
from voltagora.protocols.cp07_prices import ElectricityPrices, ElectricityPricesRequest, PricesBroadcast
from voltagora.protocols.cp08_schedule import UpdatedChargingSchedule, UpdateScheduleOutcome
from voltagora.protocols.cp09_profile_registration import (
    RegisterElectricityConsumer,
    RegisterElectricityProducer,
)
from voltagora.protocols.cp10_expected_energy import (
    UpdateExpectedConsumption,
    UpdateExpectedProduction,
    UpdateProfileOutcome,
)
from voltagora.protocols.cp11_confidence import UpdateConfidence, UpdateConfidenceOutcome
from voltagora.protocols.cp12_availability import UpdateAvailabilityOutcome, UpdatedStationAvailability
from voltagora.protocols.message import Message


class Protocol(NamedTuple):
    """One of the twelve."""

    code: str
    name: str
    messages: tuple[type[Message], ...]


PROTOCOLS: tuple[Protocol, ...] = (
    Protocol("CP1", "Charging Recommendation", (RequestChargingRecommendations, ChargingRecommendations)),
    Protocol("CP2", "Charging Station Reservation", (ReserveChargingSlot, ReservationOutcome)),
    Protocol("CP3", "Negotiation", (VehicleProposal, StationAnswer, StationProposal, VehicleAnswer)),
    Protocol("CP4", "Charging Station Registration", (RegisterChargingStation, RegistrationOutcome)),
    Protocol("CP5", "Authenticate Recommendation", (AuthenticateRecommendation, AuthenticationOutcome)),
    Protocol(
        "CP6",
        "Electricity Imbalance",
        (ElectricityImbalanceRequest, ElectricityImbalance, ImbalanceBroadcast),
    ),
    Protocol("CP7", "Electricity Prices", (ElectricityPricesRequest, ElectricityPrices, PricesBroadcast)),
    Protocol("CP8", "Update Schedule", (UpdatedChargingSchedule, UpdateScheduleOutcome)),
    Protocol(
        "CP9",
        "Producer/Consumer Registration",
        (RegisterElectricityProducer, RegisterElectricityConsumer, RegistrationOutcome),
    ),
    Protocol(
        "CP10",
        "Update Expected Production/Consumption",
        (UpdateExpectedProduction, UpdateExpectedConsumption, UpdateProfileOutcome),
    ),
    Protocol("CP11", "Update Energy Profile Confidence", (UpdateConfidence, UpdateConfidenceOutcome)),
    Protocol("CP12", "Update Station Availability", (UpdatedStationAvailability, UpdateAvailabilityOutcome)),
)

MESSAGES: tuple[type[Message], ...] = tuple(
    dict.fromkeys(message for protocol in PROTOCOLS for message in protocol.messages)
)
"""Every message once; `RegistrationOutcome` answers both CP4 and CP9."""
