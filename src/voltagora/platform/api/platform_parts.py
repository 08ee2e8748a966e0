"""What the calls of the API work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from voltagora.platform.accounts.accounts import Accounts
from voltagora.platform.registry.registry import Registry
from voltagora.platform.rights import PlatformRights
from voltagora.platform.runner.interface import ServiceRunner

DATATYPES: Final = (
    *("ID", "anyURI", "boolean", "float"),
    *("langString", "nonNegativeInteger", "string", "unsignedInt"),
)
SERVICE_CLASSES: Final = tuple(
    f"{name}Service"
    for name in (
        *("Entity", "Resource", "Actuator", "PowerONOFFActuator", "Sensor", "Camera", "HumiditySensor"),
        *("LightSensor", "MicrophoneArray", "MotionSensor", "PlugMeter", "TemperatureSensor"),
        *("ProcessingUnit", "AudioProcessing", "AudioLevel", "SoundDirection", "SoundDirectionFaces"),
        *("ImageProcessing", "BackgroundSubtraction", "MotionDetection", "PersonCounting"),
        *("ComplexEventRecognition", "DecisionMaker", "Fusion", "RecommendationSystem"),
    )
)


class PickLists(Protocol):
    """The names that may stand under `topic_ontology` and `service_ontology`."""

    def datatypes(self) -> Sequence[str]:
        """Give the names of datatypes; raises OSError if the store does not answer."""

    def service_classes(self) -> Sequence[str]:
        """Give the names of classes of services; raises OSError if the store does not answer."""


class FixedLists:
    """Pick lists without a store."""

    def datatypes(self) -> Sequence[str]:
        """Give those of the contract."""
        return DATATYPES

    def service_classes(self) -> Sequence[str]:
        """Give those of the contract."""
        return ("Service", *SERVICE_CLASSES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of the platform that the API is a door to.

    Attributes:
        broker_secret: what brokers that are not on this machine send along; None: there are none.
    """

    registry: Registry
    accounts: Accounts
    rights: PlatformRights
    runner: ServiceRunner
    lists: PickLists = field(default_factory=FixedLists)
    broker_secret: str | None = field(default=None, repr=False)
