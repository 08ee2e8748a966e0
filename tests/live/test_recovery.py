"""A process that is killed anywhere comes back as what it was; the market's books agree all the same."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest
from doomed import THREE, DoomedMarket, check_books
from live_market import a_scenario, differences
from one_node import OneNode
from tiny_market import a_tiny_market

from voltagora.domain.errors import RunError
from voltagora.live.events import Advanced, Arrived, Finished, Missed
from voltagora.live.journal import Journal
from voltagora.live.outgoing import Outgoing
from voltagora.live.recovery import recover
from voltagora.scenario.population import population
from voltagora.scenario.replay import replay

EVERY = (29, 11, 11)
"""One crash point in so many is tried here; all of them, whole and torn, when this was written."""


def _boundaries(folder: Path) -> list[int]:
    market = a_tiny_market(folder, seed=1)
    for kinds in THREE:
        market.add(kinds)
    market.play()
    return [len(member.passed) for member in market.members]


@pytest.mark.parametrize("which", range(3), ids=["area", "stations", "vehicles"])
def test_a_kill_at_any_boundary_between_two_effects_changes_no_books(which: int, tmp_path: Path) -> None:
    count = _boundaries(tmp_path / "whole")[which]
    for at in range(1 + which, count - 20, EVERY[which]):
        market = a_tiny_market(tmp_path / str(at), seed=at)
        for place, kinds in enumerate(THREE):
            market.add(kinds, dooms=[at] if place == which else [], tears=bool(at % 2))

        played = market.play()

        assert market.members[which].lives == 2
        check_books(played)
        market.check_journals()


PARTITIONS = (
    THREE,
    ("imbalance,pricing,recommender,station,producer,consumer,vehicle",),
    ("imbalance", "pricing", "recommender", "station", "producer,consumer", "vehicle"),
)


@pytest.mark.parametrize("seed", range(12))
def test_a_market_whose_processes_die_again_and_again_keeps_its_books(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    market = a_small_market(tmp_path, seed, chance)
    for kinds in PARTITIONS[seed % len(PARTITIONS)]:
        market.add(
            kinds,
            dooms=[chance.randint(1, 250) for _ in range(chance.randint(0, 4))],
            wait=(chance.uniform(0, 3), chance.uniform(0.1, 20)),
            wall_offset=chance.choice([0.0, -7200.0, 86_400.0]) if "imbalance" not in kinds else 0.0,
            tears=chance.random() < 0.5,
        )

    played = market.play()

    check_books(played, costs=False)
    market.check_journals()
    assert any(record.outcome == "booked" for record in played.needs.values())


def a_small_market(folder: Path, seed: int, chance: random.Random) -> DoomedMarket:
    scenario = a_scenario(
        "vehicles.count=8",
        "stations.count=2",
        "stations.connectors_per_kind=1",
        "days=1",
        f"seed={seed + 1}",
        f"scheduling.strategy={chance.choice(['lowest_price', 'first_slot', 'v2g'])}",
        f"negotiation.stations_start={chance.choice(['true', 'false'])}",
        "drivers.change_share=0.4",
        "drivers.cancel_share=0.2",
        f"broadcast.always={chance.choice(['true', 'false'])}",
    )
    market = DoomedMarket(scenario, population(scenario), folder, seed=seed, speed=300.0, repeats=0.2)
    market.end += 4 * 3600
    return market


def test_who_asked_before_its_death_asks_again_after_it(tmp_path: Path) -> None:
    market = a_tiny_market(tmp_path)
    market.add(THREE[0])
    market.add(THREE[1], wait=(45.0, 1.0))  # It never hears what is asked before.
    vehicles = market.add(THREE[2])
    market.at_hour(2.6, vehicles.kill)

    played = market.play()

    assert vehicles.lives == 2
    check_books(played)
    assert played.needs["ev-000000", 0].outcome == "booked"


# Made anew from its journal.


def a_life(folder: Path, **more: object) -> DoomedMarket:
    market = a_tiny_market(folder, **more)
    for kinds in THREE:
        market.add(kinds)
    market.play()
    return market


def test_agents_made_anew_at_any_point_go_on_as_those_that_lived(tmp_path: Path) -> None:
    market = a_life(tmp_path, seed=5, repeats=0.3)
    for member in market.members:
        with Journal(member.folder) as journal:
            events, said = list(journal.events()), [each for _, each in journal.publications()]
            for cut in range(0, len(events), 40):
                node = member.made(journal)
                words: list[Outgoing] = []
                for event in events[:cut]:
                    node.apply(event)
                    words += node.take()
                node.trust, node._own = node.trust, {}  # What it remembers of its own words is no state.
                for event in events[cut:]:
                    node.apply(event)
                    words += node.take()
                assert words == said


def test_an_event_that_changed_nothing_is_not_kept_and_moves_no_time(tmp_path: Path) -> None:
    market = a_life(tmp_path)
    member = market.members[1]
    with Journal(member.folder) as journal:
        node = member.made(journal)
        for event in list(journal.events())[:20]:
            node.apply(event)
        now = node.exchange.now

        assert not node.apply(Arrived(now + 500, "nobody/knows/this", b"{}"))
        assert not node.apply(Arrived(now + 500, "CS/cs-00/ReserveChargingSlot", b"not json"))
        assert node.exchange.now == now


def test_time_within_a_node_never_goes_back(tmp_path: Path) -> None:
    market = a_life(tmp_path)
    member = market.members[0]
    with Journal(member.folder) as journal:
        node = member.made(journal)
        for event in list(journal.events())[:-1]:
            node.apply(event)
    now = node.exchange.now

    node.apply(Arrived(now - 1000, "presence/ei-village", b"online"))
    node.apply(Arrived(now - 1000, "presence/ei-village", b"online"))

    assert node.exchange.now == now


class Owning:
    """Every agent is its own user, or nobody is anybody's."""

    def __init__(self, *, anybody: bool) -> None:
        self.anybody = anybody

    def owner(self, id: str) -> str | None:
        return id if self.anybody else None


