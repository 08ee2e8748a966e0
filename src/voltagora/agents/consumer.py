"""EC, an electricity consumer: says what it expects to use and how sure it is."""

from __future__ import annotations

from typing import ClassVar

from voltagora.agents.profile import ProfileAgent
from voltagora.protocols.cp09_profile_registration import ProfileRegistration, RegisterElectricityConsumer
from voltagora.protocols.cp10_expected_energy import ExpectedEnergy, UpdateExpectedConsumption
from voltagora.protocols.topic import Kind


class ConsumerAgent(ProfileAgent):
    """Tells EI and MD what it expects to use."""

    kind: ClassVar[Kind] = Kind.CONSUMER
    registration: ClassVar[type[ProfileRegistration]] = RegisterElectricityConsumer
    expectation: ClassVar[type[ExpectedEnergy]] = UpdateExpectedConsumption
