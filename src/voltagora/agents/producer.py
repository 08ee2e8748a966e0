"""EP, an electricity producer: says what it expects to make and how sure it is."""

from __future__ import annotations

from typing import ClassVar

from voltagora.agents.profile import ProfileAgent
from voltagora.protocols.cp09_profile_registration import ProfileRegistration, RegisterElectricityProducer
from voltagora.protocols.cp10_expected_energy import ExpectedEnergy, UpdateExpectedProduction
from voltagora.protocols.topic import Kind


class ProducerAgent(ProfileAgent):
    """Tells EI and MD what it expects to make."""

    kind: ClassVar[Kind] = Kind.PRODUCER
    registration: ClassVar[type[ProfileRegistration]] = RegisterElectricityProducer
    expectation: ClassVar[type[ExpectedEnergy]] = UpdateExpectedProduction
