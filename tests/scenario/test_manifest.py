"""A scenario's hash knows everything that changes a result, and nothing else."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from voltagora.domain.errors import InputErrors
from voltagora.scenario.manifest import data_hashes, resolved, scenario_hash
from voltagora.scenario.read import read_scenario


def test_the_hash_changes_with_every_value() -> None:
    hashes = {
        scenario_hash(read_scenario("paper-2020", overrides))
        for overrides in (
            [],
            ["seed=2"],
            ["vehicles.count=99"],
            ["pricing.amount_kwh=2"],
            ["choice.strategy=first"],
        )
    }

    assert len(hashes) == 5


def test_the_hash_is_that_of_the_values_however_they_were_given(tmp_path: Path) -> None:
    path = tmp_path / "paper-2020.toml"
    path.write_text("days = 10\nstart = 2020-01-01\n[vehicles]\ncount = 5\n", encoding="utf-8")

    given = read_scenario(path)
    overridden = read_scenario(path, {"vehicles.count": 5, "vehicles.idle_hours": 4})

    assert scenario_hash(given) == scenario_hash(overridden)


def test_the_folder_of_a_data_file_is_no_part_of_the_manifest(tmp_path: Path) -> None:
    hashes, manifests = [], []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "grid.csv"
        file.write_bytes(b"some rows")
        scenario = read_scenario("paper-2020", {"grid.file": str(file)})
        hashes.append(data_hashes(scenario))
        manifests.append(resolved(scenario))

    assert manifests[0] == manifests[1]
    assert manifests[0]["grid"]["file"] == "grid.csv"
    assert hashes[0] == hashes[1] == {"grid.file": hashlib.sha256(b"some rows").hexdigest()}


def test_a_missing_data_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputErrors, match="must be a file that can be read"):
        data_hashes(read_scenario("paper-2020", {"grid.file": str(tmp_path / "none.csv")}))


def test_the_resolved_scenario_holds_parameters_beside_the_strategy() -> None:
    scenario = read_scenario("paper-2020", ["pricing.strategy=adaptive", "pricing.K=0.5"])

    pricing = resolved(scenario)["pricing"]
    # What nobody set has its default written out; what has no value is left out, as TOML has no null.
    assert pricing == {"strategy": "adaptive", "K": 0.5, "alpha": -0.00015069, "estimate_alpha": False}
    assert resolved(scenario)["start"] == "2020-01-01"
