"""The published schema and page say what the types say, and the schema agrees with the reader."""

from __future__ import annotations

import datetime
import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from voltagora.domain.errors import InputErrors
from voltagora.scenario import reference, shipped
from voltagora.scenario.manifest import resolved
from voltagora.scenario.read import read_scenario

PAGE = Path(__file__).parents[2] / "docs" / "scenarios.md"
SCHEMA = json.loads(reference.published_schema())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def as_json(value: Any) -> Any:
    """JSON has no dates: TOML's become text, as editors do it."""
    if isinstance(value, dict):
        return {key: as_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_json(each) for each in value]
    return value.isoformat() if isinstance(value, datetime.date | datetime.datetime) else value


def test_the_schema_is_current() -> None:
    assert reference.published_schema() == reference.schema(), "run python -m voltagora.scenario.reference"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference.page(), "run python -m voltagora.scenario.reference"


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", shipped.names())
def test_shipped_scenarios_pass_as_written_and_as_resolved(name: str) -> None:
    VALIDATOR.validate(as_json(tomllib.loads(shipped.text(name))))
    VALIDATOR.validate(resolved(read_scenario(name)))


@pytest.mark.parametrize(
    "text",
    [
        "dayz = 3",
        "days = 0",
        "step_minutes = 7",
        "[vehicles]\ncount = -1",
        "[vehicles]\ncuont = 1",
        "[grid]\nproducers = ['coal']",
        "[[areas]]\nvehicle_share = 1",
        "[[stations.list]]\nid = 's'\nlatitude = 0\nlongitude = 0\nconnectors = []",
        "[[vehicles.list]]\nid = 'v'\nlatitude = 95",
    ],
)
def test_what_the_schema_refuses_the_reader_refuses(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")

    assert not VALIDATOR.is_valid(as_json(tomllib.loads(text)))
    with pytest.raises(InputErrors):
        read_scenario(path)


def test_every_key_has_a_meaning() -> None:
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            assert all(cell.strip() for cell in line.strip("|").replace("\\|", "").split("|")), line
