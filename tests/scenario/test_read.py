"""A scenario file means what it says, and every mistake in it is told at once."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from voltagora.domain.errors import InputErrors
from voltagora.scenario.read import read_scenario
from voltagora.scenario.settings import Scenario


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def complaints(folder: Path, text: str, overrides: list[str] | dict[str, object] = ()) -> list[str]:
    with pytest.raises(InputErrors) as caught:
        read_scenario(written(folder, text), overrides)
    return str(caught.value).splitlines()


def test_an_empty_file_is_the_default_scenario_named_after_itself(tmp_path: Path) -> None:
    assert read_scenario(written(tmp_path, "")) == Scenario(title="mine")


def test_values_of_the_file_replace_defaults_and_overrides_replace_both(tmp_path: Path) -> None:
    path = written(tmp_path, 'days = 3\n[vehicles]\ncount = 7\n[pricing]\nstrategy = "adaptive"\nK = 0.5\n')

    scenario = read_scenario(path, ["vehicles.count=9", "pricing.K=0.7", "start=2021-02-03"], seed=42)

    assert (scenario.days, scenario.vehicles.count, scenario.seed) == (3, 9, 42)
    assert scenario.pricing.parameters == {"K": 0.7}
    assert scenario.start == date(2021, 2, 3)


def test_overrides_may_be_a_mapping_with_values_of_their_own(tmp_path: Path) -> None:
    scenario = read_scenario(written(tmp_path, ""), {"vehicles.count": 9, "choice.strategy": "first"})

    assert (scenario.vehicles.count, scenario.choice.strategy) == (9, "first")


def test_an_override_picks_from_a_list_by_number(tmp_path: Path) -> None:
    path = written(tmp_path, '[[areas]]\nid = "a"\n[[areas]]\nid = "b"\n')

    assert read_scenario(path, ["areas.1.vehicle_share=3"]).areas[1].vehicle_share == 3


def test_a_new_strategy_drops_the_parameters_of_the_one_before(tmp_path: Path) -> None:
    path = written(tmp_path, '[pricing]\nstrategy = "adaptive"\nK = 0.5\n')

    assert read_scenario(path, ["pricing.strategy=flat"]).pricing.parameters == {}
    assert read_scenario(path, ["pricing.strategy=adaptive"]).pricing.parameters == {"K": 0.5}


def test_paths_start_from_the_file_but_in_overrides_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    path = written(tmp_path, '[grid]\nfile = "grid.csv"\n')
    monkeypatch.chdir(tmp_path / "here")

    assert read_scenario(path).grid.file == str(tmp_path / "grid.csv")
    assert read_scenario(path, ["grid.file=grid.csv"]).grid.file == str(tmp_path / "here" / "grid.csv")
    assert read_scenario(path, {"grid.file": tmp_path / "g.csv"}).grid.file == str(tmp_path / "g.csv")


def test_listing_vehicles_draws_none_besides_unless_asked(tmp_path: Path) -> None:
    assert read_scenario(written(tmp_path, STATION)).stations.count == 0
    assert read_scenario(written(tmp_path, STATION), ["stations.count=2"]).stations.count == 2


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("dayz = 3", "mine.toml: dayz: got 3, must be a known key, one of"),
        ("[vehicles]\ncuont = 3", "(did you mean 'count'?)"),
        ("[pricing]\nstrategy = 'nrgcoinn'", "mine.toml: pricing.strategy: got 'nrgcoinn', must be one of"),
        ("[pricing]\nstrategy = 'nrgcoinn'", "(did you mean 'nrgcoin'?)"),
        ("[pricing]\nstrategy = 'adaptive'\nk = 1", "mine.toml: pricing.k: got 1, must be a known key"),
        ("[pricing]\nstrategy = 'adaptive'\nK = 'x'", "mine.toml: pricing.K: got 'x', must be a number"),
        ("[negotiation]\nround = 3", "(did you mean 'rounds'?)"),
        ("days = 0", "mine.toml: days: got 0, must be a whole number from 1 to 3,660"),
        ("days = 1.5", "mine.toml: days: got 1.5, must be a whole number"),
        ("days = true", "mine.toml: days: got True, must be a whole number"),
        ("step_minutes = 7", "mine.toml: step_minutes: got 7, must be one of: 5, 10, 15, 20, 30, 60"),
        ("start = 'soon'", "mine.toml: start: got 'soon', must be a date, like 2020-01-31"),
        ("start = 1900-01-01", "mine.toml: start: got '1900-01-01', must be a date from 1971"),
        ("time_zone = 'Europe/Atlantis'", "mine.toml: time_zone: got 'Europe/Atlantis', must be an IANA"),
        ("[vehicles]\nidle_hours = nan", "mine.toml: vehicles.idle_hours: got nan, must be a number"),
        ("[vehicles]\nidle_hours = 24", "mine.toml: horizon_days: got 1, must be at least 2"),
        ("vehicles = 3", "mine.toml: vehicles: got 3, must be a table"),
        ("areas = 3", "mine.toml: areas: got 3, must be a list of tables"),
        ("[[areas]]\nvehicle_share = 1", "mine.toml: areas[0].id: got 'nothing', must be a name"),
        ("[[areas]]\nid = 'a b'", "mine.toml: areas[0].id: got 'a b', must be a name"),
        ("[[areas]]\nid = 'a'\nload_share = 0", "mine.toml: areas[0].load_share: got 0.0, must be above 0"),
        ("days = ", "mine.toml: got 'Invalid value"),
        ("[grid]\nproducers = ['wind', 'wind']", "mine.toml: grid.producers: got 'wind', must be named once"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_would_be_right(
    tmp_path: Path, text: str, complaint: str
) -> None:
    assert complaint in "\n".join(complaints(tmp_path, text))


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    told = complaints(
        tmp_path, "dayz = 3\nstart = 1\n[vehicles]\ncount = -1\nlist = 4\n[pricing]\nstrategy = 'none'\n"
    )

    assert sorted(line.split(":")[1].strip() for line in told) == [
        "dayz",
        "pricing.strategy",
        "start",
        "vehicles.count",
        "vehicles.list",
    ]


def test_a_mistake_on_the_command_line_is_told_as_one(tmp_path: Path) -> None:
    assert complaints(tmp_path, "", ["vehicles.count=-3"])[0].startswith("--set: vehicles.count: got -3")
    assert complaints(tmp_path, "", ["vehicles.count"])[0].startswith(
        "--set: got 'vehicles.count', must be key="
    )
    assert "seed is no section" in complaints(tmp_path, "seed = 1", ["seed.x=3"])[0]


STATION = """
[[stations.list]]
id = "s1"
latitude = 0
longitude = 0
connectors = [{ connector_type = "Single phase 32A", power_kw = 7.4 }]
"""
VEHICLE = """
[[vehicles.list]]
id = "v1"
latitude = 0
longitude = 0
connector_type = "Single phase 32A"
power_kw = 7.4
capacity_kwh = 40
needs = [{ arrival = 2020-01-01T08:00:00Z, departure = 2020-01-01T12:00:00Z, energy_kwh = 9, soc = 0.5 }]
"""


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            STATION.replace('[{ connector_type = "Single phase 32A", power_kw = 7.4 }]', "[]"),
            "stations.list[0].connectors: got [], must be a list of at least 1",
        ),
        (
            STATION.replace("7.4", "-22"),
            "stations.list[0].connectors[0].power_kw: got -22, must be a number above 0",
        ),
        (STATION + STATION, "stations.list[1].id: got 's1', must be a name of its own"),
        (
            STATION + VEHICLE.replace('"v1"', '"s1"'),
            "vehicles.list[0].id: got 's1', must be a name of its own",
        ),
        (
            STATION.replace('"s1"', '"sr-main"'),
            "stations.list[0].id: got 'sr-main', must be a name of its own",
        ),
        (
            STATION.replace('"s1"', '"ev-000003"') + "[vehicles]\ncount = 4",
            "must be no name that a drawn vehicle or station has",
        ),
        (
            VEHICLE.replace("T12", "T07"),
            "vehicles.list[0].needs[0].departure: got '2020-01-01T07:00:00+00:00', must be after arrival",
        ),
        (
            VEHICLE.replace("2020-01-01", "2020-03-01"),
            "needs[0].arrival: got '2020-03-01T08:00:00+00:00', must be within the days",
        ),
        (
            VEHICLE + "min_soc = 0.8\nmax_soc = 0.5",
            "vehicles.list[0].min_soc: got 0.8, must be at most max_soc",
        ),
        (
            VEHICLE + 'area = "mian"',
            "vehicles.list[0].area: got 'mian', must be one of: main (did you mean 'main'?)",
        ),
        (VEHICLE + 'network = "x"', "vehicles.list[0].network: got 'x', must be one of: main"),
        ("[[areas]]\nid = 'a'\n[[areas]]\nid = 'a'", "areas[1].id: got 'a', must be a name of its own"),
        (
            "[[areas]]\nid = 'a'\nnetworks = [{id = 'n'}]\n[[areas]]\nid = 'b'\nnetworks = [{id = 'n'}]",
            "areas[1].networks[0].id: got 'n', must be a name of its own",
        ),
    ],
)
def test_what_is_listed_must_be_possible_and_have_names_of_its_own(
    tmp_path: Path, text: str, complaint: str
) -> None:
    assert complaint in "\n".join(complaints(tmp_path, text))


def test_a_listed_vehicle_is_at_one_place_at_a_time(tmp_path: Path) -> None:
    twice = VEHICLE.replace(
        "needs = [",
        "needs = [{ energy_kwh = 1, soc = 0, arrival = 2020-01-01T11:00:00Z, "
        "departure = 2020-01-01T13:00:00Z },",
    )

    assert (
        "needs[0].arrival: got '2020-01-01T11:00:00+00:00', must be not before"
        in complaints(tmp_path, twice)[0]
    )


def test_a_scenario_that_is_nowhere_is_answered_with_the_names_that_exist(tmp_path: Path) -> None:
    with pytest.raises(InputErrors, match="did you mean 'paper-2020'"):
        read_scenario("papr-2020")
    with pytest.raises(InputErrors, match="must be a file that exists"):
        read_scenario(tmp_path / "none.toml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"title = '\xff'")

    with pytest.raises(InputErrors, match=r"mine\.toml: byte 9: got 255, must be UTF-8 text"):
        read_scenario(path)
