"""Messages find their agents, replies their questions, repeats their first answer, and silence its end."""

from __future__ import annotations

import heapq
import itertools
from typing import Any, ClassVar

import msgspec
import pytest
from one_agent import HERE, a_market, at, preferences, prices_of

from voltagora.agents.agent import Agent, Answer, Conversation, Memo, Turn, refuse
from voltagora.agents.exchange import (
    LONGEST_PAUSE_SECONDS,
    MOST_SENDS,
    REPLY_SECONDS,
    Exchange,
    Flight,
    protocol_counts,
)
from voltagora.agents.randomness import SeededRandomness
from voltagora.protocols.cp01_recommendation import ChargingRecommendations, RequestChargingRecommendations
from voltagora.protocols.cp04_station_registration import RegistrationOutcome
from voltagora.protocols.cp06_imbalance import ElectricityImbalance, ElectricityImbalanceRequest
from voltagora.protocols.cp07_prices import PricesBroadcast
from voltagora.protocols.cp09_profile_registration import RegisterElectricityProducer
from voltagora.protocols.topic import Kind


class Asker(Agent):
    """Asks when woken, and keeps what it hears."""

    kind: ClassVar[Kind] = Kind.VEHICLE

    def __init__(self, id: str, *, whom: tuple[str, ...], tells: bool = False) -> None:
        super().__init__(id)
        self.whom = whom
        self.tells = tells
        self.heard: list[tuple[int, list[Any]]] = []
        self.refusals: list[Any] = []

    def start(self, turn: Turn) -> None:
        turn.wake(turn.now, ("ask",))

    def wake(self, turn: Turn, memo: Memo) -> None:
        if self.tells:
            turn.tell(registration(self.next_id()), (self.id,), self.whom)
        else:
            turn.begin(self._ask(turn))

    def _ask(self, turn: Turn) -> Conversation[None]:
        replies = yield (question(self.next_id()), (self.id,), self.whom)
        self.heard.append((turn.now, replies))

    def told(self, turn: Turn, request: Any, outcome: Any) -> None:
        self.refusals.append(outcome)


class Answerer(Agent):
    """Answers everything, and counts how often it decided."""

    kind: ClassVar[Kind] = Kind.RECOMMENDER

    def __init__(self, id: str, *, silent: int = 0, name: str | None = None, no: bool = False) -> None:
        super().__init__(id)
        self.decided = 0
        self.silent = silent  # so many requests that it will not answer
        self.name = name or id
        self.no = no

    def recommend(self, turn: Turn, request: Any, vehicle: str) -> Answer:
        if self.silent:
            self.silent -= 1
            return None
        self.decided += 1
        return refuse(ChargingRecommendations, request, self.name, f"no {self.decided}")

    def register(self, turn: Turn, request: Any, profile: str) -> Answer:
        if self.no:
            return refuse(RegistrationOutcome, request, self.name, "invalid_request")
        return RegistrationOutcome(in_reply_to=request.msg_id, responder=self.name, accepted=True)

    def think(self, turn: Turn, request: Any, asker: str) -> Conversation[Any]:
        """Ask another agent before answering."""
        replies = yield (question(self.next_id()), (self.id,), ("other",))
        said = "silence" if replies[0] is None else replies[0].reason
        return refuse(ElectricityImbalance, request, self.name, said)

    handles: ClassVar[dict[type[Any], Any]] = {
        RequestChargingRecommendations: recommend,
        RegisterElectricityProducer: register,
        ElectricityImbalanceRequest: think,
    }


def question(msg_id: str) -> RequestChargingRecommendations:
    return RequestChargingRecommendations(msg_id=msg_id, preferences=preferences(8, 10), location=HERE)


def registration(msg_id: str) -> RegisterElectricityProducer:
    return RegisterElectricityProducer(
        msg_id=msg_id, grid_area="main", kind="wind", rated_power_kw=1.0, location=HERE
    )


