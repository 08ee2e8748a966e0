"""A market live in waves, each through a broker and back, is the market that is simulated."""

from __future__ import annotations

from pathlib import Path

import pytest
from live_market import a_scenario, differences, waves
from mqtt_stage import mosquitto

from voltagora.domain.errors import RunError
from voltagora.live.broker_url import BrokerUrl
from voltagora.live.mqtt import MqttTransport
from voltagora.scenario.live import LiveRun, Pace, Stage
from voltagora.scenario.run import run

SMALL = [
    a_scenario("vehicles.count=20"),
    a_scenario("vehicles.count=12", "days=3", name="paper-2020"),
    a_scenario(
        "vehicles.count=15", "negotiation.stations_start=true", "scheduling.strategy=station", "seed=3"
    ),
    a_scenario(
        "vehicles.count=15",
        "days=2",
        "scheduling.strategy=lowest_price",
        "drivers.late_share=0.4",
        "drivers.early_share=0.3",
        "drivers.absent_share=0.1",
        "drivers.change_share=0.4",
        "drivers.cancel_share=0.2",
        "broadcast.always=true",
        "stations.count=3",
    ),
]


@pytest.mark.parametrize(
    "scenario", SMALL, ids=["quickstart", "paper-2020", "negotiating", "unreliable drivers"]
)
def test_waves_through_a_broker_give_what_the_simulation_gives(scenario: object) -> None:
    assert isinstance(scenario, type(SMALL[0]))

    live = waves(scenario).result()

    assert not differences(run(scenario), live)
    assert live.metrics["bookings_made"] > 0


def test_the_same_through_mosquitto(tmp_path: Path) -> None:
    scenario = SMALL[0]
    with mosquitto(tmp_path) as broker:
        transport = MqttTransport(
            BrokerUrl.parse(f"mqtt://127.0.0.1:{broker.port}"), client_id="waves", clean=True
        )
        live = waves(scenario, transport)

    assert not differences(run(scenario), live.result())
    assert not live.node.counts


def test_with_several_areas_only_names_and_questions_differ() -> None:
    scenario = a_scenario("vehicles.count=30", "days=2", name="city")
    live, simulated = waves(scenario).result(), run(scenario)

    for name in ("slots", "refusals", "ledger", "vehicles", "stations"):
        assert live.tables[name].equals(simulated.tables[name]), name
    live_stays, simulated_stays = (_stays(result) for result in (live, simulated))
    assert live_stays == simulated_stays


def _stays(result: object) -> list[dict[str, object]]:
    rows = result.tables["sessions"].drop_columns(["reservation"]).to_pylist()  # type: ignore[attr-defined]
    return sorted(rows, key=lambda row: (row["vehicle"], row["arrival"], row["station"], row["revision"]))


def test_a_broker_that_hands_nothing_back_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from loopback import LoopbackBroker, LoopbackTransport

    broker = LoopbackBroker()
    broker.lose = lambda publication: publication.topic.startswith("CS/")
    monkeypatch.setattr("voltagora.live.lockstep.PATIENCE_SECONDS", 0.2)

    with pytest.raises(RunError, match="did not come back"):
        waves(SMALL[0], LoopbackTransport(broker))


def test_what_cannot_be_played_at_once_is_refused() -> None:
    with pytest.raises(ValueError, match="--data"):
        LiveRun(SMALL[0], Stage(pace=Pace(None), data=Path("x")))
