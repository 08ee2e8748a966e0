"""`voltagora scenarios` and `voltagora validate`, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from voltagora.cli.scenarios import scenarios, validate_command
from voltagora.domain.errors import InputError, InputErrors
from voltagora.scenario import shipped

app = typer.Typer()
app.add_typer(scenarios, name="scenarios")
app.command("validate")(validate_command)


def typed(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize("words", [["scenarios"], ["scenarios", "list"]])
def test_the_shipped_scenarios_are_listed(words: list[str]) -> None:
    answer = typed(*words)

    assert answer.exit_code == 0
    assert [line.split()[0] for line in answer.output.splitlines()] == shipped.names()


def test_a_program_gets_json() -> None:
    assert [
        each["name"] for each in json.loads(typed("scenarios", "list", "--json").output)
    ] == shipped.names()
    told = json.loads(typed("validate", "paper-2020", "--json").output)
    assert told["areas"][0]["vehicles"] == 100
    assert told["scenario"]["days"] == 10
    assert len(told["scenario_sha256"]) == 64


def test_a_scenario_is_shown_with_its_comments() -> None:
    assert typed("scenarios", "show", "quickstart").output == shipped.text("quickstart")


def test_a_copy_is_a_valid_scenario_and_never_replaces_a_file_unasked(tmp_path: Path) -> None:
    assert typed("scenarios", "copy", "quickstart", str(tmp_path)).exit_code == 0
    copy = tmp_path / "quickstart.toml"
    assert copy.read_text(encoding="utf-8") == shipped.text("quickstart")
    assert "quickstart: valid" in typed("validate", str(copy)).output

    copy.write_text("mine", encoding="utf-8")
    refused = typed("scenarios", "copy", "quickstart", str(tmp_path))
    assert isinstance(refused.exception, InputError)
    assert copy.read_text(encoding="utf-8") == "mine"
    typed("scenarios", "copy", "quickstart", str(copy), "--force")
    assert copy.read_text(encoding="utf-8") == shipped.text("quickstart")


def test_validate_looks_at_the_data_too(tmp_path: Path) -> None:
    refused = typed("validate", "paper-2020", "--set", f"grid.file={tmp_path / 'none.csv'}")

    assert isinstance(refused.exception, InputErrors)
    assert "must be a file that can be read" in str(refused.exception)


def test_validate_says_who_takes_part() -> None:
    answer = typed("validate", "paper-2020", "--set", "vehicles.count=7")

    assert "main: 7 vehicles" in answer.output
    assert "paper-2020: valid, 10 days from 2020-01-01, seed 11" in answer.output