class Runtime:
    """The least a runtime must do; `fate` says how often each publication arrives."""

    def __init__(self, *agents: Agent, may_repeat: bool = False, fate: Any = None) -> None:
        self.exchange = Exchange(SeededRandomness(1), self._call_at, self._keep, may_repeat=may_repeat)
        self.sends: list[tuple[int, Flight]] = []
        self.records: list[Any] = []
        self._fate = fate or (lambda flight: 1)
        self._events: list[Any] = []
        self._count = 0
        for agent in agents:
            self.exchange.join(agent)
        self._call_at(0, self.exchange.start)

    def run(self, until: int) -> None:
        while self._events and self._events[0][0] <= until:
            now, _, act, arguments = heapq.heappop(self._events)
            self.exchange.now = now
            act(*arguments)
            while self.exchange.sent:
                flights, self.exchange.sent = self.exchange.sent, []
                for flight in flights:
                    self.sends.append((now, flight))
                    for _ in range(self._fate(flight)):
                        self.exchange.deliver(flight)
            self.exchange.settle_instant()

    def times(self, kind: type) -> list[int]:
        return [now for now, flight in self.sends if isinstance(flight.message, kind)]

    def _call_at(self, at: int, act: Any, *arguments: Any) -> None:
        self._count += 1
        heapq.heappush(self._events, (at, self._count, act, arguments))

    def _keep(self, record: Any) -> None:
        self.records.append(record)


def test_an_asker_hears_every_responder_in_the_order_asked() -> None:
    asker = Asker("a", whom=("x", "y"))
    runtime = Runtime(asker, Answerer("y"), Answerer("x"))
    runtime.run(0)
    ((now, replies),) = asker.heard
    assert now == 0
    assert [reply.responder for reply in replies] == ["x", "y"]
    assert runtime.exchange.awaited == 0
    assert protocol_counts(runtime.exchange)["CP1"] == 3  # one publication reaches both


def test_silence_is_asked_three_times_and_then_told() -> None:
    asker = Asker("a", whom=("x", "y"))
    runtime = Runtime(asker, Answerer("x"), Answerer("y", silent=99))
    runtime.run(1000)
    times = runtime.times(RequestChargingRecommendations)
    assert times == [0, REPLY_SECONDS, 2 * REPLY_SECONDS]
    assert len(times) == MOST_SENDS
    assert [flight.receivers for _, flight in runtime.sends if flight.message.protocol == "CP1"][2:] == [
        ("y",),
        ("y",),
    ]
    ((now, replies),) = asker.heard
    assert now == 3 * REPLY_SECONDS
    assert replies[0].responder == "x"
    assert replies[1] is None


def test_the_same_message_is_sent_again_word_for_word() -> None:
    runtime = Runtime(Asker("a", whom=("x",)), Answerer("x", silent=99))
    runtime.run(1000)
    first, *others = [flight.message for _, flight in runtime.sends]
    assert all(other is first for other in others)


@pytest.mark.parametrize("silent", [0, 1, 2])
def test_a_late_answer_is_as_good_as_an_early_one(silent: int) -> None:
    asker = Asker("a", whom=("x",))
    Runtime(asker, Answerer("x", silent=silent)).run(1000)
    ((now, replies),) = asker.heard
    assert now == silent * REPLY_SECONDS
    assert replies[0].responder == "x"


def test_what_must_be_known_is_told_until_it_is_answered_with_growing_capped_pauses() -> None:
    runtime = Runtime(Asker("a", whom=("x", "y"), tells=True), Answerer("x"), fate=lambda flight: 1)
    runtime.run(3600)
    times = runtime.times(RegisterElectricityProducer)
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert pauses[:6] == [10, 20, 40, 80, 160, 300]
    assert set(pauses[6:]) == {LONGEST_PAUSE_SECONDS}
    assert runtime.exchange.awaited == 1
    runtime.exchange.join(Answerer("y"))
    runtime.run(3600 + LONGEST_PAUSE_SECONDS)
    assert runtime.exchange.awaited == 0
    count = len(runtime.sends)
    runtime.run(9999)
    assert len(runtime.sends) == count


def test_a_refusal_of_what_was_told_is_heard_once_and_ends_the_telling() -> None:
    asker = Asker("a", whom=("x",), tells=True)
    runtime = Runtime(asker, Answerer("x", no=True), may_repeat=True, fate=lambda flight: 2)
    runtime.run(1000)
    assert [outcome.reason for outcome in asker.refusals] == ["invalid_request"]
    assert runtime.exchange.awaited == 0


