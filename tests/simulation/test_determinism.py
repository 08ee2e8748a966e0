"""Same seed, same result: to the byte, for any hash seed, any number of workers, and over the wire."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from whole_market import CodecTransport, always, digest, play

import voltagora
from voltagora.scenario.settings import (
    AreaSettings,
    DriverSettings,
    GridSettings,
    NegotiationSettings,
    NetworkSettings,
    Scenario,
    SchedulingSettings,
    StationSettings,
    TripSettings,
    VehicleSettings,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "market.toml"
A_BIT_OF_EVERYTHING = Scenario(
    seed=5,
    days=2,
    step_minutes=15,
    placement="disc",
    grid=GridSettings(history_days=8, kw_per_mw=0.05),
    areas=(AreaSettings(id="a", networks=(NetworkSettings(id="n1"), NetworkSettings(id="n2"))),),
    vehicles=VehicleSettings(count=25, behaviour="trips", charge_efficiency=0.93, efficiency_spread=0.1),
    trips=TripSettings(plug_in_soc=0.95, long_trip_share=0.3),
    stations=StationSettings(count=2, connectors_per_kind=2, report_confidence=True, grid_limit_share=0.3),
    scheduling=SchedulingSettings(strategy="v2g"),
    negotiation=NegotiationSettings(stations_start=True),
    drivers=DriverSettings(
        late_share=0.2, early_share=0.2, absent_share=0.1, cancel_share=0.2, change_share=0.4
    ),
)


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != "timing.json"
    }


def test_every_file_is_the_same_for_any_hash_seed_and_any_number_of_workers(tmp_path: Path) -> None:
    """Timing apart, which is of the machine."""
    runs = []
    for hash_seed, workers in ((0, 1), (1, 1), (2, 2)):
        out = tmp_path / f"seed-{hash_seed}"
        subprocess.run(
            [
                *(sys.executable, "-m", "voltagora", "run", str(GOLDEN), "--messages"),
                *("--out", str(out), "--workers", str(workers)),
            ],
            check=True,
            env=os.environ | {"PYTHONHASHSEED": str(hash_seed)},
            capture_output=True,
        )
        runs.append(hashes(out))
    assert {"run.json", "sessions.parquet", "messages.parquet", "report.html"} <= set(runs[0])
    assert runs[0] == runs[1]
    assert runs[0] == runs[2]


def test_another_seed_is_another_run_and_the_same_one_the_same() -> None:
    first, same, other = (digest(voltagora.run(GOLDEN, seed=seed).tables) for seed in (1, 1, 2))
    assert first == same
    assert first != other


@pytest.mark.parametrize("strategy", ["v2g", "station"])
def test_what_is_handed_over_in_memory_is_what_the_wire_would_carry(strategy: str) -> None:
    """Each publication encoded and decoded on its way: the run is the same to the last bit."""
    scenario = _with(strategy)
    by_hand = play(scenario, check=always)
    by_wire = play(scenario, transport=CodecTransport(), check=always)
    assert by_hand.counts == by_wire.counts
    assert by_hand.counts["CP3"] > 10
    assert digest(by_hand.result().tables) == digest(by_wire.result().tables)
    assert by_hand.result().metrics == by_wire.result().metrics


def _with(strategy: str) -> Scenario:
    import msgspec

    return msgspec.structs.replace(A_BIT_OF_EVERYTHING, scheduling=SchedulingSettings(strategy=strategy))
