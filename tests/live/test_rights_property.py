"""Whoever owns whatever: nobody publishes as an agent of another or reads what is meant for it.

What each kind says and hears is listed by hand from the protocols; `{}` is the agent, `{cs}` and
`{ev}` somebody else.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voltagora.hub.rights import Table
from voltagora.hub.topics import covers, parse_filter
from voltagora.live.owners import Owner, Owners
from voltagora.live.rights import grants
from voltagora.protocols.topic import Kind

SAYS_AS = {
    Kind.VEHICLE: (
        "EV/{}/RequestChargingRecommendations",
        "CS/{cs}/EV/{}/EV_start/start_negotiation",
        "CS/{cs}/EV/{}/CS_start/accept_negotiation",
    ),
    Kind.STATION: (
        "CS/{}/RegisterChargingStation",
        "CS/{}/AuthenticateRecommendation",
        "CS/{}/UpdatedChargingSchedule",
        "CS/{}/UpdateConfidence",
        "CS/{}/UpdatedStationAvailability",
        "CS/{}/EV/{ev}/CS_start/start_negotiation",
        "CS/{}/EV/{ev}/EV_start/accept_negotiation",
        "EI/{}/ElectricityImbalanceRequest",
        "MD/{}/ElectricityPricesRequest",
    ),
    Kind.RECOMMENDER: ("EI/{}/ElectricityImbalanceRequest", "MD/{}/ElectricityPricesRequest"),
    Kind.IMBALANCE: (),
    Kind.PRICING: ("EI/{}/ElectricityImbalanceRequest",),
    Kind.PRODUCER: (
        "EP/{}/RegisterElectricityProducer",
        "EP/{}/UpdateExpectedProduction",
        "EP/{}/UpdateConfidence",
    ),
    Kind.CONSUMER: (
        "EC/{}/RegisterElectricityConsumer",
        "EC/{}/UpdateExpectedConsumption",
        "EC/{}/UpdateConfidence",
    ),
}
MEANT_FOR = {
    Kind.VEHICLE: (
        "EV/{}/ChargingRecommendations",
        "EV/{}/ReservationOutcome",
        "CS/{cs}/EV/{}/EV_start/accept_negotiation",
        "CS/{cs}/EV/{}/CS_start/start_negotiation",
    ),
    Kind.STATION: (
        "CS/{}/ReserveChargingSlot",
        "CS/{}/AuthenticateRecommendationOutcome",
        "CS/{}/UpdateAvailabilityOutcome",
        "CS/{}/EV/{ev}/EV_start/start_negotiation",
        "CS/{}/EV/{ev}/CS_start/accept_negotiation",
        "EI/{}/RegistrationOutcome",
        "MD/{}/RegistrationOutcome",
        "SR/{}/RegistrationOutcome",
        "EI/{}/UpdateScheduleOutcome",
        "MD/{}/UpdateScheduleOutcome",
        "EI/{}/UpdateConfidenceOutcome",
        "MD/{}/UpdateConfidenceOutcome",
        "EI/{}/ElectricityImbalance",
        "MD/{}/ElectricityPrices",
    ),
    Kind.RECOMMENDER: ("EI/{}/ElectricityImbalance", "MD/{}/ElectricityPrices"),
    Kind.IMBALANCE: (),
    Kind.PRICING: ("EI/{}/ElectricityImbalance",),
    Kind.PRODUCER: (
        "EI/{}/RegistrationOutcome",
        "MD/{}/RegistrationOutcome",
        "EI/{}/UpdateProfileOutcome",
        "MD/{}/UpdateProfileOutcome",
        "EI/{}/UpdateConfidenceOutcome",
        "MD/{}/UpdateConfidenceOutcome",
    ),
    Kind.CONSUMER: (
        "EI/{}/RegistrationOutcome",
        "MD/{}/RegistrationOutcome",
        "EI/{}/UpdateProfileOutcome",
        "MD/{}/UpdateProfileOutcome",
        "EI/{}/UpdateConfidenceOutcome",
        "MD/{}/UpdateConfidenceOutcome",
    ),
}
USERS = ("alice", "bob", "carol")
IDS = ("a", "b", "c", "d", "e")


@st.composite
def tables(draw: st.DrawFn) -> Owners:
    """Some ids are owned, each by one user as one kind, and some by nobody."""
    owned: dict[str, list[tuple[Kind, str]]] = {user: [] for user in USERS}
    for id in IDS:
        user = draw(st.sampled_from((*USERS, None)))
        if user is not None:
            owned[user].append((draw(st.sampled_from(list(Kind))), id))
    return Owners({user: Owner(name=user, agents=tuple(agents)) for user, agents in owned.items()})


def filled(template: str, id: str, other: str) -> str:
    return template.replace("{}", id).replace("{cs}", other).replace("{ev}", other)


def may(owners: Owners, user: str, kind: Kind, id: str) -> bool:
    return owners.owner(id) == user and owners.kind(id) is kind


@given(tables(), st.sampled_from(IDS))
def test_an_agent_s_words_are_its_owner_s(owners: Owners, other: str) -> None:
    rights = Table(grants(owners))
    for user in USERS:
        allowed, lawful = set(), set()
        for kind, templates in SAYS_AS.items():
            for id in IDS:
                for topic in (*(filled(each, id, other) for each in templates), f"presence/{id}"):
                    if rights.may_publish(user, topic):
                        allowed.add(topic)
                    if may(owners, user, kind, id):
                        lawful.add(topic)
        assert allowed == lawful


@given(tables(), st.sampled_from(IDS))
def test_what_is_meant_for_an_agent_is_its_owner_s_to_read(owners: Owners, other: str) -> None:
    rights = Table(grants(owners))
    for user in USERS:
        allowed, lawful = set(), set()
        for kind, templates in MEANT_FOR.items():
            for id in IDS:
                for topic in (filled(each, id, other) for each in templates):
                    if rights.may_receive(user, topic):
                        allowed.add(topic)
                    if may(owners, user, kind, id):
                        lawful.add(topic)
        assert allowed == lawful


@given(tables(), st.data())
def test_a_filter_that_is_granted_matches_nothing_that_is_not(owners: Owners, data: st.DataObject) -> None:
    rights = Table(grants(owners))
    templates = [each for some in MEANT_FOR.values() for each in some]
    topics = [filled(each, id, other) for each in templates for id in IDS for other in IDS[:2]]
    levels = data.draw(st.sampled_from(topics)).split("/")
    wild = data.draw(st.lists(st.booleans(), min_size=len(levels), max_size=len(levels)))
    greedy = ["+" if is_wild else level for is_wild, level in zip(wild, levels, strict=True)]
    cut = data.draw(st.integers(1, len(levels)))
    text = "/".join([*greedy[:cut], "#"] if cut < len(levels) else greedy)
    wanted = parse_filter(data.draw(st.sampled_from(("", "$share/g/"))) + text)

    for user in USERS:
        if rights.may_subscribe(user, wanted):
            matched = [topic for topic in topics if covers(wanted.levels, tuple(topic.split("/")))]
            assert all(rights.may_receive(user, topic) for topic in matched)