def test_a_nodes_time_is_a_number_that_can_be_kept(tmp_path: Path) -> None:
    one = OneNode(tmp_path)
    for hour in range(10):
        one.until(hour)
        assert type(one.node.exchange.now) is int


def test_who_was_believed_stays_believed_when_owners_change(tmp_path: Path) -> None:
    one = OneNode(tmp_path / "stage", Owning(anybody=True))
    one.until(4)
    one.owners = Owning(anybody=False)
    with Journal(tmp_path) as journal:
        journal.commit(one.events, one.words)
        node = one.made()

        assert recover(node, journal) == len(one.events) > 40

    assert not node.trust.may_speak_for("ev-000000", "ev-000000")


@pytest.mark.parametrize("table", ["events", "publications"])
def test_a_journal_that_lost_rows_is_told_from_a_whole_one(table: str, tmp_path: Path) -> None:
    market = a_life(tmp_path)
    member = market.members[1]
    with Journal(member.folder) as journal:
        journal._database.execute(f"DELETE FROM {table} WHERE number = 30")
        with pytest.raises(
            RunError, match=r"is damaged: row 30|what came after the last publication was nothing more"
        ):
            recover(member.made(journal), journal)


@pytest.mark.parametrize("seed", range(100, 106))
def test_a_replay_of_all_journals_gives_what_the_processes_gave(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    market = a_small_market(tmp_path, seed, chance)
    market.end = market.horizon.end
    for kinds in PARTITIONS[seed % len(PARTITIONS)]:
        market.add(kinds, dooms=[chance.randint(1, 250)] if chance.random() < 0.5 else [])
    market.play()

    replayed = replay([member.folder for member in reversed(market.members)]).result

    live = market.result()
    assert differences(live, replayed) == []
    assert live.metrics["bookings_made"] > 0
    assert live.metrics["messages"] == replayed.metrics["messages"]


def test_after_the_end_nothing_happens_any_more(tmp_path: Path) -> None:
    one = OneNode(tmp_path)
    one.until(4)
    assert one.hear(Finished(one.begin + 5 * 3600))
    records, said = len(one.records), len(one.words)

    for each in list(one.words):
        assert not one.hear(Arrived(one.begin + 5 * 3600, each.topic, each.payload))
    assert not one.hear(Advanced(one.begin + 9 * 3600))
    assert not one.hear(Finished(one.begin + 9 * 3600))

    assert (len(one.records), len(one.words)) == (records, said)


# Without a journal, or without a session.


def test_what_was_missed_is_asked_for(tmp_path: Path) -> None:
    one = OneNode(tmp_path)
    one.until(3)
    market, pricing = one.agent("cs-00").market, one.agent("md-village")
    (day, *_), wrong = pricing._prices, pricing._prices
    newest = wrong[day].buy.values.tolist()
    old = msgspec.structs.replace(
        market._prices[day], buy=msgspec.structs.replace(wrong[day].buy, values=wrong[day].buy.values + 1)
    )
    market._prices[day] = old
    one.hear(Advanced(one.begin + 3 * 3600 + 60))
    assert market._prices[day] is old

    one.hear(Missed(one.begin + 3 * 3600 + 60))

    assert market._prices[day].buy.values.tolist() == newest


@pytest.mark.parametrize("forgets", [True, False])
def test_a_lost_session_is_noticed_and_a_lost_connection_is_none(forgets: bool, tmp_path: Path) -> None:
    market = a_tiny_market(tmp_path)
    for kinds in THREE:
        market.add(kinds)
    stations = market.members[1]

    def lose() -> None:
        assert stations.transport is not None
        if forgets:
            market.broker.forget(stations.folder.name)
        stations.transport.lose()

    market.at_hour(3.3, lose)
    check_books(market.play())

    with Journal(stations.folder) as journal:
        missed = [event for event in journal.events() if isinstance(event, Missed)]
    assert len(missed) == forgets


@pytest.mark.parametrize("lost", ["imbalance", "pricing", "recommender"])
@pytest.mark.parametrize("seed", range(3))
def test_who_comes_back_without_memory_is_told_again_all_that_stands(
    lost: str, seed: int, tmp_path: Path
) -> None:
    market = a_tiny_market(tmp_path, seed=seed)
    for kinds in ("station,producer,consumer", "vehicle"):
        market.add(kinds)
    for kind in ("imbalance", "pricing", "recommender"):
        member = market.add(kind, forgets=kind == lost)
        if kind == lost:
            market.at_hour(3.3, member.kill)

    played = market.play()

    member = next(each for each in market.members if each.forgets)
    assert member.lives == 2
    check_books(played)


def test_who_was_away_while_another_lost_its_memory_tells_it_all_the_same(tmp_path: Path) -> None:
    market = a_tiny_market(tmp_path, seed=2)
    stations = market.add("station,recommender", wait=(0.0, 5.0))
    area = market.add("imbalance,pricing,producer,consumer", forgets=True, wait=(0.0, 1.0))
    market.add("vehicle")

    def strike() -> None:
        stations.kill()
        area.kill()
        market.broker.forget(stations.folder.name)  # Nobody keeps for it what is said meanwhile.

    market.at_hour(3.3, strike)
    played = market.play()

    assert (stations.lives, area.lives) == (2, 2)
    check_books(played)


def test_the_first_sighting_tells_nothing_again(tmp_path: Path) -> None:
    market = a_tiny_market(tmp_path)
    for kinds in THREE:
        market.add(kinds)

    market.play()

    registrations = [topic for topic, _ in market.broker.seen if topic.endswith("/RegisterChargingStation")]
    assert registrations == ["CS/cs-00/RegisterChargingStation"]
