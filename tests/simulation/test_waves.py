"""Simulated time: waves in order, one instant after another, and chance that is each agent's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import pytest
from one_agent import HERE, preferences

from voltagora.agents.agent import Agent, Answer, Conversation, Memo, Turn, refuse
from voltagora.agents.exchange import Flight
from voltagora.agents.randomness import SeededRandomness
from voltagora.protocols.cp01_recommendation import ChargingRecommendations, RequestChargingRecommendations
from voltagora.protocols.topic import Kind
from voltagora.simulation.faults import Faults, FaultyTransport
from voltagora.simulation.waves import Simulation


class Player(Agent):
    """Answers who asks, and asks whom it is told to, when it is told to."""

    kind: ClassVar[Kind] = Kind.VEHICLE

    def __init__(self, id: str, asks: dict[int, str] | None = None) -> None:
        super().__init__(id)
        self.asks = asks or {}
        self.log: list[Any] = []
        self.draws: list[float] = []

    def start(self, turn: Turn) -> None:
        for at in self.asks:
            turn.wake(at, ("ask", at))

    def wake(self, turn: Turn, memo: Memo) -> None:
        self.draws.append(turn.draw())
        turn.begin(self._ask(turn, self.asks[memo[1]]))

    def _ask(self, turn: Turn, whom: str) -> Conversation[None]:
        request = RequestChargingRecommendations(
            msg_id=self.next_id(), preferences=preferences(8, 10), location=HERE
        )
        replies = yield (request, (self.id,), (whom,))
        self.log.append((turn.now, "heard", None if replies[0] is None else replies[0].responder))

    def asked(self, turn: Turn, request: Any, vehicle: str) -> Answer:
        self.log.append((turn.now, "asked by", vehicle))
        return refuse(ChargingRecommendations, request, self.id, "no_station")

    handles: ClassVar[dict[type[Any], Any]] = {RequestChargingRecommendations: asked}


def play(
    *players: Player, until: int = 100, **more: Any
) -> tuple[Simulation, list[tuple[int, int, str, str]]]:
    sent: list[tuple[int, int, str, str]] = []

    def watch(now: int, wave: int, flight: Flight) -> None:
        sent.append((now, wave, flight.sender.id, type(flight.message).__name__))

    simulation = Simulation(1, lambda record: None, watch=watch, **more)
    simulation.join(players, [])
    simulation.start(0)
    simulation.run(until)
    return simulation, sent


def test_all_of_a_wave_comes_before_any_of_the_next() -> None:
    players = [Player("a", {5: "c"}), Player("b", {5: "c"}), Player("c")]
    _, sent = play(*players)
    assert [(now, wave, who) for now, wave, who, _ in sent] == [
        (5, 1, "a"),
        (5, 1, "b"),
        (5, 2, "c"),
        (5, 2, "c"),
    ]
    assert players[2].log == [(5, "asked by", "a"), (5, "asked by", "b")]


def test_time_moves_from_event_to_event_and_stops_before_the_end() -> None:
    player = Player("a", {3: "b", 7: "b", 100: "b"})
    simulation, _ = play(player, Player("b"), until=100)
    assert [now for now, *_ in player.log] == [3, 7]
    assert simulation.exchange.now == 100
    simulation.run(101)
    assert [now for now, *_ in player.log] == [3, 7, 100]


def test_the_order_of_joining_is_the_order_of_acting() -> None:
    for names in (("a", "b"), ("b", "a")):
        _, sent = play(*(Player(name, {5: "c"}) for name in names), Player("c"))
        assert tuple(who for _, wave, who, _ in sent if wave == 1) == names


def test_nobody_elses_presence_changes_an_agents_draws() -> None:
    alone, among = Player("a", {5: "c", 6: "c"}), Player("a", {5: "c", 6: "c"})
    play(alone, Player("c"))
    play(Player("b", {4: "c", 5: "c"}), among, Player("c"))
    assert alone.draws == among.draws
    assert len(set(alone.draws)) == 2


def test_draws_are_even_and_of_the_seed() -> None:
    stream = SeededRandomness(7)
    drawn = [stream.draw("a") for _ in range(20_000)]
    tenths = [0] * 10
    for value in drawn:
        assert 0.0 <= value < 1.0
        tenths[int(value * 10)] += 1
    assert max(abs(count - 2000) for count in tenths) < 200
    assert drawn[:3] == [SeededRandomness(7).draw("a"), *drawn[1:3]]
    assert SeededRandomness(8).draw("a") != drawn[0]
    assert SeededRandomness(7).draw("b") != drawn[0]


def test_tokens_are_drawn_apart_from_decisions() -> None:
    mixed, plain = SeededRandomness(7), SeededRandomness(7)
    mixed.token("a")
    assert mixed.draw("a") == plain.draw("a")


# A bad transport.


def test_a_perfect_transport_of_no_faults_changes_nothing() -> None:
    def players() -> list[Player]:
        return [Player("a", {5: "c"}), Player("b", {5: "c"}), Player("c")]

    plain, faultless = players(), players()
    play(*plain)
    play(*faultless, transport=FaultyTransport(Faults(), 1))
    assert [player.log for player in plain] == [player.log for player in faultless]


def test_what_is_lost_is_asked_again_and_what_is_doubled_is_answered_once_and_heard_once() -> None:
    players = [Player("a", {5: "c"}), Player("c")]
    play(*players, transport=FaultyTransport(Faults(loss=1.0), 1))
    assert players[0].log == [(35, "heard", None)]
    assert not players[1].log
    players = [Player("a", {5: "c"}), Player("c")]
    transport = FaultyTransport(Faults(duplication=1.0), 1)
    play(*players, transport=transport)
    assert players[0].log == [(5, "heard", "c")]
    assert players[1].log == [(5, "asked by", "a")]
    assert transport.doubled > 2


def test_what_is_delayed_arrives_within_the_longest_delay() -> None:
    for seed in range(20):
        players = [Player("a", {5: "c"}), Player("c")]
        play(*players, transport=FaultyTransport(Faults(delay=1.0, longest_delay_seconds=4), seed))
        ((asked_at, *_),) = players[1].log
        ((heard_at, *_),) = players[0].log
        assert 6 <= asked_at <= 9
        assert asked_at + 1 <= heard_at <= asked_at + 4


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_so_many_are_lost_doubled_and_delayed_as_asked_for(share: float) -> None:
    transport = FaultyTransport(Faults(loss=share, duplication=share, delay=share), 3)
    request = RequestChargingRecommendations(msg_id="m", preferences=preferences(8, 10), location=HERE)
    flights = [Flight(request, ("a",), Player("a"), ("c",), "CP1")] * 4000
    at_once, later = transport.carry(0, flights)
    late: Iterable[Any] = list(later)
    arrived = len(at_once) + len(list(late))
    assert transport.lost == pytest.approx(4000 * share, rel=0.15)
    assert transport.doubled == pytest.approx(4000 * (1 - share) * share, rel=0.15)
    assert transport.delayed == pytest.approx(arrived * share, rel=0.15)
    assert arrived == 4000 - transport.lost + transport.doubled


def test_after_every_delivery_the_checker_is_called() -> None:
    checked: list[int] = []
    _, sent = play(Player("a", {5: "c"}), Player("c"), after_delivery=lambda: checked.append(1))
    assert len(checked) == len(sent) == 2