def test_every_copy_of_a_request_gets_the_first_answer_and_is_decided_once() -> None:
    asker, answerer = Asker("a", whom=("x",)), Answerer("x")
    runtime = Runtime(asker, answerer, may_repeat=True, fate=lambda flight: 3)
    runtime.run(1000)
    assert answerer.decided == 1
    replies = [f.message for _, f in runtime.sends if isinstance(f.message, ChargingRecommendations)]
    assert len(replies) == 3
    assert all(reply is replies[0] for reply in replies)
    assert len(asker.heard) == 1


def test_two_askers_may_use_the_same_message_id() -> None:
    one, two, answerer = Asker("a", whom=("x",)), Asker("b", whom=("x",)), Answerer("x")
    Runtime(one, two, answerer, may_repeat=True).run(0)
    assert answerer.decided == 2
    assert [heard[0][1][0].reason for heard in (one.heard, two.heard)] == ["no 1", "no 2"]


def test_a_request_left_unanswered_is_asked_anew_when_it_comes_again() -> None:
    asker = Asker("a", whom=("x",))
    Runtime(asker, Answerer("x", silent=1), may_repeat=True).run(1000)
    ((now, replies),) = asker.heard
    assert now == REPLY_SECONDS
    assert replies[0].reason == "no 1"


def test_whose_name_was_not_called_is_not_heard() -> None:
    asker = Asker("a", whom=("x",))
    runtime = Runtime(asker, Answerer("x", name="impostor"))
    runtime.run(1000)
    assert asker.heard == [(3 * REPLY_SECONDS, [None])]


def test_a_second_reply_of_one_responder_changes_nothing() -> None:
    asker = Asker("a", whom=("x", "y"))
    runtime = Runtime(asker, Answerer("x"), Answerer("y", silent=1))
    runtime.run(0)
    first = next(f for _, f in runtime.sends if isinstance(f.message, ChargingRecommendations))
    assert isinstance(first.message, ChargingRecommendations)
    other = msgspec.structs.replace(first.message, reason="changed my mind")
    runtime.exchange.deliver(msgspec.structs.replace(first, message=other))
    runtime.run(1000)
    ((_, replies),) = asker.heard
    assert [reply.reason for reply in replies] == ["no 1", "no 1"]


def test_a_reply_to_nobodys_question_is_dropped() -> None:
    asker = Asker("a", whom=("x",))
    runtime = Runtime(asker, Answerer("x"))
    runtime.run(0)
    stray = ChargingRecommendations(in_reply_to="m99", responder="x", reason="?")
    runtime.exchange.deliver(Flight(stray, ("a",), Answerer("z"), ("a",), "CP1"))
    assert len(asker.heard) == 1


def test_a_request_to_nobody_ends_in_silence() -> None:
    asker = Asker("a", whom=("nobody",))
    Runtime(asker).run(1000)
    assert asker.heard == [(3 * REPLY_SECONDS, [None])]


def test_who_asks_others_before_answering_answers_the_one_who_asked() -> None:
    class Curious(Asker):
        def _ask(self, turn: Turn) -> Conversation[None]:
            request = ElectricityImbalanceRequest(msg_id=self.next_id(), grid_area="main", day_index=0)
            replies = yield (request, (self.id,), self.whom)
            self.heard.append((turn.now, replies))

    curious = Curious("a", whom=("x",))
    Runtime(curious, Answerer("x"), Answerer("other")).run(0)
    ((_, replies),) = curious.heard
    assert replies[0].reason == "no 1"


def test_agents_that_share_a_market_read_it_before_they_hear_the_news_themselves() -> None:
    market = a_market()
    seen: list[bool] = []

    class Reader(Agent):
        kind: ClassVar[Kind] = Kind.STATION

        def read(self, turn: Turn, news: PricesBroadcast) -> None:
            seen.append(not market.missing_prices(at(8), at(9)))

        handles: ClassVar[dict[type[Any], Any]] = {PricesBroadcast: read}

    class Speaker(Agent):
        kind: ClassVar[Kind] = Kind.PRICING

        def start(self, turn: Turn) -> None:
            turn.publish(prices_of(market.calendar.day_at(at(0)), 60, 0.2, 0.1))

    runtime = Runtime(Reader("r"), Speaker("s"))
    runtime.exchange.attach(market)
    runtime.run(0)
    assert seen == [True]
    assert protocol_counts(runtime.exchange)["CP7"] == 1


def test_ids_are_unique_over_all_kinds_of_agents() -> None:
    with pytest.raises(ValueError, match="two agents have the id x"):
        Runtime(Answerer("x"), Asker("x", whom=()))
