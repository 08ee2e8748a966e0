"""All messages of the twelve protocols, for whoever must know them all: codec, schemas, rights."""

from __future__ import annotations

from typing import Final, NamedTuple

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
from voltagora.protocols.message import Message, Refusal

CONTRACT_VERSION: Final = "1.0.0"
"""Of the twelve protocols, whatever the version of the package; a breaking change gets a new topic root."""


class Protocol(NamedTuple):
    """One of the twelve."""

    code: str
    name: str
    messages: tuple[type[Message], ...]
    reasons: tuple[Refusal, ...]
    """What a reply may give as its reason; readers must bear words they do not know."""


_OF_UPDATES = (Refusal.NOT_REGISTERED, Refusal.INVALID_REQUEST, Refusal.STALE, Refusal.UNKNOWN_RESERVATION)
_OF_PICTURES = (Refusal.NO_DATA, Refusal.INVALID_REQUEST)

PROTOCOLS: tuple[Protocol, ...] = (
    Protocol(
        "CP1",
        "Charging Recommendation",
        (RequestChargingRecommendations, ChargingRecommendations),
        (Refusal.NO_STATION, Refusal.NO_FREE_CONNECTOR, Refusal.INVALID_REQUEST),
    ),
    Protocol(
        "CP2",
        "Charging Station Reservation",
        (ReserveChargingSlot, ReservationOutcome),
        (
            Refusal.NOT_AUTHENTIC,
            Refusal.EXPIRED,
            Refusal.SLOT_TAKEN,
            Refusal.INFEASIBLE,
            Refusal.NO_PRICES,
            Refusal.RELEASED,
            Refusal.UNKNOWN_STATION,
            Refusal.INVALID_REQUEST,
        ),
    ),
    Protocol(
        "CP3",
        "Negotiation",
        (VehicleProposal, StationAnswer, StationProposal, VehicleAnswer),
        (Refusal.UNKNOWN_RESERVATION, Refusal.INVALID_REQUEST),
    ),
    Protocol(
        "CP4",
        "Charging Station Registration",
        (RegisterChargingStation, RegistrationOutcome),
        (Refusal.IN_USE, *_OF_UPDATES),
    ),
    Protocol(
        "CP5",
        "Authenticate Recommendation",
        (AuthenticateRecommendation, AuthenticationOutcome),
        (Refusal.UNKNOWN, Refusal.ALTERED, Refusal.EXPIRED, Refusal.USED),
    ),
    Protocol(
        "CP6",
        "Electricity Imbalance",
        (ElectricityImbalanceRequest, ElectricityImbalance, ImbalanceBroadcast),
        _OF_PICTURES,
    ),
    Protocol(
        "CP7",
        "Electricity Prices",
        (ElectricityPricesRequest, ElectricityPrices, PricesBroadcast),
        _OF_PICTURES,
    ),
    Protocol("CP8", "Update Schedule", (UpdatedChargingSchedule, UpdateScheduleOutcome), _OF_UPDATES),
    Protocol(
        "CP9",
        "Producer/Consumer Registration",
        (RegisterElectricityProducer, RegisterElectricityConsumer, RegistrationOutcome),
        _OF_UPDATES,
    ),
    Protocol(
        "CP10",
        "Update Expected Production/Consumption",
        (UpdateExpectedProduction, UpdateExpectedConsumption, UpdateProfileOutcome),
        _OF_UPDATES,
    ),
    Protocol(
        "CP11",
        "Update Energy Profile Confidence",
        (UpdateConfidence, UpdateConfidenceOutcome),
        _OF_UPDATES,
    ),
    Protocol(
        "CP12",
        "Update Station Availability",
        (UpdatedStationAvailability, UpdateAvailabilityOutcome),
        _OF_UPDATES,
    ),
)

MESSAGES: tuple[type[Message], ...] = tuple(
    dict.fromkeys(message for protocol in PROTOCOLS for message in protocol.messages)
)
"""Every message once; `RegistrationOutcome` answers both CP4 and CP9."""
